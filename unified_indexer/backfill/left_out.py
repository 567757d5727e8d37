"""What COLLECTIONS or ACCOUNTS left out before, and take now, is fetched with its repos."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from unified_indexer.backfill.again import keep
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import left_out
from unified_indexer.selection import Selection

log = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two looks at the accounts
PART = 1_000  # repos at once
LOOKED_AT = 10_000  # repos at once


class LeftOut:
    """Asks for repos that are wanted since `selection` takes more than it did."""

    def __init__(self, pool: DatabasePool, selection: Selection) -> None:
        self._pool = pool
        self._selection = selection
        self._widened = False  # whether COLLECTIONS was looked at
        self._asked = set[str]()  # accounts: each once a run, since a host may not have one
        self._before: tuple[frozenset[str], frozenset[str]] | None = None  # who was chosen, and who forbade it

    async def keep_asking(self) -> None:
        """Ask for repos with other collections once, and for newly chosen accounts every minute, until cancelled."""
        await keep(self._ask, INTERVAL, log, "left out", "Could not ask for what was left out")

    async def _ask(self) -> None:
        if not self._widened:
            await self.ask_for_collections()
            self._widened = True
        await self.note_who_left()
        await self.ask_for_accounts()

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

    async def note_who_left(self) -> None:
        """What accounts write that are not taken any more is missed: once they are taken again, their history is fetched."""
        chosen, out = self._selection.accounts or frozenset[str](), self._selection.opted_out
        if self._before is None and chosen:
            await self._note_all()
        chosen_before, out_before = self._before or (frozenset[str](), frozenset[str]())
        for part in parts(chosen_before - chosen | out - out_before):
            async with self._pool.connection() as connection:
                await left_out.forget(connection, part)
        for part in parts(did for did in out_before - out if self._selection.takes_account(did)):
            async with self._pool.connection() as connection:
                await left_out.want_unseen(connection, part)
        self._before = (chosen, out)

    async def _note_all(self) -> None:
        """Of all repos, as nobody knows who was chosen in the run before."""
        after, ended = "", False
        while not ended:
            async with self._pool.connection() as connection:
                found, after = await left_out.whole(connection, after, LOOKED_AT)
                await left_out.forget(connection, [did for did in found if not self._selection.takes_account(did)])
            ended = not after

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


def parts(dids: Iterable[str]) -> Iterator[list[str]]:
    """The DIDs in order, at most `PART` at a time."""
    ordered = iter(sorted(dids))
    while part := list(islice(ordered, PART)):
        yield part
