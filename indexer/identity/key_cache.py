"""The identities in memory: DID -> parsed key, or why there is none; the ones used last are kept."""

import sys
from collections import OrderedDict
from dataclasses import dataclass

from indexer.protocol.keys import SigningKey

MOST_KEPT = 100_000  # entries


@dataclass(frozen=True, slots=True)
class NoIdentity:
    """There is nobody who could sign, and somebody with authority says so. `reason`: a fixed word (`no_such_did`)."""

    reason: str


@dataclass(slots=True)
class Known:
    """What is known of a DID."""

    answer: SigningKey | NoIdentity
    pds: str | None
    checked: int  # seconds since 1970
    pause: int = 0  # seconds until a NoIdentity is asked for again

    def __post_init__(self) -> None:
        self.pds = None if self.pds is None else sys.intern(self.pds)  # many accounts, few hosts


class KeyCache:
    """At most `most` identities."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._known: OrderedDict[str, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, did: str) -> Known | None:
        """What is known of a DID, which counts as a use."""
        known = self._known.get(did)
        if known is not None:
            self._known.move_to_end(did)
        return known

    def put(self, did: str, known: Known) -> None:
        """Keep this; what was used least goes."""
        self._known[did] = known
        self._known.move_to_end(did)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
