"""The verifying stage: of a lane's batch, what its accounts' keys prove is written, in order.

What is known to be stale is not proven. A signature that the known key did not make may be a newer key's, or an older one's if
the commit is as old: the directory is asked once for each. Meanwhile that account's events wait aside, and other accounts' go
on. A commit whose key is not known is applied as unproven, or waits (VERIFY_UNPROVEN). What is refused becomes an Unusable,
with its reason and the whole frame; what was refused because nobody answered goes first once somebody does.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import NamedTuple

from unified_indexer.config.settings import Level
from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.write.outcome import Outcome, Result
from unified_indexer.errors import Stop
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.identity.resolver import Identities
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.lanes import Lane, Placed
from unified_indexer.protocol.events import Identity, RepoEvent, Unusable
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.keys import K256Key, P256Key, SigningKey
from unified_indexer.protocol.proving import Provable, assumed_stale, did_of, is_anothers, is_unproven, proven, refused
from unified_indexer.trust.aside import Aside
from unified_indexer.trust.lettered import Lettered
from unified_indexer.trust.revs import Revs

log = logging.getLogger(__name__)

PATIENCE = (
    30.0  # seconds that an account's events wait for its key at most, where none is applied without (VERIFY_UNPROVEN=hold)
)
PAUSE = 0.5  # seconds between two attempts at what the database did not do
# Seconds of proving, after which others have a turn: a batch of 4 MB that is made to be slow takes a second or more.
TURN = 0.005

# After these the repo may have an older rev, or a newer one that nobody has proven.
UNMOVED = frozenset({Result.REFUSED, Result.STALE, Result.REV_FORK, Result.STALE_MESSAGE, Result.NO_NEWS})


async def give_a_turn() -> None:
    """Let others run who are ready."""
    await asyncio.sleep(0)


class Question(NamedTuple):
    """Whose key is to be asked for, because of which event. `patience`: seconds to wait for it; None for one question.
    `news`: an #identity came. `letters`: the key is known; what was kept of the account goes first, once it is written."""

    did: str
    lane: Lane
    event: Provable
    patience: float | None = None
    news: bool = False
    letters: bool = False


class Verifier:
    """One session's. `hold`: what can't be proven waits, and is kept as a dead letter at last."""

    def __init__(
        self,
        pool: DatabasePool,
        identities: Identities,
        metrics: Metrics,
        level: Level,
        settle_letters: Callable[[str], Awaitable[bool]],
        *,
        hold: bool,
    ) -> None:
        self._identities = identities
        self._settle_letters = settle_letters
        self._lettered = Lettered(pool)
        self._metrics = metrics
        self._level = level
        self._hold = hold
        self._revs = Revs(pool)
        self._aside = Aside()
        self._questions: asyncio.Queue[Question] = asyncio.Queue()
        self._open: dict[str, Question] = {}  # by DID, what its events wait for; the answer to another one lets them wait
        self._after: dict[Lane, list[Question]] = {}  # what is asked once the lane's batch is written: letters are in it, maybe

    @property
    def aside(self) -> int:
        """Events that wait for their accounts' keys."""
        return len(self._aside)

    async def run(self) -> None:
        """Ask for the keys that are waited for, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._ask(await self._questions.get()))

    async def verify(self, lane: Lane, batch: list[Placed]) -> list[Placed]:
        """What of a lane's batch is to be written now, in its order: proven, unproven, or refused."""
        # At once, before anything is waited for: what comes back goes in front of the lane, where nothing may overtake it.
        if self._aside:
            batch = [left for placed in batch for left in self._behind_others(placed)]
        await self._load(batch)
        ready: list[Placed] = []
        lefts = deque(batch)
        until = perf_counter() + TURN
        while lefts:
            placed = lefts.popleft()
            some = self._behind_others(placed) if self._aside else (placed,)
            ready += [judged for left in some if (judged := self._judged(lane, left)) is not None]
            if lefts and perf_counter() > until:
                if self._aside:  # as above: what waits may be back after that
                    lefts = deque(left for placed in lefts for left in self._behind_others(placed))
                await give_a_turn()
                until = perf_counter() + TURN
        if not ready:
            self._ask_of_letters(lane)
        return ready

    def written(self, lane: Lane, batch: Sequence[Placed], outcomes: Sequence[Outcome]) -> None:
        """Note what became of what was to be written."""
        self._ask_of_letters(lane)
        for placed, outcome in zip(batch, outcomes, strict=True):
            event = placed.event
            if isinstance(event, Provable) and outcome.result not in UNMOVED and not is_unproven(event):
                self._revs.written(did_of(event), event.rev)

    async def _load(self, batch: Sequence[Placed]) -> None:
        """Reads what the database knows of these repos, and of those accounts whose keys are needed.

        It waits for the database as long as it takes: the next stage could not go on without it either.
        """
        revs = [(did_of(event), event.rev) for placed in batch if isinstance(event := placed.event, Provable)]
        while True:
            try:
                await self._lettered.load()
                await self._revs.load({did for did, _ in revs})
                await self._identities.load({did for did, rev in revs if not self._revs.includes(did, rev)})
                return
            except DATABASE_ERRORS as error:
                if remedy(error) is not Remedy.RETRY:
                    raise Stop(f"the database does not let repos and identities be read ({error})") from None
                warn_limited(log, "verify", "Could not read revs and keys (%s); trying again", error)
            await asyncio.sleep(PAUSE)

    def _judged(self, lane: Lane, left: Placed) -> Placed | None:
        """The event with its proof or refusal; None while it waits aside."""
        event = left.event
        if isinstance(event, Identity):
            self._identities.stale(event.did)
        if not isinstance(event, Provable):
            return left
        did = did_of(event)
        if self._revs.includes(did, event.rev):
            self._metrics.verified["stale"] += 1
            return Placed(left.ticket, assumed_stale(event), left.answered)
        if left.answered is None and self._identities.is_stale(did) and self._wait(left, Question(did, lane, event, news=True)):
            return None
        judged = self._proven(lane, left, event)
        return None if judged is None else Placed(left.ticket, judged, left.answered)

    def _proven(self, lane: Lane, placed: Placed, event: Provable) -> RepoEvent | None:
        did = did_of(event)
        key = self._identities.known(did)
        if self._identities.take_returned(did):  # what was refused meanwhile is kept
            self._lettered.note(did)
        # Applied unproven, it would overtake what was kept of its account: that is out of date then, and lost.
        if key is None and (self._hold or did in self._lettered):
            if placed.answered is None and self._wait(placed, Question(did, lane, event, PATIENCE)):
                return None
            return self._refused(refused(event, Failure.UNPROVEN, "its account's key is not known yet"))
        if isinstance(key, NoIdentity):
            return self._refused(refused(event, Failure.NO_IDENTITY, key.reason))
        # Without a key in any case: only a tree that is proven lets one signature prove what came before it.
        full = self._level == "full" or key is None
        judged = proven(event, key, full=full, former=lambda: self._identities.former(did, event.rev))
        if not isinstance(judged, Unusable):
            if key is not None and did in self._lettered:
                if self._lettered.take(did) and self._wait(placed, Question(did, lane, event, letters=True)):
                    return None
                return self._refused(refused(event, Failure.UNPROVEN, "what was kept of its account goes first"))
            self._metrics.verified["unproven" if key is None else "proven"] += 1
            return judged
        if judged.reason == Failure.BAD_SIGNATURE and not placed.answered:
            if placed.answered is None and self._wait(placed, Question(did, lane, event)):
                return None
            judged = refused(event, Failure.UNPROVEN, "another key signed it than the last one that is known")
        return self._refused(judged)

    def _refused(self, event: Unusable) -> Unusable:
        self._metrics.verified["refused"] += 1
        if event.reason == Failure.UNPROVEN:
            self._lettered.note(event.did or "")
        if event.reason == Failure.BAD_SIGNATURE:
            self._metrics.bad_signature_at(self._identities.pds(event.did or ""))
        warn_limited(
            log, f"refused {event.reason}", "A commit is not what its account signed (%s), so nothing of it is applied: %s %s",
            event.reason, event.did, event.rev,
        )  # fmt: skip
        return event

    def _behind_others(self, placed: Placed) -> list[Placed]:
        """The event; none if it waits with those of its account. Without room for it nothing is proven of all these: were they
        applied later than its letter, they would be out of date."""
        did = did_of(placed.event)
        if did not in self._aside:
            return [placed]
        if self._aside.put(did, placed):
            return []
        if not isinstance(placed.event, Provable):
            return [placed]
        del self._open[did]
        return [self._without_room(waited) for waited in (*self._aside.take(did), placed)]

    def _without_room(self, placed: Placed) -> Placed:
        event = placed.event
        if not isinstance(event, Provable):
            return placed
        unproven = refused(event, Failure.UNPROVEN, "too many of its account wait for its key")
        return placed._replace(event=self._refused(unproven))

    def _wait(self, placed: Placed, question: Question) -> bool:
        """Whether there is room for the event to wait until that is answered."""
        if not self._aside.put(question.did, placed):
            return False
        self._open[question.did] = question
        if question.letters:
            self._after.setdefault(question.lane, []).append(question)
        else:
            self._questions.put_nowait(question)
        return True

    def _ask_of_letters(self, lane: Lane) -> None:
        """All letters of the lane's accounts are written now: none of them is overtaken by what waits for these questions."""
        for question in self._after.pop(lane, ()):
            self._questions.put_nowait(question)

    async def _ask(self, question: Question) -> None:
        did = question.did
        if question.letters:
            settled = await self._settle_letters(did)
            while not settled:
                await asyncio.sleep(PAUSE)
                settled = await self._settle_letters(did)
            self._back(question, answered=None)
            return
        if question.patience is not None:
            key = await self._identities.wait(did, question.patience)
        else:
            key = await self._refreshed(did, news=question.news)
            if question.news and _has_other_key(question.event, key):  # another #identity of this minute may have been answered
                key = await self._refreshed(did)
        answered = key is not None
        if _has_other_key(question.event, key):
            answered = await self._identities.past(did)
        self._back(question, answered=answered)

    async def _refreshed(self, did: str, *, news: bool = False) -> SigningKey | NoIdentity | None:
        self._metrics.refreshes += 1
        return await self._identities.refresh(did, news=news)

    def _back(self, question: Question, *, answered: bool | None) -> None:
        """Those who wait for this come back; what waited has become letters meanwhile, maybe, and others wait since."""
        if self._open.get(question.did) is question:
            del self._open[question.did]
            self._aside.back(question.did, question.lane, answered=answered)


def _has_other_key(event: Provable, key: SigningKey | NoIdentity | None) -> bool:
    """Whether a key is known, and another one signed the event."""
    return isinstance(key, K256Key | P256Key) and is_anothers(event, key)
