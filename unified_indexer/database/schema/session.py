"""One connection for a command: open it, lend it, close it; and report failures in words."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy, sqlstate
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema.ready import find_ready, make_ready
from unified_indexer.errors import OperatorError, Stop, leaves
from unified_indexer.records import RECORD_TYPES

FAILURES = (LockLost, *DATABASE_ERRORS)  # what a command's database may do at any moment


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
        with in_words():
            schema = await make_ready(pool, RECORD_TYPES) if prepares else await find_ready(pool, patience=0)
            async with pool.lock_connection() as connection:
                await connection.execute("SET synchronous_commit = on")
                yield Session(pool, connection, schema)
    finally:
        pool.terminate()


@contextmanager
def in_words() -> Generator[None]:
    """What the database fails in the block ends it with one message: an OperatorError for what only an operator can correct,
    otherwise a Stop. A group of tasks may have met the same failure several times."""
    try:
        yield
    except FAILURES as error:
        raise _worded(error) from None
    except BaseExceptionGroup as group:
        failed, others = group.split(FAILURES)
        if failed is None or others is not None:  # what is unforeseen keeps its traceback
            raise
        raise _worded(leaves(failed)[0]) from None


def _worded(error: BaseException) -> OperatorError | Stop:
    message = str(error) or type(error).__name__
    if sqlstate(error) == "42501":
        return OperatorError([f"the database user may not do that ({message}): GRANT it, or use the worker's user"])
    if isinstance(error, LockLost) or remedy(error) is Remedy.RETRY:
        return SessionLost(f"the database connection failed ({message}): what was reported is done; run the command again")
    return Stop(f"the database refused it ({sqlstate(error)}: {message})")
