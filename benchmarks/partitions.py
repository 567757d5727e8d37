"""What --partitions costs: python -m benchmarks.partitions [--commits N] [--partitions N] [--runs N].

`make bench BENCH=--partitions` runs it with 16 partitions.

Whole and divided tables take turns, the order reversed each time, so that a slow minute of the machine hits both.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from statistics import median

from benchmarks.processes import child_folder
from benchmarks.stream import make_stream
from benchmarks.throughput import WORKER, Run, fresh_database, run_into
from unified_indexer.embedded.programs import EmbeddedPostgres

SERVER_SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB"}


async def compare(commits: int, partitions: int, runs: int, ours: Mapping[str, str] | None = None) -> bool:
    """Measures and prints; returns whether every run left the rows that it should. `ours`: more settings of PostgreSQL."""
    done: dict[int, list[Run]] = {0: [], partitions: []}
    with child_folder() as folder:
        frames = folder / "frames.bin"
        load = make_stream(frames, commits)
        async with EmbeddedPostgres(folder / "postgres", settings=SERVER_SETTINGS | dict(ours or {})) as server:
            for number in range(runs):
                for divided in list(done)[:: -1 if number % 2 else 1]:
                    async with fresh_database(server, partitions=divided) as url:
                        result = await run_into(url, server, WORKER, frames, load)
                    done[divided].append(result)
                    print(
                        f"{divided:>3} partitions: {result.rate:,.0f} commits/s, PostgreSQL {result.postgres_us:.0f} us and "
                        f"{result.wal_bytes:,.0f} bytes of log a commit {' '.join(result.wrong)}",
                        flush=True,
                    )
    whole, divided = done.values()
    for name, of in (("rate", "rate"), ("PostgreSQL's CPU", "postgres_us"), ("log", "wal_bytes")):
        ratios = sorted(getattr(ours, of) / getattr(theirs, of) for ours, theirs in zip(divided, whole, strict=True))
        print(f"{name}: {median(ratios):.3f} of whole tables' (median of {runs} pairs, {ratios[0]:.3f} to {ratios[-1]:.3f})")
    return not any(result.wrong for result in (*whole, *divided))


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="benchmarks.partitions", description="Measures what --partitions costs.")
    parser.add_argument("--commits", type=int, default=100_000, help="commits in a run (%(default)s)")
    parser.add_argument("--partitions", type=int, default=16, help="how many (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs (%(default)s)")
    arguments = parser.parse_args()
    sys.exit(not asyncio.run(compare(arguments.commits, arguments.partitions, arguments.runs)))


if __name__ == "__main__":
    main()
