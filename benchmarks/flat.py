"""One long run of small commits, in windows: does what a commit costs, or the worker's memory, grow with their number?

python -m benchmarks.flat [--commits N] [--windows N] [--plot FILE]; exit 1 if rows are wrong.
"""

import argparse
import asyncio
import itertools
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.bare import BARE_TYPES
from benchmarks.bench import SERVER_SETTINGS
from benchmarks.machine import describe
from benchmarks.plot import Panel, draw
from benchmarks.processes import START_TIMEOUT, Child, ChildFailed, child, child_folder, relay_url, server_cpu
from benchmarks.small import FIRST_SEQ, rows
from benchmarks.throughput import BARE_WORKER, LOG_POSITION, SLOWEST, fresh_database, wrong_rows
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.embedded.server import PostgresServer

POLL = 0.1  # seconds
MB = 1_000_000
STORED = "SELECT coalesce(max(cursor::bigint), $1) FROM firehose_cursor"


@dataclass(frozen=True, slots=True)
class Reading:
    """What stood on the clocks when so many commits were stored: seconds, seconds of CPU, bytes of log and memory."""

    commits: int
    at: float
    python: float
    postgres: float
    sender: float
    log: float
    rss: int


@dataclass(frozen=True, slots=True)
class Window:
    """Between two readings: commits a second, CPU µs and bytes of log a commit; memory at its end, bytes."""

    commits: int
    rate: float
    python_us: float
    postgres_us: float
    sender_us: float
    wal_bytes: float
    rss: int


def window(first: Reading, last: Reading) -> Window:
    """What the one reading has more than the other."""
    commits = last.commits - first.commits
    python, postgres, sender = (
        1e6 * (after - before) / commits
        for before, after in (
            (first.python, last.python),
            (first.postgres, last.postgres),
            (first.sender, last.sender),
        )
    )
    rate = commits / (last.at - first.at)
    return Window(last.commits, rate, python, postgres, sender, (last.log - first.log) / commits, last.rss)


async def watch(
    server: PostgresServer, eye: Connection, worker: Child, source: Child, commits: int, windows: int
) -> list[Reading]:
    """A reading at the start and at the end of each window, by the cursor that the worker stores every second: windows that
    end within the same second are one."""
    postmaster = server.pid
    assert postmaster is not None
    found: list[Reading] = []
    deadline = time.monotonic() + START_TIMEOUT + commits / SLOWEST
    due = 0
    while due <= commits:
        stored = await eye.fetchval(STORED, FIRST_SEQ - 1) - FIRST_SEQ + 1
        if stored >= due:
            due = (stored * windows // commits + 1) * commits // windows
            found.append(
                Reading(
                    stored,
                    time.monotonic(),
                    worker.cpu(),
                    server_cpu(postmaster),
                    source.cpu(),
                    await eye.fetchval(LOG_POSITION),
                    worker.rss(),
                )
            )
        worker.check()
        if time.monotonic() > deadline:
            raise ChildFailed(f"{stored:,} commits within {START_TIMEOUT + commits / SLOWEST:.0f} s")
        await asyncio.sleep(POLL)
    return found


async def flat(server: PostgresServer, folder: Path, commits: int, windows: int) -> tuple[list[Window], tuple[str, ...]]:
    """The windows of one run, and what is wrong about the rows at its end."""
    async with fresh_database(server, BARE_TYPES) as url:
        eye = await asyncpg.connect(url)
        try:
            with child("relay", ["-u", "-m", "benchmarks.small", "--commits", str(commits)], folder) as source:
                settings = {
                    "DATABASE_URL": url,
                    "RELAY_URL": await relay_url(source),
                    "CURSOR": "oldest",
                    "VERIFY": "off",
                    "BACKFILL": "off",
                    "HTTP_BIND": "127.0.0.1:0",
                }
                with child("measured", BARE_WORKER, folder, settings) as worker:
                    readings = await watch(server, eye, worker, source, commits, windows)
            return [window(*pair) for pair in itertools.pairwise(readings)], await wrong_rows(eye, rows(commits))
        finally:
            await eye.close()


def table(windows: list[Window]) -> list[str]:
    """A line for each window."""
    head = f"{'commits':>12}{'commits/s':>11}{'Python µs':>11}{'PostgreSQL µs':>15}{'sender µs':>11}{'WAL bytes':>11}{'RSS':>9}"
    return [
        head,
        *(
            f"{w.commits:>12,}{w.rate:>11,.0f}{w.python_us:>11.1f}{w.postgres_us:>15.1f}{w.sender_us:>11.1f}"
            f"{w.wal_bytes:>11,.0f}{w.rss / MB:>6.0f} MB"
            for w in windows
        ),
    ]


def panels(windows: list[Window]) -> list[Panel]:
    """What is drawn."""
    return [
        Panel(
            "CPU µs a commit",
            {"PostgreSQL": [w.postgres_us for w in windows], "Python": [w.python_us for w in windows]},
        ),
        Panel("commits a second", {"commits/s": [w.rate for w in windows]}),
        Panel("memory of the worker, MB", {"RSS": [w.rss / MB for w in windows]}),
    ]


async def measure(commits: int, windows: int) -> tuple[list[Window], tuple[str, ...]]:
    """Measures on a server of its own, and prints on what machine."""
    with child_folder() as folder:
        async with EmbeddedPostgres(folder / "postgres", settings=SERVER_SETTINGS) as server:
            print(*await describe(server, folder), "", sep="\n", flush=True)
            return await flat(server, folder, commits, windows)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="benchmarks.flat", description="A long run of small commits.")
    parser.add_argument("--commits", type=int, default=10_000_000, help="(%(default)s)")
    parser.add_argument("--windows", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--plot", type=Path, help="where to write a drawing (SVG)")
    arguments = parser.parse_args()
    found, wrong = asyncio.run(measure(arguments.commits, arguments.windows))
    print(*table(found), "", *(["WRONG ROWS", *wrong] if wrong else ["Every row is there."]), sep="\n")
    if arguments.plot is not None:
        arguments.plot.write_text(draw(panels(found), [w.commits / 1e6 for w in found], "million commits"))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
