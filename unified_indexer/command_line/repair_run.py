"""`repair --now` and `repair --check-only`: repos fetched by the command itself, whether or not a worker runs."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from unified_indexer.accounts.documents import Documents
from unified_indexer.backfill.fetch import Fetcher
from unified_indexer.backfill.files import NoRoom
from unified_indexer.backfill.outcome import Failed, Kind
from unified_indexer.backfill.pace import Paces
from unified_indexer.backfill.repairs import Repairs
from unified_indexer.backfill.turns import HostTurns
from unified_indexer.command_line.asking import Means, asking, while_looking_up
from unified_indexer.command_line.stdout import say
from unified_indexer.config.settings import Config
from unified_indexer.database.background.chosen import choose
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import queue, steps
from unified_indexer.database.repair.checking import Checked, check
from unified_indexer.database.repair.queue import Claimed
from unified_indexer.database.repair.steps import Word
from unified_indexer.database.schema.session import FAILURES, session
from unified_indexer.formatting import printable
from unified_indexer.identity.downloads import Downloads
from unified_indexer.metrics import Metrics
from unified_indexer.selection import Selection

HOLDER = "the command repair"
FOR_CHECKING = "checked"  # why a repo is among the repairs that is only to be compared
DONE = frozenset((Word.OK, Word.SAME))


class RepairNow:
    """Repairs these repos one after the other, or only compares them."""

    def __init__(self, config: Config, dids: Sequence[str], *, check_only: bool) -> None:
        self._config = config
        self._dids = dids
        self._check_only = check_only
        self._task: asyncio.Task[None] | None = None
        self.sound = False

    async def initialize(self) -> None:
        """Do nothing: `run` connects."""

    def stop(self) -> None:
        """End after the current step; the repo is left as it is, and starts again when it is repaired next."""
        if self._task is not None:
            self._task.cancel()

    def abandon(self) -> None:
        """End at once."""
        self.stop()

    async def run(self) -> None:
        """Repair or compare, and print a line of each."""
        config = self._config
        selection = Selection(config.collections, accounts=config.chosen.accounts)
        async with session(config.database_url, "repair", prepares=True) as (_, connection, schema):
            await choose(connection, schema, selection, config.chosen)
        async with asking(config, HOLDER, size=3, durable=True) as means:
            await self._with(means, selection)

    async def _with(self, means: Means, selection: Selection) -> None:
        pool, client, identities = means
        fetcher = Fetcher(
            Downloads(client), identities, Documents(identities), HostTurns(Paces()), source=self._config.backfill_source
        )
        repairs = Repairs(
            pool, Metrics(), selection, fetcher, notify=timedelta(days=self._config.notify_repaired), stream_first=_at_once
        )
        self._task = asyncio.create_task(self._all(pool, fetcher, repairs, selection))
        try:
            await while_looking_up(identities, self._task)
        finally:
            with suppress(*FAILURES):  # without it the leases end by themselves
                async with pool.connection() as connection:
                    await steps.reset(connection, HOLDER)

    async def _all(self, pool: DatabasePool, fetcher: Fetcher, repairs: Repairs, selection: Selection) -> None:
        right = 0
        for did in self._dids:
            async with pool.connection() as connection:
                why = FOR_CHECKING if self._check_only else "asked"
                claimed = await queue.take_one(connection, HOLDER, did, why, check_only=self._check_only)
            if claimed is None:
                say(f"{printable(did)}: a worker is repairing it, or all fetching is paused")
            elif self._check_only:
                right += await self._check(pool, fetcher, claimed, selection)
            else:
                word = await repairs.repair(claimed)
                say(f"{printable(did)}: {'repaired' if word in DONE else word}")
                right += word in DONE
        self.sound = right == len(self._dids)

    async def _check(self, pool: DatabasePool, fetcher: Fetcher, claimed: Claimed, selection: Selection) -> bool:
        """Compares one repo; whether it is as its host has it."""
        async with pool.connection() as connection:
            word = (await steps.mark(connection, claimed.claim)).word
        try:
            found = Checked(word) if word is not Word.OK else await self._compared(pool, fetcher, claimed, selection)
        finally:
            async with pool.connection() as connection:
                state = None if claimed.check_only else "wanted"
                await steps.leave(connection, claimed.claim, state, None)
        say(*_lines(claimed.did, found))
        return isinstance(found, Checked) and found.word is Word.OK and not found.put + found.gone

    async def _compared(self, pool: DatabasePool, fetcher: Fetcher, claimed: Claimed, selection: Selection) -> Checked | Failed:
        try:
            fetched = await fetcher.fetch(claimed.did)
            if isinstance(fetched, Failed):
                return fetched
            with fetched as repo:
                async with pool.connection() as connection:
                    return await check(connection, claimed.claim, repo, selection)
        except NoRoom:
            return Failed("no_room", Kind.LATER)


async def _at_once() -> None:
    """Nothing has priority: the operator waits."""


def _lines(did: str, found: Checked | Failed) -> list[str]:
    who = printable(did)
    if isinstance(found, Failed):
        return [f"{who}: not fetched ({found.reason})"]
    if found.word is not Word.OK:
        return [f"{who}: {found.word}"]
    told = f"{who}: {found.same:,} records are right, {found.put:,} are missing or other, {found.gone:,} are not in the repo"
    refused = f", {found.refused:,} can't be used" if found.refused else ""
    return [told + refused, *(f"  {printable(path)}" for path in found.named)]
