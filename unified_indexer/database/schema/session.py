"""One connection for a command: open it, lend it, close it; and report failures in words."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy, sqlstate
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema.ready import find_ready, make_ready
from unified_indexer.errors import OperatorError, Stop
from unified_indexer.records import RECORD_TYPES


class Session(NamedTuple):
    """A command's connection. `schema`: where the record tables are."""

    pool: DatabasePool
    connection: Connection
    schema: str


class SessionLost(Stop):
    """The database connection ended before the command did."""


@asynccontextmanager
async def session(url: str, name: str, *, prepares: bool = False, publishes: bool = False) -> AsyncGenerator[Session]:
    """A connection to a database that a worker has prepared. `prepares`: the schema is prepared as the worker does it, and
    what is written is durable with each transaction. `publishes`: what is written is noted for PUBLISH.

    Raises OperatorError for what only an operator can correct, and Stop for failures.
    """
    pool = DatabasePool(url, size=1, name=name, durable=True, exclusive=False, publishes=publishes)
    try:
        schema = await make_ready(pool, RECORD_TYPES) if prepares else await find_ready(pool, patience=0)
        async with pool.lock_connection() as connection:
            await connection.execute("SET synchronous_commit = on")
            yield Session(pool, connection, schema)
    except (LockLost, *DATABASE_ERRORS) as error:
        message = str(error) or type(error).__name__
        if sqlstate(error) == "42501":
            raise OperatorError(
                [f"the database user may not do that ({message}): GRANT it, or use the worker's user"]
            ) from None
        if isinstance(error, LockLost) or remedy(error) is Remedy.RETRY:
            raise SessionLost(
                f"the database connection failed ({message}): what was reported is done; run the command again"
            ) from None
        raise Stop(f"the database refused it ({sqlstate(error)}: {message})") from None
    finally:
        pool.terminate()
