"""pgbouncer: a session per connection is as good as none between; in transaction mode it is refused, before anything is set."""

from collections.abc import AsyncIterator

import asyncpg.connection
import pytest

from testing.between import IGNORED, Pgbouncer, needs_pgbouncer, pgbouncer
from testing.database_side import opened
from testing.databases import connected
from testing.documents import read
from unified_indexer.database.connection.sessions import SESSION_SETTINGS
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import OperatorError

LEFT = "SELECT name, setting FROM pg_settings WHERE name IN ('synchronous_commit', 'enable_seqscan', 'jit') ORDER BY 1"


def name_of(database: str) -> str:
    return database.partition("?")[0].rpartition("/")[2]


@pytest.fixture(params=["", IGNORED], ids=["strict", "ignoring"])
async def pooler(request: pytest.FixtureRequest, database: str, pg18: PostgresServer) -> AsyncIterator[Pgbouncer]:
    async with pgbouncer(pg18, name_of(database), "transaction", request.param) as bouncer:
        yield bouncer


@pytest.mark.promise(2)
@needs_pgbouncer
async def test_a_pooler_is_refused_with_the_remedy(pooler: Pgbouncer, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):  # what a refused start leaves behind on the pooler's connections doesn't change what the next is told
        monkeypatch.setattr(asyncpg.connection, "_uid", 0)  # as in a new process: statements get the same names again
        with pytest.raises(OperatorError) as caught:
            async with opened(pooler.url):
                pass
        (fault,) = caught.value.faults
        assert "connection pooler" in fault
        assert "point it at PostgreSQL itself" in fault
    monkeypatch.setattr(asyncpg.connection, "_uid", 1_000)
    async with connected(pooler.url) as another:  # another program's, in the sessions that we had for a moment
        assert [tuple(row) for row in await another.fetch(LEFT)] == [
            ("enable_seqscan", "on"),
            ("jit", "on"),
            ("synchronous_commit", "on"),
        ]


@needs_pgbouncer
async def test_a_session_per_connection_gets_our_settings(database: str, pg18: PostgresServer) -> None:
    async with (
        pgbouncer(pg18, name_of(database), "session", IGNORED) as bouncer,
        opened(bouncer.url) as worker,
        worker.pool.connection() as lane,
        worker.pool.lock_connection() as lock,
        connected(database) as straight,
    ):
        for connection in (lane, lock):
            for name, value in SESSION_SETTINGS.items():
                expected = await straight.fetchval("SELECT set_config($1, $2, false)", name, value)
                assert await connection.fetchval("SELECT current_setting($1)", name) == expected, name


def test_the_page_says_what_the_pooler_is_to_ignore() -> None:
    assert f"\n{IGNORED}\n" in read("docs/high-availability.md")
