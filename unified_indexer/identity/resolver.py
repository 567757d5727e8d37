"""The identities, as the stage that verifies needs them: from memory at once, from the table in one query, or looked up.

    known(did)  memory alone            load(dids)   memory <- table, and what is missing is looked up some time soon
    ask(did)    somebody waits for its document of now, which `listen` brings
    stale(did)  an #identity came       refresh(did) a signature failed: ask the one who knows best, and wait for it
    former(did, rev)  keys that it had  past(did)    it failed all the same: read which keys the DID had before

Nobody who sends us events decides how often we ask: each source has its pace, each DID its pauses, each line its end.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.identity.asker import Answer, Asker
from unified_indexer.identity.client import Client
from unified_indexer.identity.directory import Directory, is_plc
from unified_indexer.identity.document import Identity
from unified_indexer.identity.export import Operation
from unified_indexer.identity.following import Follower, Log
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.identity.memory import Listener, Memory
from unified_indexer.identity.pace import Patience
from unified_indexer.identity.past import Pasts
from unified_indexer.identity.recent import Recent
from unified_indexer.identity.records import Records
from unified_indexer.identity.waiters import Awaited, Waiters
from unified_indexer.identity.waiting_line import Urgency
from unified_indexer.identity.web import WebDids, web_url
from unified_indexer.protocol.keys import SigningKey

WEB_RATE = 10.0  # look-ups of did:web a second, all hosts together
REFRESH_INTERVAL = 60.0  # seconds between two look-ups of a DID by failed signatures, or by #identity
REFRESH_PATIENCE = 4.0  # seconds that one waits for such a look-up
MOST_PATIENCE, PATIENCE_RATE = 80.0, 0.2  # seconds that all together may wait, and how many come back each second
MOST_RECENT = 10_000  # DIDs of which it is known that they were refreshed
LAG = 60.0  # seconds that a replica may be behind


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
        self._allow_private = allow_private
        self._records = Records(pool)
        self._memory = Memory(self._records, ttl)
        directory = Directory(client, directories, allow_private=allow_private)
        logs = [Log(client, url, allow_private=allow_private) for url in directories]
        self._follower = Follower(pool, logs, self._followed)
        self._has_replicas = len(directories) > 1
        self._plc = Asker(directory, self._settle, self._doubts_replicas, self._has_key, rate=rate, breaks=True)
        web = WebDids(client, allow_private=allow_private)
        self._web = Asker(web, self._settle, self._doubts_replicas, self._has_key, rate=WEB_RATE, breaks=False)
        self._pasts = Pasts(client, directories[-1], self._plc.pace, self._plc.breaker, self.counts)
        self._refreshed = Recent(MOST_RECENT)
        self._certain = Recent(MOST_RECENT)  # of whom the primary has spoken of late
        self._doubted, self._news = Recent(MOST_RECENT), Recent(MOST_RECENT)  # who was asked for of late, and why
        self._waiters = Waiters()
        self._listeners: list[Callable[[Answer], None]] = []
        self._patience = Patience(MOST_PATIENCE, PATIENCE_RATE)

    @property
    def waiting(self) -> int:
        """How many look-ups wait for their turn."""
        return self._plc.waiting + self._web.waiting

    @property
    def failing_since(self) -> float | None:
        """Since when (seconds since 1970) the directory has not answered; None while it answers."""
        return self._plc.breaker.failing_since

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called with all that comes in, also by the log, in the loop: it must not wait."""
        self._memory.subscribe(listener)

    def listen(self, listener: Callable[[Answer], None]) -> None:
        """Have `listener` called with each answer that is no older than what is known, in the loop: it must not wait."""
        self._listeners.append(listener)

    def known(self, did: str) -> SigningKey | NoIdentity | None:
        """What is in memory: a key, that there is none, or None if that is not known. A key that is old still counts."""
        answer = self._memory.answer(did)
        if answer is None and did not in self._memory and self._asker(did) is None:
            return NoIdentity("bad_did")
        return answer

    def pds(self, did: str) -> str | None:
        """The origin of the server that keeps this DID's repo, as far as it is in memory."""
        known = self._memory.get(did)
        return None if known is None else known.pds

    def is_stale(self, did: str) -> bool:
        """Whether an #identity came since the DID was looked up: its key may be another one by now."""
        return self._memory.is_stale(did)

    def take_returned(self, did: str) -> bool:
        """Whether the DID had no identity before it had the key that is known, if that was not said yet."""
        return self._memory.take_returned(did)

    def stale(self, did: str) -> None:
        """An #identity came: ask again at the next use, which may never come."""
        if self._asker(did) is not None:
            self._memory.stale(did)

    async def load(self, dids: Collection[str]) -> None:
        """Bring these DIDs from the table into memory. What is not there, or old, is put in line to be looked up: nothing waits
        for that."""
        unknown: list[str] = []
        for did in dids:
            is_old = self._memory.is_old(did)
            if is_old is not None:
                self.found["memory"] += 1
                if is_old:
                    self._ask_again(did)
            elif (asker := self._asker(did)) is not None and not asker.has(did):
                unknown.append(did)
        rows = await self._records.read(unknown) if unknown else []
        if rows is None:
            return
        self.found["table"] += len(rows)
        self.found["nowhere"] += len(unknown) - len(rows)
        for row in rows:
            if row.did not in self._memory:  # it may have been looked up meanwhile
                self._memory.take(row)
        for did in unknown:
            if did in self._memory:
                self._ask_again(did)
            else:
                self.want(did)

    def want(self, did: str) -> None:
        """Have a DID looked up when its turn comes."""
        if (asker := self._asker(did)) is not None:
            asker.put(did, Urgency.FIRST)

    def ask(self, did: str, *, primary: bool = False) -> None:
        """Have a DID looked up soon, since somebody waits for what its document says from now on; `primary`: by the primary."""
        if (asker := self._asker(did)) is not None:
            asker.put(did, Urgency.FRESH, primary=primary)

    async def wait(self, did: str, within: float) -> SigningKey | NoIdentity | None:
        """Wait until a DID is known, `within` seconds at most; None if it is not known then."""
        deadline = time.monotonic() + within
        while (answer := self.known(did)) is None and (left := deadline - time.monotonic()) > 0:
            self.want(did)
            await self._waiters.wait(Awaited(did, primary=False), left)
        return answer

    async def refresh(self, did: str, *, news: bool = False) -> SigningKey | NoIdentity | None:
        """Look a DID up now, because its key does not fit a signature, or an #identity came (`news`); what it is now.

        Once a minute per DID for each of the two: within that minute what is known is the answer. An #identity that tells
        another handle must not spend the question that a new key needs a moment later. None if nobody could be asked: no
        answer within 4 s, a source that does not answer, or too many who wait already.
        """
        asker = self._asker(did)
        asked = self._news if news else self._doubted
        if asker is None or (did in asked and did in self._refreshed):
            return self.known(did)
        awaited = Awaited(did, primary=True)
        if awaited in self._waiters:
            await self._waiters.wait(awaited, REFRESH_PATIENCE)
            return self.known(did) if did in self._refreshed else None
        is_busy = asker.breaker.is_open or asker.failed_lately(did) or asker.delay >= REFRESH_PATIENCE
        if is_busy or not self._patience.take(REFRESH_PATIENCE):
            asker.put(did, Urgency.AGAIN)
            return None
        asked.note(did, REFRESH_INTERVAL)
        self._refreshed.forget(did)
        asker.put(did, Urgency.REFRESH)
        began = time.monotonic()
        await self._waiters.wait(awaited, REFRESH_PATIENCE)
        self._patience.give_back(REFRESH_PATIENCE - (time.monotonic() - began))
        return self.known(did) if did in self._refreshed else None

    def former(self, did: str, rev: str) -> list[SigningKey]:
        """The keys that this DID has no more and had when a commit of this rev was written, as far as `past` was asked."""
        return self._pasts.keys(did, rev)

    def has_past(self, did: str) -> bool:
        """Whether it is known which keys this DID had until a minute ago. Of a did:web nobody can say, so no other counts."""
        return not is_plc(did) or did in self._pasts

    async def past(self, did: str) -> bool:
        """Find out which keys this DID had; whether that is known now. Once a minute per DID; otherwise like `refresh`."""
        if self.has_past(did):
            return True
        if not self._patience.take(REFRESH_PATIENCE):
            return False
        began = time.monotonic()
        try:
            async with asyncio.timeout(REFRESH_PATIENCE):
                return await self._pasts.read(did)
        except TimeoutError:
            return False
        finally:
            self._patience.give_back(REFRESH_PATIENCE - (time.monotonic() - began))

    async def run(self) -> None:
        """Look up and write what was found, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for work in (self._plc.run(), self._web.run(), self._records.keep_writing(), self._follower.run()):
                tasks.create_task(work)

    def _asker(self, did: str) -> Asker | None:
        """Who is asked for a DID; None if its method is none of the protocol's, or it is malformed."""
        if is_plc(did):
            return self._plc
        return self._web if web_url(did, allow_private=self._allow_private) is not None else None

    def _ask_again(self, did: str) -> None:
        """Put a DID in line if what is known of it is old."""
        asker = self._asker(did) if self._memory.is_old(did) else None
        if asker is not None and not asker.has(did):
            asker.put(did, Urgency.AGAIN)

    def _doubts_replicas(self, did: str) -> bool:
        """Whether a replica may not know yet what an #identity, or the primary, has said."""
        return self._memory.is_stale(did) or did in self._certain

    async def _has_key(self, did: str) -> bool:
        """Whether a key counts for a DID, by memory or by the table. If the table can't be read, that is not ruled out."""
        if not self._memory.has_key(did):
            rows = await self._records.read([did])
            if rows is None:
                return True
            for row in rows:
                if row.key is not None:
                    self._memory.take(row)
        return self._memory.has_key(did)

    def _settle(self, answer: Answer) -> None:
        """A look-up has ended."""
        self.counts[answer.reason] += 1
        refreshed = answer.urgency is Urgency.REFRESH
        if answer.identity is not None:
            if refreshed:
                self._refreshed.note(answer.did, REFRESH_INTERVAL)
            self._learn(answer, answer.identity)
        for primary in {False, refreshed}:
            self._waiters.wake(Awaited(answer.did, primary))

    def _learn(self, answer: Answer, identity: Identity | NoIdentity) -> None:
        """What a replica says answers no #identity, and undoes nothing that the primary has said of late."""
        of_replica = self._has_replicas and is_plc(answer.did) is not None and not answer.primary
        if answer.primary:
            self._certain.note(answer.did, LAG)
        if not of_replica or answer.did not in self._certain:
            self._memory.learn(answer.did, identity, -math.inf if of_replica else answer.began)
        if not (of_replica and self._doubts_replicas(answer.did)):
            for listener in self._listeners:
                listener(answer)

    def _followed(self, operations: Sequence[Operation], through: int) -> None:
        """The log said this."""
        self.counts["followed"] += self._memory.follow(operations, through, self._plc.has)
