"""Notes what was fetched, and knows how far everything is: for the terminal, the page and Prometheus."""

import logging
from collections.abc import Callable

from unified_indexer.backfill.again import keep
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import standing
from unified_indexer.database.repair.standing import Done, Standing

log = logging.getLogger(__name__)

INTERVAL = 5.0  # seconds between two looks


class Progress:
    """`done` tells what this worker has done since its start. `standing`: None before the first look."""

    def __init__(self, pool: DatabasePool, done: Callable[[], Done]) -> None:
        self.standing: Standing | None = None
        self._pool = pool
        self._done = done
        self._noted = Done()

    async def keep_looking(self) -> None:
        """Look every few seconds, until cancelled."""
        await keep(self.look, INTERVAL, log, "progress", "Could not read how far all fetching is")

    async def look(self) -> None:
        """Note what was done since the last look, and read how far everything is."""
        now = self._done()
        fresh = Done(*(new - old for new, old in zip(now, self._noted, strict=True)))
        async with self._pool.connection() as connection:
            if any(fresh):
                await standing.note(connection, fresh)
                self._noted = now
            self.standing = await standing.read(connection)
