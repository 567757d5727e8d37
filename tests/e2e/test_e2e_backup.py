"""A dump taken while the worker writes, restored elsewhere: a worker goes on from it, nothing missing and nothing double."""

import asyncio
import shlex
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.databases import connected, differences, stored_cursor
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import finished, running
from tests.conftest import administer
from unified_indexer.embedded.server import PostgresServer

RATE = 1_000.0  # frames a second: the stream flows on while the dump is taken


async def run(*command: str) -> None:
    """One of PostgreSQL's own programs, to its end."""
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def stored(url: str, relay_url: str) -> bool:
    """Whether a cursor is."""
    return await stored_cursor(url, relay_url) is not None


@pytest.mark.long
@pytest.mark.promise(1)
@pytest.mark.promise(2)
async def test_a_dump_beside_the_worker_is_consistent_with_its_cursor(
    pg18: PostgresServer, database: str, tmp_path: Path
) -> None:
    programs = Path(shlex.split(pg18.psql)[0]).parent
    if not (programs / "pg_dump").exists():
        pytest.skip("this package of PostgreSQL has no pg_dump")
    stream = traffic(3_000, awkward=True, seed=31)
    dump = tmp_path / "dump"
    async with RelayServer(stream.frames, rate=RATE) as relay:
        async with running(database, relay.url) as worker:
            # Past the first saving, so that the dump has a cursor; far from the end, so that rows come while it is taken.
            await until(lambda: stored(database, relay.url), "a cursor is stored")
            before = worker.metrics.finished
            await run(str(programs / "pg_dump"), "--format=custom", f"--file={dump}", database)
            assert before <= worker.metrics.finished < len(stream.frames)  # a loaded machine may write nothing meanwhile
            await finished(worker, stream.last_seq)
        restored = pg18.url_of("restored")
        await administer(pg18, "CREATE DATABASE restored TEMPLATE template0")
        try:
            await run(str(programs / "pg_restore"), "--exit-on-error", f"--dbname={restored}", str(dump))
            cursor = await stored_cursor(restored, relay.url)
            assert cursor is not None
            async with connected(restored) as connection:
                # The cursor is saved each second: rows from beyond it are in the dump, and come again.
                assert cursor < await connection.fetchval("SELECT max(seq) FROM unified_worker.repos") < stream.last_seq
            async with running(restored, relay.url) as worker:
                await finished(worker, stream.last_seq)
                assert worker.metrics.stale > 0
            assert relay.cursors[-1] == cursor
            assert await differences(restored, stream.model) == []
        finally:
            await administer(pg18, "DROP DATABASE restored WITH (FORCE)")
    assert await differences(database, stream.model) == []
