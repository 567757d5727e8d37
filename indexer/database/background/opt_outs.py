"""Which accounts forbid indexing: `user_settings`, read again every minute."""

import asyncio
import logging

from indexer.database.connection.failures import DATABASE_ERRORS
from indexer.database.connection.pool import DatabasePool
from indexer.database.connection.sessions import Connection
from indexer.log.handler import warn_limited
from indexer.selection import Selection

log = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds
PAUSE = 1.0  # seconds, after a failure at start
OPTED_OUT = "SELECT user_did FROM {schema}.user_settings WHERE data_collection_forbidden"


async def opted_out(connection: Connection, schema: str) -> frozenset[str]:
    """The DIDs of the accounts that forbid indexing."""
    return frozenset(row["user_did"] for row in await connection.fetch(OPTED_OUT.format(schema=schema)))


class OptOuts:
    """Keeps `selection.opted_out` equal to the table."""

    def __init__(self, pool: DatabasePool, selection: Selection) -> None:
        self._pool = pool
        self._selection = selection
        self._schema = ""

    async def start(self, schema: str) -> None:
        """Read the opt-outs for the first time. It waits as long as necessary, because nothing of those accounts may be
        indexed."""
        self._schema = schema
        while True:
            if await self._try():
                return
            await asyncio.sleep(PAUSE)

    async def read(self) -> None:
        """Read the opt-outs again."""
        async with self._pool.connection() as connection:
            self._selection.opted_out = await opted_out(connection, self._schema)

    async def keep_reading(self) -> None:
        """Read the opt-outs every minute, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self._try()

    async def _try(self) -> bool:
        try:
            await self.read()
        except DATABASE_ERRORS as error:
            warn_limited(log, "user_settings", "Could not read user_settings (%s); trying again", error)
            return False
        return True
