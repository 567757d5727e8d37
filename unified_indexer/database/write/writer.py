"""Write batches: one call of the stored procedure each, which commits after every repo commit.

What the database answers decides what follows: a passing failure is repeated for as long as it takes, a data error is isolated
to its commit, a fault of the schema stops the worker. The rev guard makes repeating a call that half succeeded harmless.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy, sqlstate, statement
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.write.apply import apply_all
from unified_indexer.database.write.batch import Batch, build
from unified_indexer.database.write.breaker import Breaker
from unified_indexer.database.write.outcome import APPLIED, STALE, Outcome, Result
from unified_indexer.errors import Stop
from unified_indexer.log.handler import warn_limited
from unified_indexer.protocol.events import Account, Commit, Identity, RepoEvent, Unusable
from unified_indexer.selection import EVERYTHING, Selection

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between repetitions


class Writer:
    """Applies batches on the pool's connections, and repeats, isolates or stops as errors require.

    `confirm`: what a relay says of accounts is confirmed before anything is wiped, or a handle believed.
    """

    def __init__(self, pool: DatabasePool, selection: Selection = EVERYTHING, *, confirm: bool = False) -> None:
        self._pool = pool
        self._selection = selection
        self._confirm = confirm
        self._breaker = Breaker()

    async def write(self, lane: int, events: Sequence[RepoEvent]) -> tuple[Batch, list[Outcome]]:
        """Apply the events in order; return what was sent, and an outcome per event."""
        batch = build(events, selection=self._selection)
        try:
            outcomes = await self._call(lane, batch)
            if len(outcomes) < len(events):
                rest = build(events[len(outcomes) :], selection=self._selection, with_frames=True)
                outcomes += await self._call(lane, rest)
        except DataRefused:
            # Commits before the failing one stand, so that the repetition finds them stale: they were applied just now.
            return batch, [APPLIED if outcome == STALE else outcome for outcome in await self._isolated(lane, events)]
        self._breaker.note(len(outcomes))
        return batch, outcomes

    async def _isolated(self, lane: int, events: Sequence[RepoEvent]) -> list[Outcome]:
        """Applies the events so that a refused one is kept alone; halves what the server does not even take in."""
        outcomes: list[Outcome] = []
        parts = deque([events])
        while parts:
            part = parts.popleft()
            if self._breaker.is_open and len(part) > 1:
                parts.extendleft((part[1:], part[:1]))
                continue
            try:
                done = await self._call(lane, build(part, selection=self._selection, with_frames=True), isolate=True)
            except DataRefused as refusal:
                if len(part) > 1:
                    half = len(part) // 2
                    parts.extendleft((part[half:], part[:half]))
                    continue
                done = await self._keep(lane, part[0], refusal)
            outcomes += done
            at_fault = [_account(event) for event, outcome in zip(part, done, strict=False) if outcome.at_fault]
            self._breaker.note(len(done), at_fault)
            await self._breaker.rest()
        return outcomes

    async def _keep(self, lane: int, event: RepoEvent, refusal: "DataRefused") -> list[Outcome]:
        """Keeps a commit that can't even be sent."""
        did = _account(event)
        rev = None if isinstance(event, Account | Identity) else event.rev
        kept = Unusable(event.seq, did, rev, event.time, (), f"database_{refusal.state}", refusal.message, event.frame)
        if isinstance(event, Unusable):
            kept = kept._replace(marks=event.marks)
        await self._call(lane, build([kept]))
        return [Outcome(Result.REFUSED, refusal.state)]

    async def _call(self, lane: int, batch: Batch, *, isolate: bool = False) -> list[Outcome]:
        """One call, repeated while its failure may pass."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._pool.connection() as connection:
                    return await apply_all(
                        connection,
                        lane,
                        self._pool.name,
                        batch,
                        durable=self._pool.durable,
                        isolate=isolate,
                        confirm=self._confirm,
                    )
            except DATABASE_ERRORS as error:
                state = sqlstate(error)
                match remedy(error):
                    case Remedy.DATA:
                        raise DataRefused(state, str(error)) from None
                    case Remedy.SCHEMA:
                        raise Stop(
                            f"the database's schema has changed since the start ({state}: {error}; {statement(error)}): "
                            "correct it, then start again"
                        ) from None
                    case Remedy.RETRY:
                        what = str(error) or type(error).__name__
                        warn_limited(log, f"retry {state}", "Database: %s (%s); retrying until it succeeds", what, state)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def _account(event: RepoEvent) -> str | None:
    """Whose event it is; None of what can't be read."""
    return event.repo if isinstance(event, Commit) else event.did


class DataRefused(Exception):
    """The database cannot store what a call carried: its SQLSTATE and message."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state
        self.message = message
