"""The identities in memory: DID -> key, or why there is none; the ones used last are kept.

A key of k256 is kept as its point alone: 100,000 entries take 24 MB. Two generations in place of a list of uses: what is used
in the old one moves to the young one, and when that is half of all, it becomes the old one.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from unified_indexer.protocol.keys import K256Key, SigningKey

MOST_KEPT = 100_000  # entries


@dataclass(frozen=True, slots=True)
class NoIdentity:
    """There is nobody who could sign, and somebody with authority says so. `reason`: a fixed word (`no_such_did`)."""

    reason: str


class Known(NamedTuple):
    """What is known of a DID."""

    answer: SigningKey | NoIdentity
    pds: str | None
    checked: int  # seconds since 1970
    pause: int = 0  # seconds until a NoIdentity is asked for again


class Checked(NamedTuple):
    """When a DID was looked up (seconds since 1970), and how long that counts if it is a NoIdentity (seconds)."""

    at: int
    pause: int | None


@dataclass(slots=True)
class _Generation:
    """Entries by `_name`: 4 bytes of `checked`, 4 of the host's number, and the point; what is not of k256 is rare, and kept as
    it is. `urls` holds each host once; number 0 is none."""

    entries: dict[bytes, bytes | Known] = field(default_factory=dict[bytes, bytes | Known])
    urls: list[str | None] = field(default_factory=lambda: [None])
    numbers: dict[str | None, int] = field(default_factory=lambda: {None: 0})

    def put(self, name: bytes, known: Known) -> None:
        if not isinstance(known.answer, K256Key):
            self.entries[name] = known
            return
        number = self.numbers.setdefault(known.pds, len(self.urls))
        if number == len(self.urls):
            self.urls.append(known.pds)
        self.entries[name] = known.checked.to_bytes(4, "big") + number.to_bytes(4, "big") + known.answer.point

    def get(self, name: bytes) -> Known | None:
        entry = self.entries.get(name)
        if not isinstance(entry, bytes):
            return entry
        url = self.urls[int.from_bytes(entry[4:8], "big")]
        return Known(K256Key(entry[8:]), url, int.from_bytes(entry[:4], "big"))


class KeyCache:
    """At most `most` identities."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._half = most // 2
        self._young, self._old = _Generation(), _Generation()

    def __len__(self) -> int:
        return len(self._young.entries) + len(self._old.entries)

    def __contains__(self, did: str) -> bool:
        name = _name(did)
        return name in self._young.entries or name in self._old.entries

    def get(self, did: str) -> Known | None:
        """What is known of a DID, which counts as a use."""
        name = _name(did)
        known = self._young.get(name)
        if known is None and (known := self._old.get(name)) is not None:
            self._put(name, known)
        return known

    def checked(self, did: str) -> Checked | None:
        """When a DID was looked up; that is no use."""
        name = _name(did)
        entry = self._young.entries.get(name) or self._old.entries.get(name)
        if isinstance(entry, bytes):
            return Checked(int.from_bytes(entry[:4], "big"), None)
        if entry is None:
            return None
        return Checked(entry.checked, entry.pause if isinstance(entry.answer, NoIdentity) else None)

    def put(self, did: str, known: Known) -> None:
        """Keep this; what was used least goes."""
        self._put(_name(did), known)

    def _put(self, name: bytes, known: Known) -> None:
        self._old.entries.pop(name, None)
        self._young.put(name, known)
        if max(len(self._young.entries), len(self._young.urls)) >= self._half:  # also accounts that move again and again
            self._young, self._old = _Generation(), self._young


def _name(did: str) -> bytes:
    """The DID in less room: 57 bytes in place of 81. A space is in no DID: what follows `did:plc:` is no other's name."""
    return did[8:].encode() if did.startswith("did:plc:") else b" " + did.encode()
