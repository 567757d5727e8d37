"""One run at full speed: frames from the socket to durable rows, by the worker or by the classic design."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.processes import POLL, ROOT, START_TIMEOUT, Child, ChildFailed, child, relay, relay_url, server_cpu
from benchmarks.stream import LAST, Expected
from indexer.database.pool import Connection, DatabasePool
from indexer.database.ready import make_ready
from indexer.postgres import PostgresServer
from indexer.records import RECORD_TYPES

DATABASE = "bench"
SLOWEST = 500  # commits a second: below that a run is given up
WORKER = (str(ROOT / "unified_worker.py"),)
CLASSIC = ("-m", "benchmarks.classic")

BEGUN = "SELECT EXISTS (SELECT FROM unified_worker.repos)"
ARRIVED = """
SELECT count(*) FROM unnest($1::text[], $2::text[]) AS l (did, rev) JOIN unified_worker.repos AS r USING (did)
WHERE r.rev >= l.rev
"""
COUNT = "SELECT count(*) FROM {table}"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured: commits a second, the seconds that it took, CPU µs a commit, bytes of memory (`rss`: at every
    quarter of the time), and what is wrong about the rows."""

    rate: float
    seconds: float
    python_us: float
    postgres_us: float
    relay_us: float
    peak_rss: int
    rss: tuple[int, ...]
    wrong: tuple[str, ...]


@asynccontextmanager
async def fresh_database(server: PostgresServer) -> AsyncGenerator[str]:
    """An empty database with the worker's tables, gone afterwards; nothing of an earlier run is left to be written to disk."""
    administrator = await asyncpg.connect(server.url_of("postgres"))
    await administrator.execute(f"CREATE DATABASE {DATABASE}")
    try:
        url = server.url_of(DATABASE)
        pool = DatabasePool(url, size=1, name="benchmark", durable=True)
        await make_ready(pool, RECORD_TYPES)
        pool.terminate()
        await administrator.execute("CHECKPOINT")
        yield url
    finally:
        await administrator.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        await administrator.execute("CHECKPOINT")
        await administrator.close()


async def run(server: PostgresServer, arguments: Sequence[str], frames: Path, expected: Expected) -> Run:
    """Serves the frames to `python ARGUMENTS` on an empty database until their last commit is in it."""
    async with fresh_database(server) as url:
        return await run_into(url, server, arguments, frames, expected)


async def run_into(url: str, server: PostgresServer, arguments: Sequence[str], frames: Path, expected: Expected) -> Run:
    """The same on a database of `server` that is prepared and empty.

    The clock starts at the last look that found no row (looks are 10 ms apart) and ends at the look that finds all.
    """
    folder = frames.parent
    with relay(folder, "--frames", str(frames)) as source:
        settings = {"DATABASE_URL": url, "RELAY_URL": await relay_url(source), "CURSOR": "oldest"}
        eye = await asyncpg.connect(url)
        try:
            with child("measured", arguments, folder, settings) as measured:
                return await _watch(server, measured, source, eye, expected)
        finally:
            await eye.close()


async def _watch(server: PostgresServer, measured: Child, source: Child, eye: Connection, expected: Expected) -> Run:
    postmaster = server.pid
    assert postmaster is not None

    def cpu() -> tuple[float, float, float]:
        return measured.cpu(), server_cpu(postmaster), source.cpu()

    while True:
        began, before = time.monotonic(), cpu()
        if await eye.fetchval(BEGUN):
            break
        measured.check()
        await asyncio.sleep(POLL)
    memory = [measured.rss()]
    deadline = began + START_TIMEOUT + expected.commits / SLOWEST
    while not await _arrived(eye, expected):
        measured.check()
        if time.monotonic() > deadline:
            raise ChildFailed(f"the last commit did not come within {deadline - began:.0f} s")
        await asyncio.sleep(2 * POLL)
        memory.append(measured.rss())
    after, seconds = cpu(), time.monotonic() - began
    python, postgres, sender = (1e6 * (end - start) / expected.commits for start, end in zip(before, after, strict=True))
    return Run(
        expected.commits / seconds,
        seconds,
        python,
        postgres,
        sender,
        measured.highest_rss(),
        tuple(memory[len(memory) * quarter // 4 - 1] for quarter in (1, 2, 3, 4)),
        await _wrong(eye, expected),
    )


async def _arrived(eye: Connection, expected: Expected) -> bool:
    """Whether the end is there: the very last commit, which is cheap to ask, then those before it in all lanes."""
    for last in (expected.last[-1:], expected.last[-LAST:]):
        wanted = dict(last)  # an account's last one
        if await eye.fetchval(ARRIVED, list(wanted), list(wanted.values())) < len(wanted):
            return False
    return True


async def _wrong(eye: Connection, expected: Expected) -> tuple[str, ...]:
    """Where the database holds another number of rows than the stream comes to."""
    found = {table: await eye.fetchval(COUNT.format(table=table)) for table in expected.rows()}
    return tuple(
        f"{table}: {found[table]:,} rows instead of {n:,}" for table, n in expected.rows().items() if found[table] != n
    )
