"""The drawings of docs/performance.md, from runs of their own: full indexing by batch, by VERIFY and by the size of the tables,
the worker's memory, and how long an event takes.

python -m benchmarks.plots [--commits N] [--rows N] [--proven N] [--seconds N] [--runs N] [--folder FOLDER]; exit 1 if rows are
wrong, and then nothing is drawn.
"""

import argparse
import asyncio
import statistics
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import latency, verified
from benchmarks.bench import LIVE_RATE, OLD, SERVER_SETTINGS, old_database, on_top
from benchmarks.machine import describe
from benchmarks.plot import Panel, bars, draw
from benchmarks.processes import ROOT, Child, child_folder
from benchmarks.stream import Load, make_stream
from benchmarks.throughput import WORKER, Run, fresh_database, run_into
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.embedded.server import PostgresServer

BATCHES = (1, 2, 5, 10, 25, 50, 100, 250)  # events in a call, at most; the last one is the worker's own
PARTS = (0.1, 0.3, 1.0)  # of the rows: tables of these sizes, besides empty ones
ROWS_PER_COMMIT = 30  # of the largest tables: the smallest ones then have three for each account
LEAST = int(LIVE_RATE * latency.WARM_UP) + 1_000  # commits
MB = 1_000_000
LOOK = 0.25  # seconds between two looks at the memory
BOUNDS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0, 22.0, 32.0)  # ms: upper ends of the histogram's bars


@dataclass(slots=True)
class Figures:
    """What is drawn. Commits per second: by the largest batch, by VERIFY, by rows in the tables. Memory: seconds, and bytes.
    `times`: milliseconds of each event. `wrong`: what is wrong about rows."""

    batches: dict[int, float] = field(default_factory=dict[int, float])
    levels: dict[str, float] = field(default_factory=dict[str, float])
    sizes: dict[int, float] = field(default_factory=dict[int, float])
    memory: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    times: tuple[float, ...] = ()
    wrong: list[str] = field(default_factory=list[str])


async def measure(
    server: PostgresServer, folder: Path, commits: int, rows: int, proven: int, seconds: float, runs: int
) -> Figures:
    """All of it; each run so many times, in turn, of which the median counts."""
    figures = Figures()
    frames = folder / "frames.bin"
    load = make_stream(frames, commits)
    await _batches(server, frames, load, runs, figures)
    await _sizes(server, frames, load, rows, runs, figures)
    figures.times = (await latency.measure(server, frames, rate=LIVE_RATE, seconds=seconds)).times
    if proven:
        found = await verified.compare(server, folder, proven, runs, seconds)
        figures.levels = {
            name.replace("full indexing, ", "").replace("VERIFY=", ""): _median(of) for name, of in found.runs.items()
        }
        figures.wrong += verified.wrong(found)
    return figures


async def _batches(server: PostgresServer, frames: Path, load: Load, runs: int, figures: Figures) -> None:
    done = defaultdict[int, list[Run]](list)
    for _ in range(runs):
        for most in BATCHES:
            async with fresh_database(server) as url:
                done[most].append(await run_into(url, server, ("-m", "benchmarks.batched", str(most)), frames, load))
    figures.batches = {most: _median(of) for most, of in done.items()}
    figures.wrong += [f"batch {most}: {fault}" for most, of in done.items() for run in of for fault in run.wrong]


async def _sizes(server: PostgresServer, frames: Path, load: Load, rows: int, runs: int, figures: Figures) -> None:
    """The last of the runs is the one whose memory is looked at."""

    @asynccontextmanager
    async def watched(child: Child) -> AsyncGenerator[None]:
        figures.memory = []
        looking = asyncio.create_task(_look(child, figures.memory))
        try:
            yield
        finally:
            looking.cancel()

    done = defaultdict[int, list[Run]](list)
    for _ in range(runs):
        async with fresh_database(server) as url:
            done[0].append(await run_into(url, server, WORKER, frames, load))
    for part in PARTS:
        async with old_database(server, load.commits, int(rows * part)) as before:
            for _ in range(runs):
                async with fresh_database(server, template=OLD) as url:
                    run = await run_into(url, server, WORKER, frames, load, on_top(before, load), beside=watched)
                    done[sum(before.values())].append(run)
    figures.sizes = {held: _median(of) for held, of in done.items()}
    figures.wrong += [f"{held} rows: {fault}" for held, of in done.items() for run in of for fault in run.wrong]


async def _look(child: Child, found: list[tuple[float, int]]) -> None:
    began = asyncio.get_running_loop().time()
    while True:
        found.append((asyncio.get_running_loop().time() - began, child.rss()))
        await asyncio.sleep(LOOK)


def _median(runs: Iterable[Run]) -> float:
    return statistics.median(run.rate for run in runs)


def histogram(times: Sequence[float]) -> dict[str, float]:
    """The share of the events, in %, up to each bound and above the one before; the last bar is all above."""
    names = [f"{bound:g}" for bound in BOUNDS] + [f"> {BOUNDS[-1]:g}"]
    counts = [0] * len(names)
    for time in times:
        counts[next((place for place, bound in enumerate(BOUNDS) if time <= bound), len(BOUNDS))] += 1
    return {name: 100 * count / len(times) for name, count in zip(names, counts, strict=True)}


def drawings(figures: Figures) -> Mapping[str, str]:
    """SVGs by the names of their files."""
    sizes, memory, levels = figures.sizes, figures.memory, figures.levels
    by_level = {"by-verify.svg": bars("commits per second, by what is proven", levels, "VERIFY")} if levels else {}
    return by_level | {
        "by-batch.svg": bars(
            "commits per second, by the largest batch",
            {f"{most:,}": rate for most, rate in figures.batches.items()},
            "events in a call, at most",
        ),
        "by-size.svg": draw(
            [Panel("commits per second, by the size of the tables", {"": list(sizes.values())})],
            [held / 1e6 for held in sizes],
            "million rows in the tables before",
        ),
        "memory.svg": draw(
            [Panel("memory of the worker, MB", {"": [size / MB for _, size in memory]})],
            [at for at, _ in memory],
            "seconds",
        ),
        "latency.svg": bars(
            "how long an event takes, % of the events",
            histogram(figures.times),
            "milliseconds from the relay's frame to the durable commit, up to",
        ),
    }


async def plots(folder: Path, commits: int, rows: int, proven: int, seconds: float, runs: int) -> list[str]:
    """Measures on a server of its own, and draws; returns what is wrong about rows."""
    with child_folder() as temporary:
        async with EmbeddedPostgres(temporary / "postgres", settings=SERVER_SETTINGS) as server:
            print(*await describe(server, temporary), sep="\n", flush=True)
            figures = await measure(server, temporary, commits, rows, proven, seconds, runs)
    if not figures.wrong:
        write(folder, drawings(figures))
    return figures.wrong


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the drawings."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in files.items():
        (folder / name).write_text(drawing, encoding="utf-8")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="benchmarks.plots", description="Draws what docs/performance.md shows.")
    parser.add_argument("--commits", type=int, default=200_000, help="commits in a run (%(default)s)")
    parser.add_argument("--rows", type=int, default=9_000_000, help="rows of the largest tables (%(default)s)")
    parser.add_argument(
        "--proven", type=int, default=50_000, help="signed commits in a run of each VERIFY; 0: none (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the latency runs (%(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="runs of each, in turn; medians are drawn (%(default)s)")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "plots", help="where to write (docs/plots)")
    given = parser.parse_args()
    if given.commits < LEAST or 0 < given.proven < LEAST:
        parser.error(
            f"--commits and --proven: at least {LEAST:,}, because the first {latency.WARM_UP:.0f} s of latency do not count"
        )
    if given.rows < ROWS_PER_COMMIT * given.commits:
        parser.error(f"--rows: at least {ROWS_PER_COMMIT} times --commits, so that the smallest tables have each account")
    wrong = asyncio.run(plots(given.folder, given.commits, given.rows, given.proven, given.seconds, given.runs))
    print(*(["WRONG ROWS", *wrong] if wrong else [f"Drawn in {given.folder}"]), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
