"""Count what does not get on, for metrics: wipes and waiting letters that fail again, deletions that nobody confirms."""

import asyncio
import logging

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.functions.dead_letters import PENDING
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics

log = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds
MOST = 100_000  # that are counted of each

# Of a letter that was tried in vain: what came since, or is to come, is no more than a wait.
LETTERS = f"""
SELECT count(*) FROM (
  SELECT FROM unified_worker.dead_letters WHERE reason IN ({PENDING}) AND retry_at IS NOT NULL LIMIT {MOST}) AS l
"""
WIPES = f"SELECT count(*) FROM (SELECT FROM unified_worker.stuck_wipes LIMIT {MOST}) AS w"
DELETIONS = f"""
SELECT count(*), coalesce(extract(epoch FROM now() - min(since)), 0)::float8
FROM (SELECT since FROM unified_worker.deletions LIMIT {MOST}) AS d
"""


class Stuck:
    """Keeps the numbers in `metrics`."""

    def __init__(self, pool: DatabasePool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics

    async def keep_counting(self) -> None:
        """Count once per minute, until cancelled."""
        while True:
            try:
                await self.count()
            except DATABASE_ERRORS as error:
                warn_limited(log, "stuck", "Could not count stuck wipes and dead letters (%s)", error)
            await asyncio.sleep(INTERVAL)

    async def count(self) -> None:
        """Count once."""
        async with self._pool.connection() as connection:
            self._metrics.stuck_wipes = await connection.fetchval(WIPES)
            self._metrics.stuck_letters = await connection.fetchval(LETTERS)
            deletions = await connection.fetchrow(DELETIONS)
        assert deletions is not None
        self._metrics.deletions_unconfirmed, self._metrics.oldest_deletion = deletions
