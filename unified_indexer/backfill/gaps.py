"""What came in a gap of the stream is fetched: of chosen accounts at once, otherwise of those repos that changed since."""

import logging

from unified_indexer.backfill.again import keep
from unified_indexer.backfill.left_out import parts
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import listings, queue
from unified_indexer.selection import Selection

log = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two looks


class Gaps:
    """Asks once for each gap, one after the other."""

    def __init__(self, pool: DatabasePool, selection: Selection) -> None:
        self._pool = pool
        self._selection = selection

    async def keep_asking(self) -> None:
        """Look for gaps every minute, until cancelled."""
        await keep(self.ask, INTERVAL, log, "gap", "Could not ask for what came in a gap")

    async def ask(self) -> None:
        """Ask for what came in the oldest gap of which nobody asked."""
        accounts = self._selection.accounts
        async with self._pool.connection() as connection, connection.transaction():
            gap = await listings.ask_of_gap(connection, done=accounts is not None)
            if gap is None:
                return
            for part in parts(accounts or ()):
                await queue.want(connection, part, "gap", queue.MISSING)
        log.info("Looking for what came in gap %d of the stream: repos that changed since it began are fetched", gap)
