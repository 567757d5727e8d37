"""The worker's way into a database, without the stream: a pool that is ready, and the events of a lane."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from testing.databases import connected
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema.ready import find_ready, make_ready
from unified_indexer.database.write.writer import Writer
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.processor import EventProcessor
from unified_indexer.protocol.events import RepoEvent
from unified_indexer.records import RECORD_TYPES

TABLES = ("users", "posts", "likes", "reposts", "follows")
# When a row was written is no part of what it says.
LEFT_OUT = {"indexed_at", "updated_at"}


class Worker(NamedTuple):
    """`connection` is the test's own, beside the worker's."""

    pool: DatabasePool
    processor: EventProcessor
    metrics: Metrics
    connection: Connection
    confirm: bool = False

    async def write(self, *events: RepoEvent) -> list[str]:
        """Applies the events in one batch; an outcome per event, in the database's words."""
        _, outcomes = await Writer(self.pool, confirm=self.confirm).write(0, events)
        return [str(outcome) for outcome in outcomes]

    async def value(self, query: str, *arguments: Any) -> Any:
        return await self.connection.fetchval(query, *arguments)

    async def column(self, query: str, *arguments: Any) -> list[Any]:
        """The first column of the rows."""
        return [row[0] for row in await self.connection.fetch(query, *arguments)]

    async def rows(self, tables: Sequence[str] = TABLES) -> dict[str, list[dict[str, Any]]]:
        return {table: await rows_of(self.connection, table) for table in tables}

    async def letters(self) -> list[tuple[str, str, str, int]]:
        """(path, reason, detail, attempts) of the dead letters, oldest first."""
        query = "SELECT path, reason, detail, attempts FROM unified_worker.dead_letters ORDER BY id"
        return [tuple(row) for row in await self.connection.fetch(query)]


async def ask(pool: DatabasePool) -> None:
    """A statement on the lock's connection."""
    async with pool.lock_connection() as connection:
        await connection.fetchval("SELECT 1")


async def rows_of(connection: Connection, table: str) -> list[dict[str, Any]]:
    """A table's rows, with instants in UTC whatever the column's type."""
    found = [dict(row) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1")]
    left_out = {*LEFT_OUT, "created_at"} if table == "users" else LEFT_OUT
    return [{name: _plain(value) for name, value in row.items() if name not in left_out} for row in found]


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


@asynccontextmanager
async def opened(
    url: str,
    *,
    size: int = 3,
    name: str = "relay.test",
    durable: bool = True,
    confirm: bool = False,
    prepared: bool = False,
    publishes: bool = False,
) -> AsyncGenerator[Worker]:
    """A worker's database side, ready as after its start. `prepared`: this version has made the database ready before.
    `publishes`: as with PUBLISH."""
    pool = DatabasePool(url, size=size, name=name, durable=durable, publishes=publishes)
    metrics = Metrics()
    try:
        await (find_ready(pool) if prepared else make_ready(pool, RECORD_TYPES))
        async with connected(url) as connection:
            yield Worker(pool, EventProcessor(pool, metrics, confirm=confirm), metrics, connection, confirm)
    finally:
        pool.terminate()
