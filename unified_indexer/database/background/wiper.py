"""Delete the rows of deleted accounts, step by step on its own connection, while the stream continues.

What is left to do stands in `unified_worker.repos.wiping`, so a worker that was stopped goes on where it was. An account whose
rows the database does not let go (an application's foreign key, say) stands in `stuck_wipes`, and is tried again later and
later; the others go on.
"""

import asyncio
import logging

from unified_indexer.database.connection.failures import DATABASE_ERRORS, is_everybodys, sqlstate
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.log.handler import warn_limited

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
ROWS_PER_STEP = 5_000  # between two looks at how it goes
ACCOUNTS_PER_TURN = 100

DELETED = """
SELECT r.did FROM unified_worker.repos AS r LEFT JOIN unified_worker.stuck_wipes AS s USING (did)
WHERE r.wiping AND coalesce(s.retry_at <= now(), true) ORDER BY r.did LIMIT $1
"""
WIPE = "CALL unified_worker.wipe($1, $2, NULL)"
# At last an hour between two attempts.
STUCK = """
INSERT INTO unified_worker.stuck_wipes AS s (did, error) VALUES ($1, left($2, 2000))
ON CONFLICT (did) DO UPDATE SET attempts = s.attempts + 1, error = excluded.error,
  retry_at = now() + least(2 ^ least(s.attempts, 12), 3600) * interval '1 second'
"""


class Wiper:
    """Wipes deleted accounts for as long as the worker runs."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def keep_wiping(self) -> None:
        """Look for work once per second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                while await self.turn():
                    pass
            except DATABASE_ERRORS as error:
                warn_limited(log, "wiper", "Could not wipe deleted accounts (%s); trying again", error)

    async def turn(self) -> bool:
        """Advance some deleted accounts by one step; False if there are none."""
        async with self._pool.connection() as connection:
            deleted: list[str] = [row["did"] for row in await connection.fetch(DELETED, ACCOUNTS_PER_TURN)]
        for did in deleted:
            # A connection a step: where there is one alone, the lanes get theirs in between.
            async with self._pool.connection() as connection:
                try:
                    await wipe_step(connection, did)
                except DATABASE_ERRORS as error:
                    if is_everybodys(error):
                        raise
                    await connection.execute(STUCK, did, f"{sqlstate(error)}: {error}")
                    warn_limited(log, "stuck wipe", "Cannot wipe the deleted account %s (%s); trying again later", did, error)
        return bool(deleted)


async def wipe_step(connection: Connection, did: str) -> bool:
    """Delete up to 5,000 rows of an account, a few per transaction; return whether it is finished.

    What the database refuses to let go is passed over; its error is raised when nothing else is left.
    """
    return await connection.fetchval(WIPE, did, ROWS_PER_STEP)
