"""Settings of the database, the role or the server that change what SQL means do not change what the worker writes."""

import asyncpg
import pytest

from testing.commits import LIKE, POST, Stream, did, like, put
from testing.database_side import Worker
from testing.databases import connected
from testing.hostile import HOSTILE, change
from tests.database.schema.test_schema import write_story
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import SESSION_SETTINGS, settle
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.errors import OperatorError
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.processor import EventProcessor
from unified_indexer.records import RECORD_TYPES


async def story(url: str) -> object:
    """The rows that a worker of this database writes, read by a session with the worker's settings."""
    pool, metrics = DatabasePool(url, size=3, name="relay.test", durable=True), Metrics()
    reader = await asyncpg.connect(url, server_settings=SESSION_SETTINGS)
    try:
        await settle(reader)
        await make_ready(pool, RECORD_TYPES)
        worker = Worker(pool, EventProcessor(pool, metrics), metrics, reader)
        await write_story(worker)
        # A commit that waits for a row of another table: what for is read out of the server's message.
        await reader.execute("ALTER TABLE likes ADD FOREIGN KEY (post_uri) REFERENCES posts NOT VALID")
        waits = Stream().commit("w", put(f"{LIKE}/1", like(f"at://{did('a')}/{POST}/later")))
        assert await worker.write(waits) == ["refused:23503"]
        awaited = await worker.column("SELECT awaited FROM unified_worker.dead_letters")
        return await worker.rows(), await worker.column("SELECT uri FROM unified_worker.duplicate_records ORDER BY 1"), awaited
    finally:
        await reader.close()
        pool.terminate()


@pytest.mark.parametrize("hostile", [*HOSTILE, "all of them"])
async def test_a_hostile_setting_changes_nothing(any_database: str, database: str, hostile: str) -> None:
    await change(any_database, HOSTILE if hostile == "all of them" else {hostile: HOSTILE[hostile]})
    assert await story(any_database) == await story(database)


@pytest.mark.parametrize("first", ["a plain start", "a hostile one"])
async def test_a_later_start_finds_what_an_earlier_one_made(any_database: str, first: str) -> None:
    if first == "a plain start":
        await started(any_database)
    await change(any_database, HOSTILE)
    await started(any_database)
    await change(any_database, dict.fromkeys(HOSTILE, "DEFAULT"))
    await started(any_database)


async def test_a_database_that_takes_no_writes_is_told_with_what_to_do(any_database: str) -> None:
    """default_transaction_read_only is not overruled, for by it hosters protect a disk that is nearly full."""
    await change(any_database, {"default_transaction_read_only": "on"})
    pool = DatabasePool(any_database, size=1, name="relay.test", durable=True)
    with pytest.raises(OperatorError) as caught:
        await make_ready(pool, RECORD_TYPES, patience=0)
    pool.terminate()
    (fault,) = caught.value.faults
    assert "takes no writes" in fault
    assert "ALTER DATABASE … RESET default_transaction_read_only" in fault
    async with connected(any_database) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await started(any_database)


async def started(url: str) -> None:
    """A worker's start, of which nothing is left but the tables."""
    pool = DatabasePool(url, size=1, name="relay.test", durable=True)
    try:
        await make_ready(pool, RECORD_TYPES)
    finally:
        pool.terminate()


def test_what_changes_the_meaning_of_sql_is_set_or_has_its_own_case() -> None:
    assert set(SESSION_SETTINGS) - set(HOSTILE) == {
        "application_name",
        "client_connection_check_interval",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_keepalives_count",
        "tcp_user_timeout",
    }
    assert set(HOSTILE) - set(SESSION_SETTINGS) == {
        *("transaction_timeout", "search_path", "session_replication_role"),  # set once the connection is there
        *("bytea_output", "extra_float_digits", "work_mem"),  # change nothing that we say
    }
