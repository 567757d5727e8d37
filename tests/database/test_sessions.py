"""Settings of the database, the role or the server that change what SQL means do not change what the worker writes."""

import asyncpg
import pytest

from indexer.database.pool import DatabasePool
from indexer.database.ready import make_ready
from indexer.database.sessions import SESSION_SETTINGS, settle
from indexer.metrics import Metrics
from indexer.processor import EventProcessor
from indexer.records import RECORD_TYPES
from tests.database.builder import LIKE, POST, Stream, did, like, put
from tests.database.test_schema import write_story
from tests.database.worker import Worker, connected

HOSTILE = {
    "default_transaction_isolation": "repeatable read",
    "default_transaction_deferrable": "on",
    "standard_conforming_strings": "off",
    "backslash_quote": "on",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "100ms",
    "transaction_timeout": "100ms",  # from PostgreSQL 17 on
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "search_path": "pg_catalog, public",
    "session_replication_role": "replica",
    "row_security": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "bytea_output": "escape",
    "check_function_bodies": "off",
    "plpgsql.extra_errors": "all",
    "exit_on_error": "on",
    "gin_fuzzy_search_limit": "1",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
    "enable_seqscan": "on",
    "plan_cache_mode": "force_custom_plan",
    "jit": "on",
    "synchronous_commit": "off",
    "client_min_messages": "debug1",
    "quote_all_identifiers": "on",
    "extra_float_digits": "-15",
    "work_mem": "64kB",
}


async def change(url: str, settings: dict[str, str]) -> None:
    """ALTER DATABASE for each of them that the server has."""
    async with connected(url) as connection:
        name = await connection.fetchval("SELECT current_database()")
        known = {row["name"].lower() for row in await connection.fetch("SELECT name FROM pg_settings")}
        for setting, value in settings.items():
            if setting in known or "." in setting:
                listed = value if setting == "search_path" else "'" + value.replace("'", "''") + "'"
                await connection.execute(f"ALTER DATABASE {name} SET {setting} = {listed}")


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


def test_what_changes_the_meaning_of_sql_is_set_or_has_its_own_case() -> None:
    assert set(SESSION_SETTINGS) - set(HOSTILE) == {
        "application_name",
        "client_connection_check_interval",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_keepalives_count",
    }
    assert set(HOSTILE) - set(SESSION_SETTINGS) == {
        *("transaction_timeout", "search_path", "session_replication_role"),  # set once the connection is there
        *("bytea_output", "quote_all_identifiers", "extra_float_digits", "work_mem"),  # change nothing that we say
    }
