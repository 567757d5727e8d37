"""Which accounts are indexed, as far as tables say it: read again every minute.

`user_settings` holds those that forbid it. With ACCOUNTS=follows-of:DID, `follows` holds whom that account follows.
"""

import asyncio
import logging

from unified_indexer.config.chosen import Chosen
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.log.handler import warn_limited
from unified_indexer.selection import Selection

log = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds
PAUSE = 1.0  # seconds, after a failure at start
OPTED_OUT = "SELECT user_did FROM {schema}.user_settings WHERE data_collection_forbidden"
FOLLOWED = "SELECT following_did FROM {schema}.follows WHERE follower_did = $1"


async def choose(connection: Connection, schema: str, selection: Selection, chosen: Chosen) -> None:
    """Has `selection` take the accounts that are chosen now."""
    selection.opted_out = frozenset(row[0] for row in await connection.fetch(OPTED_OUT.format(schema=schema)))
    if chosen.follows_of is not None:
        followed = await connection.fetch(FOLLOWED.format(schema=schema), chosen.follows_of)
        selection.accounts = frozenset({chosen.follows_of, *(row[0] for row in followed)})


class Choosing:
    """Keeps `selection` equal to the tables."""

    def __init__(self, pool: DatabasePool, selection: Selection, chosen: Chosen) -> None:
        self._pool = pool
        self._selection = selection
        self._chosen = chosen
        self.schema = ""  # where the tables are

    async def start(self, schema: str) -> None:
        """Read the tables for the first time. It waits as long as necessary, because nothing else may be indexed."""
        self.schema = schema
        while True:
            if await self._try():
                return
            await asyncio.sleep(PAUSE)

    async def read(self) -> None:
        """Read the tables again."""
        async with self._pool.connection() as connection:
            await choose(connection, self.schema, self._selection, self._chosen)

    async def keep_reading(self) -> None:
        """Read the tables every minute, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self._try()

    async def _try(self) -> bool:
        try:
            await self.read()
        except DATABASE_ERRORS as error:
            warn_limited(log, "chosen", "Could not read which accounts are indexed (%s); trying again", error)
            return False
        return True
