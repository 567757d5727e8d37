"""The keeper: of all shares' workers the one that does what is done once for a database (wipes, finding repos, what waits).

One lock more in the session of the worker's own: it ends with that, and the next one that asks has it.
"""

import asyncio
import logging

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.log.handler import warn_limited

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two attempts


class Keeper:
    """Whether this worker is the keeper, for as long as one session (`begin`)."""

    def __init__(self, pool: DatabasePool) -> None:
        self.keeps = False
        self._pool = pool

    def begin(self) -> None:
        """A session begins, under a new lock."""
        self.keeps = False

    async def become(self) -> None:
        """Wait until this worker is the keeper. Raises LockLost."""
        while not self.keeps:
            try:
                async with self._pool.lock_connection() as connection:
                    self.keeps = await self._pool.lock.try_keeping(connection)
            except DATABASE_ERRORS as error:
                warn_limited(log, "keeper", "Could not ask who does what is done once for all shares (%s)", error)
            if not self.keeps:
                await asyncio.sleep(INTERVAL)
