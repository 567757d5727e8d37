"""A look into a database that a worker has prepared: read-only, on one connection, for no longer than a person waits."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from indexer.database.failures import DATABASE_ERRORS, sqlstate
from indexer.database.pool import Connection, DatabasePool, LockLost
from indexer.database.ready import find_ready
from indexer.errors import OperatorError, Stop

T = TypeVar("T")

TIMEOUT = "10s"  # a statement


async def look(url: str, name: str, ask: Callable[[Connection, str], Awaitable[T]]) -> T:
    """What `ask(connection, schema)` returns; `name` is the looker's.

    OperatorError where the database can't be reached, or no worker of this version has prepared it; Stop for what fails.
    """
    pool = DatabasePool(url, size=1, name=name, durable=True, exclusive=False)
    try:
        schema = await find_ready(pool, patience=0)
        async with pool.lock_connection() as connection, connection.transaction(readonly=True):
            await connection.execute(f"SET LOCAL statement_timeout = '{TIMEOUT}'")
            return await ask(connection, schema)
    except (LockLost, *DATABASE_ERRORS) as error:
        told = str(error) or type(error).__name__
        match sqlstate(error):
            case "42501":
                raise OperatorError([f"the database user may not see that ({told}): GRANT it, or use the worker's"]) from None
            case "57014":
                raise Stop(
                    f"the database did not answer within {TIMEOUT}: it is busy, or a table is locked; try again"
                ) from None
            case _:
                raise Stop(f"the database could not be looked into ({told}): try again") from None
    finally:
        pool.terminate()
