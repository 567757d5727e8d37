"""Keeps what look-ups found in the tables: many rows at a time, on a connection of its own, never in a commit's transaction."""

import asyncio
import logging
from collections.abc import Collection

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.identity import store
from unified_indexer.identity.store import Row
from unified_indexer.log.handler import warn_limited

INTERVAL = 1.0  # seconds between two writes
MOST_WAITING = 20_000  # rows, and as many marks; what is left out then is asked for again some day

log = logging.getLogger(__name__)


class Records:
    """Rows to be read now and written soon."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool
        self._rows: dict[str, Row] = {}
        self._marks: dict[str, None] = {}

    async def read(self, dids: Collection[str]) -> list[Row] | None:
        """The rows of these DIDs that there are; None if the database does not answer."""
        try:
            async with self._pool.connection() as connection:
                return await store.read(connection, dids)
        except DATABASE_ERRORS as error:
            warn_limited(log, "identities", "Could not read identities (%s)", error)
            return None

    def write(self, row: Row) -> None:
        """Have a row written soon."""
        self._marks.pop(row.did, None)
        self._rows[row.did] = row
        if len(self._rows) > MOST_WAITING:
            del self._rows[next(iter(self._rows))]

    def mark(self, did: str) -> None:
        """Have it noted that a DID is to be asked for again."""
        self._marks[did] = None
        if len(self._marks) > MOST_WAITING:
            del self._marks[next(iter(self._marks))]

    async def keep_writing(self) -> None:
        """Write what came, once a second, until cancelled. What the database does not take now is written later."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Write what came."""
        if not self._rows and not self._marks:
            return
        rows, marks = self._rows, self._marks
        self._rows, self._marks = {}, {}
        try:
            async with self._pool.connection() as connection:
                await store.write(connection, list(rows.values()))
                await store.mark(connection, list(marks))
        except DATABASE_ERRORS as error:
            warn_limited(log, "identities", "Could not write identities (%s); trying again", error)
            self._rows, self._marks = rows | self._rows, marks | self._marks
