"""One run at full speed: frames from the socket to durable rows, by the worker or by the classic design."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.processes import POLL, ROOT, START_TIMEOUT, Child, ChildFailed, child, relay, relay_url, server_cpu
from benchmarks.stream import EDGE, Load
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType

DATABASE = "bench"
SLOWEST = 500  # commits a second: below that a run is given up
WORKER = (str(ROOT / "unified_worker.py"),)
BARE_WORKER = ("-m", "benchmarks.bare")
CLASSIC = ("-m", "benchmarks.classic")

LOG_POSITION = "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8"  # bytes
# Looked up one by one: a join would read the whole table at every look, at the cost of what is measured.
ARRIVED = """
SELECT count(*) FROM unnest($1::text[], $2::text[]) AS l (did, rev)
WHERE (SELECT r.rev FROM unified_worker.repos AS r WHERE r.did = l.did) >= l.rev
"""
COUNT_NOTIFICATIONS = "SELECT count(*) FROM notifications WHERE uri = ANY($1)"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured: commits a second, the seconds that it took, CPU µs and bytes of write-ahead log a commit, bytes of
    memory (`rss`: at every quarter of the time), and what is wrong about the rows."""

    rate: float
    seconds: float
    python_us: float
    postgres_us: float
    relay_us: float
    wal_bytes: float
    peak_rss: int
    rss: tuple[int, ...]
    wrong: tuple[str, ...]


@asynccontextmanager
async def fresh_database(
    server: PostgresServer,
    record_types: Sequence[RecordType] = RECORD_TYPES,
    *,
    name: str = DATABASE,
    template: str | None = None,
    partitions: int = 0,
) -> AsyncGenerator[str]:
    """A database with the worker's tables, gone afterwards; nothing of an earlier run is left to be written to disk. It is
    empty, or a copy of `template`. `partitions`: as the worker's option has it."""
    administrator = await asyncpg.connect(server.url_of("postgres"))
    await administrator.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template} STRATEGY file_copy" if template else ""))
    try:
        url = server.url_of(name)
        pool = DatabasePool(url, size=1, name="benchmark", durable=True)
        await make_ready(pool, record_types, partitions=partitions)
        pool.terminate()
        await administrator.execute("CHECKPOINT")
        yield url
    finally:
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await administrator.execute("CHECKPOINT")
        await administrator.close()


async def run_into(
    url: str,
    server: PostgresServer,
    arguments: Sequence[str],
    frames: Path,
    load: Load,
    wanted: Mapping[str, int] | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    beside: Callable[[Child], AbstractAsyncContextManager[None]] = lambda _: nullcontext(),
) -> Run:
    """Serves the frames to `python ARGUMENTS` on a prepared database of `server` until their last commit is in it.

    The clock starts at the last look that found none of the first commits (looks are 10 ms apart) and ends at the look that
    finds all. `wanted`: the rows that there must be by table; those that the frames come to if it is not given. `settings`:
    more of what is measured; `beside`: what goes on meanwhile.
    """
    folder = frames.parent
    with relay(folder, "--frames", str(frames)) as source:
        given = {
            "DATABASE_URL": url,
            "RELAY_URL": await relay_url(source),
            "CURSOR": "oldest",
            "VERIFY": "off",
            "BACKFILL": "off",
            "HTTP_BIND": "127.0.0.1:0",
        }
        eye = await asyncpg.connect(url)
        try:
            with child("measured", arguments, folder, given | dict(settings or {})) as measured:
                async with beside(measured):
                    return await _watch(server, measured, source, eye, load, wanted or load.rows)
        finally:
            await eye.close()


async def _watch(
    server: PostgresServer, measured: Child, source: Child, eye: Connection, load: Load, wanted: Mapping[str, int]
) -> Run:
    postmaster = server.pid
    assert postmaster is not None

    def cpu() -> tuple[float, float, float]:
        return measured.cpu(), server_cpu(postmaster), source.cpu()

    log_before = await eye.fetchval(LOG_POSITION)
    while True:
        began, before = time.monotonic(), cpu()
        if await here(eye, load.first):
            break
        measured.check()
        await asyncio.sleep(POLL)
    memory = [measured.rss()]
    deadline = began + START_TIMEOUT + load.commits / SLOWEST
    while not await _arrived(eye, load):
        measured.check()
        if time.monotonic() > deadline:
            raise ChildFailed(f"the last commit did not come within {deadline - began:.0f} s")
        await asyncio.sleep(2 * POLL)
        memory.append(measured.rss())
    after, seconds = cpu(), time.monotonic() - began
    python, postgres, sender = (1e6 * (end - start) / load.commits for start, end in zip(before, after, strict=True))
    return Run(
        load.commits / seconds,
        seconds,
        python,
        postgres,
        sender,
        (await eye.fetchval(LOG_POSITION) - log_before) / load.commits,
        measured.highest_rss(),
        tuple(memory[len(memory) * quarter // 4 - 1] for quarter in (1, 2, 3, 4)),
        await wrong_rows(eye, wanted, load.undetermined),
    )


async def here(eye: Connection, commits: Sequence[tuple[str, str]]) -> int:
    """How many of these accounts have their last one of these commits in the database."""
    last = dict(commits)
    return await eye.fetchval(ARRIVED, list(last), list(last.values()))


async def _arrived(eye: Connection, load: Load) -> bool:
    """Whether the end is there: the very last commit, which is cheap to ask, then those before it in all lanes."""
    for last in (load.last[-1:], load.last[-EDGE:]):
        if await here(eye, last) < len(dict(last)):
            return False
    return True


async def count_rows(connection: Connection, tables: Iterable[str]) -> dict[str, int]:
    """Rows by table."""
    return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


async def wrong_rows(eye: Connection, wanted: Mapping[str, int], undetermined: Sequence[str] = ()) -> tuple[str, ...]:
    """Where the database holds another number of rows than it must. `undetermined`: notifications that don't count."""
    found = await count_rows(eye, wanted)
    if undetermined:
        found["notifications"] -= await eye.fetchval(COUNT_NOTIFICATIONS, undetermined)
    return tuple(f"{table}: {found[table]:,} rows instead of {n:,}" for table, n in wanted.items() if found[table] != n)
