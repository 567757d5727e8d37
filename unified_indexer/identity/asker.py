"""Asks one source for identities: in the order of the waiting line, at a pace, each DID once at a time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from unified_indexer.errors import Rejected
from unified_indexer.identity.document import Identity
from unified_indexer.identity.errors import FetchError, Gone, NotAllowed, NotFound
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.identity.pace import Breaker, Pace
from unified_indexer.identity.recent import Recent
from unified_indexer.identity.waiting_line import MOST_WAITING, Urgency, WaitingLine
from unified_indexer.log.handler import warn_limited

AT_ONCE = 16  # look-ups under way
RETRY_PAUSE, MAX_RETRY_PAUSE = 10.0, 3600.0  # seconds until a look-up that failed is tried again; doubles each time
MOST_FAILED = 10_000  # DIDs that wait to be tried again
RETRY_INTERVAL = 1.0  # seconds between two looks at those

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where identities are asked for: `Directory`, `WebDids`."""

    async def identity(self, did: str, *, primary: bool = False) -> Identity: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """How a look-up ended. `identity`: None if no answer came. `primary`: the one who knows best was asked, and not a replica
    first. `began`: when (time.monotonic)."""

    did: str
    identity: Identity | NoIdentity | None
    urgency: Urgency
    primary: bool
    began: float
    reason: str  # a fixed word, for counters: found, no_such_did, timeout …


@dataclass(slots=True)
class _LookUp:
    """One that is under way. `outdated`: one of the same DID that began later has ended before it."""

    did: str
    urgency: Urgency
    primary: bool
    began: float  # time.monotonic
    outdated: bool = False


class Asker:
    """Look-ups at one source. `settle` gets each answer; `doubts`: whether a replica may be behind on a DID; `has_key`: whether
    a key of a DID is known that counts; `breaks`: whether failures in a row mean that the source is down."""

    def __init__(
        self,
        source: Source,
        settle: Callable[[Answer], None],
        doubts: Callable[[str], bool],
        has_key: Callable[[str], Awaitable[bool]],
        *,
        rate: float,
        breaks: bool,
    ) -> None:
        self.breaker = Breaker()
        self.pace = Pace(rate)
        self._source = source
        self._settle = settle
        self._doubts = doubts
        self._has_key = has_key
        self._breaks = breaks
        self._rate = rate
        self._line = WaitingLine()
        self._of_primary = Recent(MOST_WAITING)  # who waits for what the one who knows best says
        self._under_way: list[_LookUp] = []  # AT_ONCE at most
        self._failed: dict[str, tuple[float, float]] = {}  # when to try again (time.monotonic), and the pause before that
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many look-ups wait for their turn."""
        return len(self._line)

    @property
    def delay(self) -> float:
        """Seconds until one who waits for a refresh has its turn, if nobody else waits."""
        return self._line.count(Urgency.REFRESH) / self._rate

    def put(self, did: str, urgency: Urgency, *, primary: bool = False) -> None:
        """Have a DID looked up when its turn comes; one that failed lately waits its pause.

        One that is under way will do, but for who waits for what the document says from now on. `primary`: no replica is asked.
        """
        will_do = urgency is not Urgency.FRESH and any(one.urgency <= urgency for one in self._asking(did))
        if will_do or self.failed_lately(did):
            return
        if primary:
            self._of_primary.note(did)
        self._line.put(did, urgency)
        self._arrived.set()

    def has(self, did: str) -> bool:
        """Whether a DID is being looked up, or will be."""
        return did in self._failed or did in self._line or bool(self._asking(did))

    def failed_lately(self, did: str) -> bool:
        """Whether its last look-up failed, so that the next one has a pause before it."""
        return did in self._failed and self._failed[did][0] > time.monotonic()

    async def run(self) -> None:
        """Ask, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._try_again())
                slots = asyncio.Semaphore(AT_ONCE)
                while True:
                    await slots.acquire()
                    await self._next()
                    did, urgency = self._line.pop()
                    primary = urgency is Urgency.REFRESH or did in self._of_primary
                    primary = primary or (urgency is Urgency.FRESH and self._doubts(did))
                    self._of_primary.forget(did)
                    self._under_way.append(one := _LookUp(did, urgency, primary, time.monotonic()))
                    tasks.create_task(self._ask(one, slots))
        finally:
            self._under_way.clear()

    async def _next(self) -> None:
        """Wait until somebody waits, and a turn has come: who came meanwhile may be the newest."""
        while not self._line:
            self._arrived.clear()
            await self._arrived.wait()
        await self.breaker.closed()
        await self.pace.turn()

    def _asking(self, did: str) -> list[_LookUp]:
        return [one for one in self._under_way if one.did == did]

    async def _ask(self, one: _LookUp, slots: asyncio.Semaphore) -> None:
        try:
            identity, reason = await self._answer(one.did, one.primary)
        finally:
            self._under_way = [other for other in self._under_way if other is not one]
            slots.release()
        if one.outdated:  # what is known already is newer
            identity, reason = None, "outdated"
        elif identity is not None:
            for other in self._asking(one.did):
                other.outdated = other.outdated or other.began < one.began
        self._settle(Answer(one.did, identity, one.urgency, one.primary, one.began, reason))

    async def _answer(self, did: str, primary: bool) -> tuple[Identity | NoIdentity | None, str]:
        try:
            found: Identity | NoIdentity = await self._source.identity(did, primary=primary)
        except (NotFound, Gone, NotAllowed, Rejected) as error:
            found = NoIdentity(_reason(error))
        except FetchError as error:
            self._not_answered(did, error)
            return None, error.reason
        self.breaker.answered()
        # Who had a key is not nobody: the directory lacks something, or the host of a did:web has a bad hour.
        if isinstance(found, NoIdentity) and found.reason != "tombstoned" and await self._has_key(did):
            warn_limited(
                log,
                "contradicted",
                "The key of %s is known, but an answer was that it has none (%s): it stays",
                did,
                found.reason,
            )
            self._postpone(did)
            return None, "contradicted"
        self._failed.pop(did, None)
        return found, found.reason if isinstance(found, NoIdentity) else "found"

    def _not_answered(self, did: str, error: FetchError) -> None:
        if self._breaks:
            self.breaker.failed(error.retry_after)
            warn_limited(log, "directory", "The directory of DIDs does not answer (%s): trying again", error.reason)
        self._postpone(did, error.retry_after)

    def _postpone(self, did: str, retry_after: float | None = None) -> None:
        _, pause = self._failed.pop(did, (0.0, RETRY_PAUSE / 2))
        pause = min(max(pause * 2, retry_after or 0.0), MAX_RETRY_PAUSE)
        self._failed[did] = (time.monotonic() + pause, pause)
        if len(self._failed) > MOST_FAILED:
            del self._failed[next(iter(self._failed))]

    async def _try_again(self) -> None:
        """Have what failed wait in line again after its pause. It stays noted, so that the next pause is longer."""
        while True:
            await asyncio.sleep(RETRY_INTERVAL)
            now = time.monotonic()
            for did in [did for did, (at, _) in self._failed.items() if at <= now]:
                if not self._asking(did) and did not in self._line:
                    self._line.put(did, Urgency.AGAIN)
                    self._arrived.set()


def _reason(error: NotFound | Gone | NotAllowed | Rejected) -> str:
    match error:
        case NotFound():
            return "no_such_did"
        case Gone():
            return "tombstoned"
        case _:
            return error.reason
