"""A key that came late: the commits that were applied or kept without it are judged.

Of a repo that is unproven the newest commit block is kept. Its one signature proves all that was applied since the last proven
commit, because each of them is known to lead from the tree of the one before. If the account's key did not make it, the
directory is asked once more, also for the keys that it had before; then the repo is marked for repair. Every step is one row's,
so that it may end anywhere.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from unified_indexer.config.settings import Level
from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.dead_letters import unproven
from unified_indexer.errors import Rejected
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.identity.resolver import Identities
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.protocol.events import Unusable
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.keys import SigningKey
from unified_indexer.protocol.proving import Provable, did_of, refused
from unified_indexer.protocol.signature import read_commit
from unified_indexer.protocol.syntax import is_tid
from unified_indexer.selection import Selection
from unified_indexer.trust.letters import judged

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks at which keys came
ROUND = 60.0  # seconds between two rounds over all that waits
MOST_ANSWERED = 10_000  # accounts whose key came since the last look; the next round finds others


Former: TypeAlias = Callable[[str], list[SigningKey]]


class Settling:
    """Settles for as long as the worker runs; `metrics` counts, and has how many repos wait."""

    def __init__(
        self,
        pool: DatabasePool,
        identities: Identities,
        metrics: Metrics,
        selection: Selection,
        level: Level,
        takes: Callable[[str], bool],
    ) -> None:
        """`takes`: of which accounts, by DID; other workers settle the others."""
        self._pool = pool
        self._identities = identities
        self._metrics = metrics
        self._selection = selection
        self._level: Level = level
        self._takes = takes
        self._answered: set[str] = set()
        self._next_round = 0.0  # of the loop's clock
        identities.subscribe(self._note)

    def _note(self, did: str, _answer: object) -> None:
        if len(self._answered) < MOST_ANSWERED and self._takes(did):
            self._answered.add(did)

    async def keep_settling(self) -> None:
        """Settle what can be: once a second what keys came for, once a minute whatever waits; until cancelled."""
        while True:
            answered, self._answered = list(self._answered), set()
            try:
                for at in range(0, len(answered), unproven.AT_ONCE):
                    await self.settle(answered[at : at + unproven.AT_ONCE])
                await self._round()
            except DATABASE_ERRORS as error:
                self._answered.update(answered)
                warn_limited(log, "settling", "Could not settle what is unproven (%s); trying again", error)
            await asyncio.sleep(INTERVAL)

    async def _round(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._next_round:
            return
        async with self._pool.connection() as connection:
            self._metrics.unproven, self._metrics.unproven_since = await unproven.count(connection)
        for waiting in (unproven.accounts, unproven.accounts_of_letters):
            after = ""
            while True:
                async with self._pool.connection() as connection:
                    dids = await waiting(connection, after)
                if not dids:
                    break
                await self.settle([did for did in dids if self._takes(did)])
                after = dids[-1]
        self._next_round = now + ROUND

    async def settle(self, dids: Sequence[str]) -> None:
        """Judge what these accounts wrote, as far as their keys are known now; others are asked for."""
        await self._identities.load(dids)
        known = [did for did in dids if self._identities.known(did) is not None]
        if not known:
            return
        async with self._pool.connection() as connection:
            blocks = await unproven.blocks(connection, known)
        for did, block in blocks.items():
            await self._settle(did, block)
        waiting = await self._retry(known)
        await self._retry([did for did in waiting if await self._asked(did)])

    async def settle_letters(self, did: str) -> bool:
        """Apply the letters of an account as far as its key is known now; whether that is done. What a repetition won't cure
        is done: it keeps nobody waiting."""
        try:
            await self.settle([did])
        except DATABASE_ERRORS as error:
            warn_limited(log, "settling", "Could not settle what is unproven (%s); trying again", error)
            return remedy(error) is not Remedy.RETRY
        return True

    async def _asked(self, did: str) -> bool:
        """Whether the directory has said which key an account has, and which it had."""
        self._metrics.refreshes += 1
        return await self._identities.refresh(did) is not None and await self._identities.past(did)

    async def _retry(self, dids: Sequence[str]) -> set[str]:
        """Tries these accounts' letters in their order; returns the accounts of which some wait on for a newer key."""
        waiting: set[str] = set()
        nobodys = [did for did in dids if isinstance(self._identities.known(did), NoIdentity)]
        async with self._pool.connection() as connection:
            await unproven.retry_letters(connection, dids, nobodys, self._selection, partial(self._judged, waiting))
        return waiting

    async def _settle(self, did: str, block: bytes) -> None:
        former = partial(self._identities.former, did)
        key = self._identities.known(did)
        if key is not None and failure_of(block, did, key, former) is Failure.BAD_SIGNATURE:
            self._metrics.refreshes += 1
            key = await self._identities.refresh(did)
        if key is None:
            return
        failure = failure_of(block, did, key, former)
        if failure is Failure.BAD_SIGNATURE:
            if not await self._identities.past(did):
                return
            failure = failure_of(block, did, key, former)
        async with self._pool.connection() as connection:
            if failure is None:
                await unproven.prove(connection, did, block)
            else:
                await unproven.refute(connection, did, block, failure)
        self._metrics.settled["proven" if failure is None else "failed"] += 1
        if failure is not None:
            warn_limited(log, "settling failed", "The key of %s came and did not sign what was applied (%s)", did, failure)

    def _judged(self, waiting: set[str], event: Provable) -> Provable | Unusable:
        did = did_of(event)
        # The key may come between two letters: then the later one is proven, and applied it would overtake the earlier one.
        if did in waiting:
            return refused(event, Failure.UNPROVEN, "what the account wrote before is not proven yet")
        key = self._identities.known(did)
        found = judged(event, key, self._level, lambda: self._identities.former(did, event.rev))
        if isinstance(found, Unusable) and found.reason == Failure.BAD_SIGNATURE and not self._identities.has_past(did):
            found = refused(event, Failure.UNPROVEN, "another key signed it than the last one that is known")
        if isinstance(found, Unusable) and found.reason == Failure.UNPROVEN:
            waiting.add(did)
        return found


def failure_of(block: bytes, did: str, key: SigningKey | NoIdentity, former: Former) -> Failure | None:
    """Why a commit block is not the account's; None if it is. `former`: other keys that it had, by the rev of the commit."""
    if isinstance(key, NoIdentity):
        return Failure.NO_IDENTITY
    try:
        commit = read_commit(block)
    except Rejected:
        return Failure.BAD_SIGNATURE
    if commit.did != did or type(commit.rev) is not str or not is_tid(commit.rev):
        return Failure.BAD_SIGNATURE
    signed = commit.signed_by(key) or any(commit.signed_by(other) for other in former(commit.rev))
    return None if signed else Failure.BAD_SIGNATURE
