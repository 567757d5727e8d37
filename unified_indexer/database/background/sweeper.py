"""Remove late rows once per hour: notifications to accounts that are deleted and wiped, and the traces of closed letters
whose frames no relay has any more."""

import asyncio
import logging

from unified_indexer.database.connection.failures import DATABASE_ERRORS, is_everybodys
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.log.handler import warn_limited

log = logging.getLogger(__name__)

INTERVAL = 3600.0  # seconds
ACCOUNTS_PER_STEP = 1_000
LETTERS_PER_STEP = 10_000
KEPT_DAYS = 30  # relays keep some days of the stream

NOW = "SELECT now()"
GONE = """
SELECT did FROM unified_worker.repos WHERE status = 'deleted' AND NOT active AND did > $1 ORDER BY did LIMIT $2
"""
SWEEP = "SELECT unified_worker.sweep($1)"
SWEPT = """
INSERT INTO unified_worker.sweep (swept_at) VALUES ($1) ON CONFLICT (one) DO UPDATE SET swept_at = excluded.swept_at
"""
FORGET = """
DELETE FROM unified_worker.closed_letters WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM unified_worker.closed_letters WHERE closed_at < now() - make_interval(days => $1) LIMIT $2))
"""


class Sweeper:
    """Sweeps at start and every hour, for as long as the worker runs."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def keep_sweeping(self) -> None:
        """Sweep at start and every hour, until cancelled."""
        while True:
            for work in (self.sweep, self.forget):
                try:
                    await work()
                except DATABASE_ERRORS as error:
                    warn_limited(
                        log, work.__name__, "The hourly sweep (%s) failed (%s); it runs again in an hour", work.__name__, error
                    )
            await asyncio.sleep(INTERVAL)

    async def sweep(self) -> None:
        """Go through all deleted accounts once. A refused step concerns only its own accounts."""
        async with self._pool.connection() as connection:
            began = await connection.fetchval(NOW)
        after, whole = "", True
        while True:
            async with self._pool.connection() as connection:
                gone: list[str] = [row["did"] for row in await connection.fetch(GONE, after, ACCOUNTS_PER_STEP)]
                if not gone:
                    break
                try:
                    await connection.execute(SWEEP, gone)
                except DATABASE_ERRORS as error:
                    if is_everybodys(error):
                        raise
                    whole = False
                    warn_limited(log, "sweep step", "Cannot sweep the notifications to %s … %s (%s)", gone[0], gone[-1], error)
                after = gone[-1]
        if whole:
            async with self._pool.connection() as connection:
                await connection.execute(SWEPT, began)

    async def forget(self) -> None:
        """Delete the traces of closed letters, some at a time."""
        gone = f"DELETE {LETTERS_PER_STEP}"
        while gone == f"DELETE {LETTERS_PER_STEP}":
            async with self._pool.connection() as connection:
                gone = await connection.execute(FORGET, KEPT_DAYS, LETTERS_PER_STEP)
