"""`make bench`: the worker and the classic design in turn, then the worker's latency; a table, and exit 1 if rows are wrong.

python -m benchmarks.bench [--quick] [--commits N] [--runs N] [--seconds N]
"""

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

from benchmarks.latency import Latency, measure
from benchmarks.machine import describe
from benchmarks.processes import child_folder
from benchmarks.stream import Expected, make_stream
from benchmarks.throughput import CLASSIC, WORKER, Run, run
from indexer.embedded import EmbeddedPostgres
from indexer.postgres import PostgresServer

LIVE_RATE = 2_000  # events a second: the most that the public relay has been seen to keep up
DESIGNS = {"worker": WORKER, "classic": CLASSIC}
MB = 1_000_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.bench", description="Measures throughput and latency.")
    parser.add_argument("--commits", type=int, default=200_000, help="commits in a run (%(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="runs of each design, in turn; medians are shown (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the latency run (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="20,000 commits and 5 seconds: does it work, not how fast")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.commits, arguments.seconds = 20_000, 5.0
    return arguments


async def bench(commits: int, runs: int, seconds: float) -> bool:
    """Measures and prints; returns whether every run left the rows that it should."""
    with child_folder() as folder:
        frames = folder / "frames.bin"
        print(f"Making {commits:,} commits beforehand …", flush=True)
        expected = make_stream(frames, commits)
        async with EmbeddedPostgres(folder / "postgres") as server:
            print("", *await describe(server, folder), _stream(expected, frames), "", sep="\n", flush=True)
            done = await throughput(server, frames, expected, runs)
            print("", *table(done), "", sep="\n", flush=True)
            print(_latency(await measure(server, frames, rate=LIVE_RATE, seconds=seconds)))
    wrong = [f"{name}: {fault}" for name, results in done.items() for result in results for fault in result.wrong]
    print("\n".join(["WRONG ROWS", *wrong]) if wrong else "Every run left exactly the rows that the stream comes to.")
    return not wrong


async def throughput(server: PostgresServer, frames: Path, expected: Expected, runs: int) -> dict[str, list[Run]]:
    """Runs the designs in turn, so that a slow minute of the machine hits both."""
    done: dict[str, list[Run]] = {name: [] for name in DESIGNS}
    for number in range(1, runs + 1):
        for name, arguments in DESIGNS.items():
            result = await run(server, arguments, frames, expected)
            print(f"Run {number} of {runs}, {name}: {result.rate:,.0f} commits/s, {result.seconds:.1f} s", flush=True)
            done[name].append(result)
    return done


def table(done: dict[str, list[Run]]) -> list[str]:
    """The lines that compare the designs."""
    runs = len(done["worker"])
    lines = [
        "From the socket to durable rows, one transaction per commit" + (f"; medians of {runs} runs" if runs > 1 else ""),
        "CPU µs per commit: of the process that reads and writes, of PostgreSQL's processes, of the relay (not theirs)",
        "",
        f"{'':<10}{'commits/s':>10}{'Python µs':>11}{'PostgreSQL µs':>15}{'relay µs':>10}{'peak RSS':>10}   RSS by quarters",
    ]
    for name, results in done.items():
        figures = [(r.rate, r.python_us, r.postgres_us, r.relay_us) for r in results]
        rate, python, postgres, relay = map(statistics.median, zip(*figures, strict=True))
        lines.append(
            f"{name:<10}{rate:>10,.0f}{python:>11.1f}{postgres:>15.1f}{relay:>10.1f}"
            f"{max(result.peak_rss for result in results) / MB:>7.0f} MB"
            f"   {', '.join(f'{size / MB:.0f}' for size in results[-1].rss)} MB"
        )
    worker, classic = (statistics.median(result.rate for result in done[name]) for name in ("worker", "classic"))
    return [*lines, "", f"The worker does {worker / classic:.1f} times what the classic design does."]


def _stream(expected: Expected, frames: Path) -> str:
    size = frames.stat().st_size / expected.commits
    return (
        f"Stream      {expected.commits:,} commits by {expected.rows()['unified_worker.repos']:,} accounts, "
        f"{size / 1000:.1f} kB a frame, {expected.operations:,} operations of the five types"
    )


def _latency(found: Latency) -> str:
    return (
        f"At {found.rate:,} events/s, from the relay's having a frame to its durable commit: p50 {found.p50:.1f} ms, "
        f"p99 {found.p99:.1f} ms, longest {found.longest:.1f} ms ({found.events:,} events)"
    )


def main() -> None:
    """Runs the command."""
    arguments = _arguments()
    try:
        sys.exit(not asyncio.run(bench(arguments.commits, arguments.runs, arguments.seconds)))
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
