"""What a test asks of the worker's database: the cursor, whether all is done, the differences from the model."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from testing.model import compare
from testing.model.compare import EVERYTHING, Excused, Expecting, Within, nothing
from testing.waiting import DEADLINE, until

SWEEP = """
SELECT unified_worker.sweep(ARRAY(SELECT did FROM unified_worker.repos WHERE status = 'deleted' AND NOT active))
"""
UNSETTLED = """
SELECT EXISTS (SELECT FROM unified_worker.repos WHERE wiping) OR EXISTS (SELECT FROM unified_worker.judgements) OR EXISTS (
  SELECT FROM unified_worker.dead_letters JOIN unified_worker.repos AS r USING (did) WHERE reason = 'wiping' AND r.active)
"""


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncGenerator["asyncpg.Connection[Any]"]:
    """A connection of the test's own, told apart from the worker's by its application_name."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "the test"})
    try:
        yield connection
    finally:
        await connection.close()


async def stored_cursor(url: str, relay_url: str) -> int | None:
    """The cursor saved for this relay, None while there is none (or no table for it yet)."""
    async with connected(url) as connection:
        try:
            found = await connection.fetchval(
                "SELECT cursor FROM firehose_cursor WHERE service = $1", urlsplit(relay_url).netloc
            )
        except asyncpg.UndefinedTableError:
            return None
    return None if found is None else int(found)


async def saved(url: str, relay_url: str, seq: int, seconds: float = DEADLINE) -> None:
    """Wait until the cursor of this relay is saved at exactly this seq."""

    async def reached() -> bool:
        return await stored_cursor(url, relay_url) == seq

    await until(reached, f"the cursor is saved at {seq}", seconds)
    await settled(url, seconds)


async def settled(url: str, seconds: float = DEADLINE) -> None:
    """Wait until all is done beside the stream: deleted accounts are wiped, what waited for that is in, gates are judged."""
    async with connected(url) as connection:

        async def done() -> bool:
            return not await connection.fetchval(UNSETTLED)

        await until(done, "deleted accounts are wiped, what waited for it is applied, and gates are judged", seconds)


async def differences(url: str, model: Expecting, within: Within = EVERYTHING, excused: Excused = nothing) -> list[str]:
    """Where the database is not what the model says (`compare`). Its own trouble must have made no dead letter either."""
    async with connected(url) as connection:
        if await connection.fetchval("SELECT to_regprocedure('unified_worker.sweep(text[])') IS NOT NULL"):
            await connection.execute(SWEEP)  # whose notifications came while the last frames were written
        letters = await connection.fetch("SELECT * FROM unified_worker.dead_letters WHERE reason LIKE 'database%'")
        return await compare(model, connection, within, excused) + [str(letter) for letter in letters]


async def backends(url: str) -> list[str]:
    """What the worker's connections to this database are doing: a query each."""
    async with connected(url) as connection:
        rows = await connection.fetch(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%python%'"
        )
        return [row["query"] for row in rows]


async def terminate_backends(url: str, *, holding_lock: bool = False) -> int:
    """End the worker's connections from the database's side: all, or only that which holds the lock; how many it were."""
    locked = "AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1)" if holding_lock else ""
    async with connected(url) as connection:
        return len(
            await connection.fetch(
                f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE '%python%' {locked}"""
            )
        )
