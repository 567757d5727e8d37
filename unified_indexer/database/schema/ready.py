"""Bring the database to where the worker can start: connected, locked, schema prepared; or say what prevents it."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from unified_indexer.config.database_url import redacted
from unified_indexer.database.connection.failures import DATABASE_ERRORS, READ_ONLY, sqlstate
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.database.connection.poolers import POOLER
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.connection.tls import tls_fault
from unified_indexer.database.schema.prepare import prepare, prepared
from unified_indexer.errors import OperatorError
from unified_indexer.log.handler import warn_limited
from unified_indexer.records.base.record_type import RecordType

log = logging.getLogger(__name__)

START_PATIENCE = 30.0  # seconds: for a database that is starting
# A pooler refuses our session settings; or statements are prepared on one connection and looked for on another.
POOLER_STATES = ("08P01", "26000", "42P05")
NO_WRITES = (
    "DATABASE_URL: {} takes no writes ({}): name the primary, or all hosts with target_session_attrs=read-write; if it is the "
    "primary, ALTER DATABASE … RESET default_transaction_read_only"
)
T = TypeVar("T")


async def make_ready(
    pool: DatabasePool, record_types: Sequence[RecordType], patience: float = START_PATIENCE, partitions: int = 0
) -> str:
    """Open the pool and prepare the schema; return the schema of the record tables.

    `patience`: seconds to wait for a database that does not answer, infinity for one that has answered before. `partitions`: as
    `prepare` has it. OperatorError names every fault that only an operator can mend.
    """
    return await reach(pool, lambda connection: prepare(connection, record_types, partitions), patience)


async def find_ready(pool: DatabasePool, patience: float = START_PATIENCE) -> str:
    """Like `make_ready`, but change nothing in the schema. Raises OperatorError if no worker of this version has prepared
    it."""
    return await reach(pool, prepared, patience)


async def reach(pool: DatabasePool, work: Callable[[Connection], Awaitable[T]], patience: float) -> T:
    """Open the pool and do the work on the lock's connection. Waits and raises as `make_ready`."""
    began = time.monotonic()
    while True:
        try:
            await pool.open()
            async with pool.watched(), pool.lock_connection() as connection:
                return await work(connection)
        except (LockLost, *DATABASE_ERRORS) as error:
            message = " ".join(str(error).split()) or type(error).__name__
            fault = tls_fault(error, pool.url) or _fault(error, redacted(pool.url), message)
            if pool.lock.standing_by:
                patience = math.inf
            if math.isinf(patience) and not is_pooler(error):
                fault = None  # it took us before: a password is being changed, or another server takes over
            if fault is not None or time.monotonic() >= began + patience:
                raise OperatorError([fault or _not_ready(error, redacted(pool.url), message)]) from None
            warn_limited(log, "database away", "The database does not answer (%s); trying again every second", message)
        await asyncio.sleep(1.0)


def is_pooler(error: BaseException) -> bool:
    """Whether the error shows that a pooler refused us."""
    return sqlstate(error) in POOLER_STATES


def _not_ready(error: BaseException, url: str, message: str) -> str:
    """What is to be said of a database that was waited for in vain."""
    if sqlstate(error) == "55P03":
        return f"DATABASE_URL: a table of {url} is locked by another session ({message}): end that one, then start again"
    if sqlstate(error) == READ_ONLY:
        return NO_WRITES.format(url, message)
    return f"DATABASE_URL: no connection to {url} ({message}): start the database or correct the address"


def _fault(error: BaseException, url: str, message: str) -> str | None:
    """What only the operator can correct; None if waiting may help."""
    state = sqlstate(error)
    if state.startswith("28"):
        return f"DATABASE_URL: {url} refuses the user or the password ({message}): correct them"
    if state == "3D000":
        return f"DATABASE_URL: the database of {url} does not exist: create it (CREATE DATABASE …) or correct the name"
    if is_pooler(error):
        return POOLER
    if state.startswith("42"):
        return f"DATABASE_URL: {url} does not allow this user what the worker needs ({message}): GRANT it"
    if isinstance(error, asyncpg.ClientConfigurationError):
        return f"DATABASE_URL: {url} can't be used ({message}): correct it"
    return None
