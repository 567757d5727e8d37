"""Takes away the rows of accounts that were deleted, step by step on a connection of its own, beside the stream.

What is left to do stands in `unified_worker.repos.wiping`, so a worker that was stopped goes on where it was.
"""

import asyncio
import logging

from indexer.database.failures import DATABASE_ERRORS
from indexer.database.pool import DatabasePool
from indexer.database.sessions import Connection
from indexer.logs import warn_limited

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
ROWS_A_STEP = 5_000  # between two looks at how it goes
ACCOUNTS_A_TURN = 100

DELETED = "SELECT did FROM unified_worker.repos WHERE wiping ORDER BY did LIMIT $1"
WIPE = "CALL unified_worker.wipe($1, $2, NULL)"


class Wiper:
    """Wipes deleted accounts for as long as the worker runs."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def keep_wiping(self) -> None:
        """Looks once a second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                while await self._turn():
                    pass
            except DATABASE_ERRORS as error:
                warn_limited(log, "wiper", "Deleted accounts could not be wiped just now (%s); trying again", error)

    async def _turn(self) -> bool:
        """Takes some deleted accounts further; False when there are none."""
        async with self._pool.connection() as connection:
            deleted: list[str] = [row["did"] for row in await connection.fetch(DELETED, ACCOUNTS_A_TURN)]
        for did in deleted:
            # A connection a step: where there is one alone, the lanes get theirs in between.
            async with self._pool.connection() as connection:
                await wipe_step(connection, did)
        return bool(deleted)


async def wipe_step(connection: Connection, did: str) -> bool:
    """Takes away up to 5,000 rows of an account, a few in each transaction; returns whether it is done."""
    return await connection.fetchval(WIPE, did, ROWS_A_STEP)
