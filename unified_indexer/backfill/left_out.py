"""What COLLECTIONS or ACCOUNTS left out before, and take now, is fetched with its repos."""

import asyncio
import logging
from collections.abc import Collection, Iterator
from itertools import islice

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import left_out
from unified_indexer.log.handler import warn_limited
from unified_indexer.selection import Selection

log = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two looks at the accounts
PART = 1_000  # repos at once


class LeftOut:
    """Asks for repos that are wanted since `selection` takes more than it did."""

    def __init__(self, pool: DatabasePool, selection: Selection) -> None:
        self._pool = pool
        self._selection = selection
        self._asked = set[str]()  # accounts: each once a run, since a host may not have one

    async def keep_asking(self) -> None:
        """Ask for repos with other collections once, and for newly chosen accounts every minute, until cancelled."""
        widened = False
        while True:
            try:
                if not widened:
                    await self.ask_for_collections()
                    widened = True
                await self.ask_for_accounts()
            except DATABASE_ERRORS as error:
                warn_limited(log, "left out", "Could not ask for what was left out (%s); trying again", error)
            await asyncio.sleep(INTERVAL)

    async def ask_for_collections(self) -> None:
        """Have the repos fetched of which COLLECTIONS left out what it takes now."""
        patterns = self._selection.patterns
        async with self._pool.connection() as connection:
            before = await left_out.collections(connection)
        if before is not None and wider(patterns, before):
            after = await self._filtered("")
            while after:
                after = await self._filtered(after)
        async with self._pool.connection() as connection:
            await left_out.note_collections(connection, patterns)

    async def ask_for_accounts(self) -> None:
        """Have the history of those chosen accounts fetched that nobody asked for yet."""
        accounts = self._selection.accounts or frozenset[str]()
        self._asked &= accounts
        for part in parts(accounts - self._asked):
            await self._room()
            async with self._pool.connection() as connection:
                await left_out.want_unseen(connection, part)
            self._asked.update(part)

    async def _filtered(self, after: str) -> str:
        await self._room()
        async with self._pool.connection() as connection:
            return await left_out.want_filtered(connection, after, PART)

    async def _room(self) -> None:
        """Wait until fewer repos are wanted than may be noted at once."""
        while True:
            async with self._pool.connection() as connection:
                if not await left_out.is_full(connection):
                    return
            await asyncio.sleep(INTERVAL)


def wider(patterns: Collection[str], before: Collection[str]) -> bool:
    """Whether these patterns of COLLECTIONS take something that those before left out, as far as their texts tell."""
    old = Selection(tuple(before))
    return not all(old.takes_collection(pattern.removesuffix("*")) for pattern in patterns)


def parts(dids: Collection[str]) -> Iterator[list[str]]:
    """The DIDs in order, at most `PART` at a time."""
    ordered = iter(sorted(dids))
    while part := list(islice(ordered, PART)):
        yield part
