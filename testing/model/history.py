"""What the stream did on its way, for the two things that are no function of the records that are there in the end.

Only within one repo is there an order that a reader must keep: what lies in different repos may be applied either way round.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from testing.model.names import POST, THREAD_GATE, VERIFICATION, Pair, Stored
from testing.model.posts import root_uri
from testing.model.protocol import authority

# Of a verification: when its commit came, what it says itself, its URI.
Age = tuple[datetime, datetime, str]


NEVER = 2**62  # the number of an event that does not come


@dataclass(slots=True)
class Change:
    """The oldest commit of any record of a pair, and the event that changed it last."""

    first: datetime
    last: int


@dataclass
class Gated:
    """When the first came of the gates that a post has had without a break, and the event that deleted the last one."""

    first: datetime
    deleted: int | None = None


class Removed(NamedTuple):
    """A verification that was deleted, and the deleting commit's time."""

    verification: Stored
    time: datetime


@dataclass
class History:
    """`event` numbers the events as they come.

    `judged`: by a post's URI, when it or its thread gate was put or removed last. `gated`: by a post's URI.
    `threads`: by a post's URI, the first posts of all threads that it was ever in (itself, if it answered nothing).
    `verified`: by subject, all verifications
    that ever were. `removed`: by URI. `wiped`: accounts that were ever deleted; after a wipe their operations may have been
    kept and applied in another order. `deleted`: those of them that are so in the end.
    """

    event: int = 0
    pairs: dict[Pair, Change] = field(default_factory=dict[Pair, Change])
    judged: dict[str, int] = field(default_factory=dict[str, int])
    gated: dict[str, Gated] = field(default_factory=dict[str, Gated])
    threads: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    verified: dict[str, set[Age]] = field(default_factory=dict[str, set[Age]])
    removed: dict[str, Removed] = field(default_factory=dict[str, Removed])
    wiped: set[str] = field(default_factory=set[str])
    deleted: set[str] = field(default_factory=set[str])

    def had(self, stored: Stored) -> None:
        """A record was there before the stream. When a reader hears of it, nobody knows."""
        if stored.pair is not None:
            self.pairs[stored.pair] = Change(stored.time, NEVER)

    def put(self, old: Stored | None, new: Stored) -> None:
        """A record was written, in place of an older one if there was one."""
        for stored in (old, new):
            if stored is not None:
                self._touch(stored)
        if new.collection == POST:
            self.threads.setdefault(new.uri, set()).add(root_uri(new) or new.uri)
        if new.collection == THREAD_GATE:
            post = new.record["post"]
            before = self.gated.get(post)
            # Within one commit only the last operation counts: what is put back there never went.
            goes_on = before is not None and before.deleted in (None, self.event)
            self.gated[post] = Gated(before.first if before is not None and goes_on else new.time)
        if new.collection == VERIFICATION:
            self.verified.setdefault(new.record["subject"], set()).add((new.time, new.created_at, new.uri))
            self.removed.pop(new.uri, None)

    def delete(self, old: Stored, time: datetime) -> None:
        """A record was deleted by a commit of this time."""
        self._touch(old)
        if old.collection == THREAD_GATE:
            self.gated[old.record["post"]].deleted = self.event
        if old.collection == VERIFICATION:
            self.removed[old.uri] = Removed(old, time)

    def wipe(self, did: str, records: list[Stored]) -> None:
        """An account's records went, all of them."""
        self.wiped.add(did)
        for stored in records:
            self._touch(stored)
            if stored.collection == THREAD_GATE:
                self.gated[stored.record["post"]].deleted = self.event
        self.removed = {uri: gone for uri, gone in self.removed.items() if gone.verification.did != did}

    def _touch(self, stored: Stored) -> None:
        if stored.pair is not None:
            change = self.pairs.setdefault(stored.pair, Change(stored.time, 0))
            change.first = min(change.first, stored.time)
            change.last = max(change.last, self.event)
        if stored.collection in (POST, THREAD_GATE):
            self.judged[f"at://{stored.did}/{POST}/{stored.rkey}"] = self.event

    def settled(self, pair: Pair, owner: str, root: str) -> bool:
        """Whether a pair of this owner's was in its final state when the replies under `root` were judged last.

        Within one commit the order of operations is not relied upon.
        """
        changed = self.pairs.get(pair)
        if changed is None:
            return True
        same_repo = owner == authority(root) and owner not in self.wiped
        return same_repo and changed.last < self.judged.get(root, 0)

    def surely_held(self, verification: Stored) -> bool:
        """Whether a verification had its subject to itself, or was the oldest of all that ever were, in whatever order."""
        if verification.did in self.wiped:
            return False
        mine = (verification.time, verification.created_at, verification.uri)
        return all(mine <= other or other[2] == mine[2] for other in self.verified[verification.record["subject"]])
