"""The identities, as the stage that verifies needs them: from memory at once, from the table in one query, or looked up.

    known(did)  memory alone            load(dids)   memory <- table, and what is missing is looked up some time soon
    stale(did)  an #identity came       refresh(did) a signature failed: ask the one who knows best, and wait for it

Nobody who sends us events decides how often we ask: each source has its pace, each DID its pauses, each line its end.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from indexer.database.connection.pool import DatabasePool
from indexer.errors import Rejected
from indexer.identity.asker import Answer, Asker
from indexer.identity.client import Client
from indexer.identity.directory import Directory, is_plc
from indexer.identity.document import Identity
from indexer.identity.key_cache import KeyCache, Known, NoIdentity
from indexer.identity.pace import Patience
from indexer.identity.recent import Recent
from indexer.identity.records import Records
from indexer.identity.store import Row, State
from indexer.identity.waiters import Awaited, Waiters
from indexer.identity.waiting_line import Urgency
from indexer.identity.web import WebDids, web_url
from indexer.protocol.keys import SigningKey, key_bytes, read_key

WEB_RATE = 10.0  # look-ups of did:web a second, all hosts together
STALE_IF_ERROR = 7 * 86_400  # seconds beyond IDENTITY_TTL that a key counts if nobody answers
NEGATIVE_PAUSE, MAX_NEGATIVE_PAUSE = 120, 3600  # seconds until a DID without identity is asked for again; doubles each time
STALE_INTERVAL = 60  # seconds between two look-ups of a DID by #identity
REFRESH_INTERVAL = 60.0  # seconds between two look-ups of a DID by failed signatures
REFRESH_PATIENCE = 4.0  # seconds that one waits for such a look-up
MOST_PATIENCE, PATIENCE_RATE = 80.0, 0.2  # seconds that all together may wait, and how many come back each second
MOST_RECENT = 10_000  # DIDs of which it is known that they were refreshed
MOST_STALE = 20_000  # DIDs in memory of which an #identity came; the table knows of more

Listener = Callable[[str, Identity | NoIdentity], None]
_STATES = {"tombstoned": State.TOMBSTONED, "no_signing_key": State.NO_KEY}
_REASONS = {State.NOT_FOUND: "no_such_did", State.TOMBSTONED: "tombstoned", State.NO_KEY: "no_signing_key"}


class Identities:
    """Who signs for which DID. `ttl`: seconds. `run` does the look-ups; without it only the table is known."""

    def __init__(
        self,
        pool: DatabasePool,
        client: Client,
        *,
        directories: Sequence[str],
        rate: float,
        ttl: float,
        allow_private: bool = False,
    ) -> None:
        self.counts: Counter[str] = Counter()  # look-ups by their end: found, no_such_did, timeout …
        self.found: Counter[str] = Counter()  # what `load` was asked for, by where it was: memory, table, nowhere
        self._ttl = ttl
        self._allow_private = allow_private
        self._cache = KeyCache()
        self._records = Records(pool)
        directory = Directory(client, directories, allow_private=allow_private)
        self._plc = Asker(directory, self._settle, rate=rate, breaks=True)
        self._web = Asker(WebDids(client, allow_private=allow_private), self._settle, rate=WEB_RATE, breaks=False)
        self._stale = Recent(MOST_STALE)
        self._refreshed = Recent(MOST_RECENT)
        self._waiters = Waiters()
        self._patience = Patience(MOST_PATIENCE, PATIENCE_RATE)
        self._listeners: list[Listener] = []

    @property
    def waiting(self) -> int:
        """How many look-ups wait for their turn."""
        return self._plc.waiting + self._web.waiting

    @property
    def failing_since(self) -> float | None:
        """Since when (seconds since 1970) the directory has not answered; None while it answers."""
        return self._plc.breaker.failing_since

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called with each answer, in the loop: it must not wait."""
        self._listeners.append(listener)

    def known(self, did: str) -> SigningKey | NoIdentity | None:
        """What is in memory: a key, that there is none, or None if that is not known. A key that is old still counts."""
        known = self._cache.get(did)
        if known is None:
            return None if self._asker(did) is not None else NoIdentity("bad_did")
        if time.time() - known.checked > self._ttl + STALE_IF_ERROR and not isinstance(known.answer, NoIdentity):
            return None
        return known.answer

    def pds(self, did: str) -> str | None:
        """The origin of the server that keeps this DID's repo, as far as it is in memory."""
        known = self._cache.get(did)
        return None if known is None else known.pds

    def is_stale(self, did: str) -> bool:
        """Whether an #identity came since the DID was looked up: its key may be another one by now."""
        return did in self._stale

    def stale(self, did: str) -> None:
        """An #identity came: ask again at the next use, which may never come."""
        if self._asker(did) is not None:
            self._stale.note(did)
            self._records.mark(did)

    async def load(self, dids: Collection[str]) -> None:
        """Bring these DIDs from the table into memory. What is not there, or old, is put in line to be looked up: nothing waits
        for that."""
        unknown: list[str] = []
        for did in dids:
            known, asker = self._cache.get(did), self._asker(did)
            if known is not None:
                self.found["memory"] += 1
                self._ask_again(did, known)
            elif asker is not None and not asker.has(did):
                unknown.append(did)
        rows = await self._records.read(unknown) if unknown else []
        if rows is None:
            return
        self.found["table"] += len(rows)
        self.found["nowhere"] += len(unknown) - len(rows)
        for row in rows:
            if self._cache.get(row.did) is None:  # else it was looked up meanwhile
                self._take(row)
        for did in unknown:
            if (known := self._cache.get(did)) is None:
                self.want(did)
            else:
                self._ask_again(did, known)

    def want(self, did: str) -> None:
        """Have a DID looked up when its turn comes."""
        if (asker := self._asker(did)) is not None:
            asker.put(did, Urgency.FIRST)

    async def wait(self, did: str, within: float) -> SigningKey | NoIdentity | None:
        """Wait until a DID is known, `within` seconds at most; None if it is not known then."""
        deadline = time.monotonic() + within
        while (answer := self.known(did)) is None and (left := deadline - time.monotonic()) > 0:
            self.want(did)
            await self._waiters.wait(Awaited(did, primary=False), left)
        return answer

    async def refresh(self, did: str) -> SigningKey | NoIdentity | None:
        """Look a DID up now, because its key does not fit a signature, or an #identity came; what it is now.

        Once a minute per DID: within that minute what is known is the answer. None if nobody could be asked: no answer within
        4 s, a source that does not answer, or too many who wait already.
        """
        asker = self._asker(did)
        if asker is None or did in self._refreshed:
            return self.known(did)
        awaited = Awaited(did, primary=True)
        if awaited in self._waiters:
            await self._waiters.wait(awaited, REFRESH_PATIENCE)
            return self.known(did) if did in self._refreshed else None
        is_busy = asker.breaker.is_open or asker.failed_lately(did) or asker.delay >= REFRESH_PATIENCE
        if is_busy or not self._patience.take(REFRESH_PATIENCE):
            asker.put(did, Urgency.AGAIN)
            return None
        asker.put(did, Urgency.REFRESH)
        began = time.monotonic()
        await self._waiters.wait(awaited, REFRESH_PATIENCE)
        self._patience.give_back(REFRESH_PATIENCE - (time.monotonic() - began))
        return self.known(did) if did in self._refreshed else None

    async def run(self) -> None:
        """Look up and write what was found, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for work in (self._plc.run(), self._web.run(), self._records.keep_writing()):
                tasks.create_task(work)

    def _asker(self, did: str) -> Asker | None:
        """Who is asked for a DID; None if its method is none of the protocol's, or it is malformed."""
        if is_plc(did):
            return self._plc
        return self._web if web_url(did, allow_private=self._allow_private) is not None else None

    def _ask_again(self, did: str, known: Known) -> None:
        """Put a DID in line if what is known of it is old."""
        age = time.time() - known.checked
        limit = known.pause if isinstance(known.answer, NoIdentity) else self._ttl
        if age >= limit or (did in self._stale and age >= STALE_INTERVAL):
            asker = self._asker(did)
            if asker is not None and not asker.has(did):
                asker.put(did, Urgency.AGAIN)

    def _settle(self, answer: Answer) -> None:
        """A look-up has ended."""
        self.counts[answer.reason] += 1
        if answer.identity is not None:
            self._learn(answer.did, answer.identity)
            if answer.primary:
                self._refreshed.note(answer.did, REFRESH_INTERVAL)
            for listener in self._listeners:
                listener(answer.did, answer.identity)
        for primary in {False, answer.primary}:
            self._waiters.wake(Awaited(answer.did, primary))

    def _learn(self, did: str, identity: Identity | NoIdentity) -> None:
        now = int(time.time())
        self._stale.forget(did)
        if isinstance(identity, Identity) and identity.key is not None:
            self._cache.put(did, Known(identity.key, identity.pds, now))
            self._records.write(Row(did, key_bytes(identity.key), identity.pds, now, State.KNOWN))
            return
        none = identity if isinstance(identity, NoIdentity) else NoIdentity("no_signing_key")
        pds = identity.pds if isinstance(identity, Identity) else None
        before = self._cache.get(did)
        pause = NEGATIVE_PAUSE if before is None else min(max(before.pause * 2, NEGATIVE_PAUSE), MAX_NEGATIVE_PAUSE)
        self._cache.put(did, Known(none, pds, now, pause))
        self._records.write(Row(did, None, pds, now, _STATES.get(none.reason, State.NOT_FOUND)))

    def _take(self, row: Row) -> None:
        """Bring a row of the table into memory."""
        if row.state is State.ASK_AGAIN:
            self._stale.note(row.did)
        if row.key is None:
            none = NoIdentity(_REASONS.get(row.state, "no_signing_key"))
            self._cache.put(row.did, Known(none, row.pds, row.checked, MAX_NEGATIVE_PAUSE))
            return
        try:
            self._cache.put(row.did, Known(read_key(row.key), row.pds, row.checked))
        except Rejected:
            return  # not of our making: it is looked up
