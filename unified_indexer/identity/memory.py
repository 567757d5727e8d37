"""What is known of DIDs: in memory, and written to the table soon. What a look-up or the directory's log says comes in here."""

import time
from collections.abc import Callable, Sequence

from unified_indexer.errors import Rejected
from unified_indexer.identity.directory import is_plc
from unified_indexer.identity.document import Identity
from unified_indexer.identity.export import Operation
from unified_indexer.identity.key_cache import KeyCache, Known, NoIdentity
from unified_indexer.identity.recent import Recent
from unified_indexer.identity.records import Records
from unified_indexer.identity.store import Row, State
from unified_indexer.protocol.keys import SigningKey, key_bytes, read_key

STALE_IF_ERROR = 7 * 86_400  # seconds beyond IDENTITY_TTL that a key counts if nobody answers
NEGATIVE_PAUSE, MAX_NEGATIVE_PAUSE = 120, 3600  # seconds until a DID without identity is asked for again; doubles each time
STALE_INTERVAL = 60  # seconds between two look-ups of a DID by #identity
MOST_RETURNED = 10_000  # DIDs that had no identity, and have one
MOST_STALE = 20_000  # DIDs in memory of which an #identity came; the table knows of more

Listener = Callable[[str, Identity | NoIdentity], None]
_STATES = {"tombstoned": State.TOMBSTONED, "no_signing_key": State.NO_KEY}
_REASONS = {State.NOT_FOUND: "no_such_did", State.TOMBSTONED: "tombstoned", State.NO_KEY: "no_signing_key"}


class Memory:
    """What is known. `ttl`: seconds that a key counts without being asked for again."""

    def __init__(self, records: Records, ttl: float) -> None:
        self._records = records
        self._ttl = ttl
        self._cache = KeyCache()
        self._stale = Recent(MOST_STALE)
        self._returned = Recent(MOST_RETURNED)
        self._through = 0  # until when (seconds since 1970) the log of the directory is known
        self._listeners: list[Listener] = []

    def __contains__(self, did: str) -> bool:
        return did in self._cache

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called with all that comes in."""
        self._listeners.append(listener)

    def get(self, did: str) -> Known | None:
        """What is known of a DID, however old."""
        return self._cache.get(did)

    def answer(self, did: str) -> SigningKey | NoIdentity | None:
        """The key that counts, that there is none, or None if that is not known."""
        known = self._cache.get(did)
        if known is None or isinstance(known.answer, NoIdentity):
            return None if known is None else known.answer
        return None if self._age(did, known.checked) > self._ttl + STALE_IF_ERROR else known.answer

    def has_key(self, did: str) -> bool:
        """Whether the DID has a key that counts."""
        answer = self.answer(did)
        return answer is not None and not isinstance(answer, NoIdentity)

    def is_old(self, did: str) -> bool | None:
        """Whether to ask for a DID again at its next use; None if it is not in memory."""
        checked = self._cache.checked(did)
        if checked is None:
            return None
        is_key = checked.pause is None
        age = self._age(did, checked.at) if is_key else time.time() - checked.at
        return age >= (checked.pause or self._ttl) or (did in self._stale and age >= STALE_INTERVAL)

    def is_stale(self, did: str) -> bool:
        """Whether an #identity came since."""
        return did in self._stale

    def take_returned(self, did: str) -> bool:
        """Whether the DID had no identity before it had this key, if that was not said yet."""
        if did not in self._returned:
            return False
        self._returned.forget(did)
        return True

    def stale(self, did: str) -> None:
        """An #identity came."""
        self._stale.note(did)
        self._records.mark(did)

    def learn(self, did: str, identity: Identity | NoIdentity, upto: float) -> None:
        """A look-up says this. It knows of each #identity that came until `upto` (time.monotonic)."""
        now = int(time.time())
        self._stale.forget(did, upto)
        if isinstance(identity, Identity) and identity.key is not None:
            state = State.ASK_AGAIN if did in self._stale else State.KNOWN
            self._put_key(did, Known(identity.key, identity.pds, now))
            self._records.write(Row(did, key_bytes(identity.key), identity.pds, now, state))
            self._tell(did, identity)
            return
        none = identity if isinstance(identity, NoIdentity) else NoIdentity("no_signing_key")
        pds = identity.pds if isinstance(identity, Identity) else None
        before = self._cache.get(did)
        pause = NEGATIVE_PAUSE if before is None else min(max(before.pause * 2, NEGATIVE_PAUSE), MAX_NEGATIVE_PAUSE)
        self._cache.put(did, Known(none, pds, now, pause))
        self._records.write(Row(did, None, pds, now, _STATES.get(none.reason, State.NOT_FOUND)))
        self._tell(did, identity)

    def follow(self, operations: Sequence[Operation], through: int, is_awaited: Callable[[str], bool]) -> int:
        """The directory's log says this, and is known until then (seconds since 1970). It is in the table already; of interest
        here are the DIDs in memory, and those that are waited for: how many these were."""
        self._through = through
        count = 0
        for row, handle in {operation.row.did: (operation.row, operation.handle) for operation in operations}.values():
            known = self._cache.checked(row.did)
            if (known is None and not is_awaited(row.did)) or (known is not None and known.at > row.checked):
                continue
            count += 1
            self._stale.forget(row.did)
            self.take(row)
            if (taken := self._cache.get(row.did)) is not None:
                answer = taken.answer
                identity = answer if isinstance(answer, NoIdentity) else Identity(row.did, answer, row.pds, handle)
                self._tell(row.did, identity)
        return count

    def take(self, row: Row) -> None:
        """Bring a row of the table into memory."""
        if row.state is State.ASK_AGAIN:
            self._stale.note(row.did)
        if row.key is None:
            none = NoIdentity(_REASONS.get(row.state, "no_signing_key"))
            self._cache.put(row.did, Known(none, row.pds, row.checked, MAX_NEGATIVE_PAUSE))
            return
        try:
            self._put_key(row.did, Known(read_key(row.key), row.pds, row.checked))
        except Rejected:
            return  # not of our making: it is looked up

    def _put_key(self, did: str, known: Known) -> None:
        before = self._cache.get(did)
        if before is not None and isinstance(before.answer, NoIdentity):
            self._returned.note(did)
        self._cache.put(did, known)

    def _age(self, did: str, checked: int) -> float:
        """Seconds since a key certainly was the right one: one that the log has not changed is as new as the log."""
        if self._through > checked and is_plc(did):
            checked = self._through
        return time.time() - checked

    def _tell(self, did: str, identity: Identity | NoIdentity) -> None:
        for listener in self._listeners:
            listener(did, identity)
