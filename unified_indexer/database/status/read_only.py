"""Read-only sessions in a database that a worker has prepared, with a time limit that a person can bear."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema.session import session
from unified_indexer.errors import Stop

T = TypeVar("T")

TIMEOUT = "10s"  # a statement


async def read_only(url: str, name: str, ask: Callable[[Connection, str], Awaitable[T]]) -> T:
    """Return what `ask(connection, schema)` returns; `name` names the session. Raises as `session`, and Stop if it takes too
    long."""
    async with session(url, name) as (_, connection, schema), connection.transaction(readonly=True):
        await connection.execute(f"SET LOCAL statement_timeout = '{TIMEOUT}'")
        try:
            return await ask(connection, schema)
        except asyncpg.QueryCanceledError:
            raise Stop(f"the database did not answer within {TIMEOUT}: it is busy, or a table is locked; try again") from None
