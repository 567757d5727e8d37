"""One repo from the server that keeps it: asked for in its turn, read within bounds, proven by its account's key.

Source: the lexicon com.atproto.sync.getRepo. The account's DID document says which server keeps its repo; where a server says
that it does not, the document may be an old one, so it is looked up anew before that is believed.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, Protocol
from urllib.parse import quote

from unified_indexer.accounts.documents import Documents
from unified_indexer.backfill.files import TemporaryFile, in_thread
from unified_indexer.backfill.outcome import MOVED, Failed, Kind, of_answer, of_error, of_repo
from unified_indexer.backfill.pace import Outcome
from unified_indexer.backfill.rates import Rate, read_rate
from unified_indexer.backfill.turns import HostTurns, MemoryTurn, MemoryTurns
from unified_indexer.identity.directory import is_plc
from unified_indexer.identity.document import Identity
from unified_indexer.identity.downloads import Answer, Downloads
from unified_indexer.identity.errors import FetchError, NotAllowed
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.protocol.keys import SigningKey
from unified_indexer.protocol.repo import Head, Repo, RepoReader
from unified_indexer.protocol.repo_failures import RepoError
from unified_indexer.tracing.spans import Spans

PATIENCE = 30.0  # seconds that a DID document is waited for
NOBODY = 60.0  # seconds until it is asked again, where the directory does not answer

BEHIND = "behind"  # what `stop` says of a commit that is older than what is there

_END = object()

Stop = Callable[[Head], str | None]


class Identities(Protocol):
    """What is known of DIDs: resolver.Identities."""

    async def load(self, dids: Collection[str]) -> None:
        """Bring them into memory."""
        ...

    async def wait(self, did: str, within: float) -> SigningKey | NoIdentity | None:
        """What is known, or is within these seconds."""
        ...

    def pds(self, did: str) -> str | None:
        """The origin of its server."""
        ...

    def is_stale(self, did: str) -> bool:
        """Whether it may be otherwise by now."""
        ...


class _Place(NamedTuple):
    """Where a repo is, and who signs it. `fresh`: the document was looked up for this."""

    host: str | None
    key: SigningKey
    fresh: bool


class Fetcher:
    """Fetches repos. `source`: a server of the operator's choice that has them all; the account's own is asked only for what it
    lacks. `spans`: where each is to be noted as a trace.

    `counts`: how fetches ended, by reason (`fetched` among them); `received`: decoded bytes; `seconds` that were spent to
    `fetch` and to `prove`, all fetches together.
    """

    def __init__(
        self,
        downloads: Downloads,
        identities: Identities,
        documents: Documents,
        hosts: HostTurns,
        *,
        source: str | None = None,
        spans: Spans | None = None,
    ) -> None:
        self._spans = spans
        self.counts: Counter[str] = Counter()
        self.received = 0
        self.seconds = {"fetch": 0.0, "prove": 0.0}
        self._downloads = downloads
        self._identities = identities
        self._documents = documents
        self._paces = hosts.paces
        self._source = source
        self._hosts = hosts
        self._memory = MemoryTurns()
        self._proving = asyncio.Lock()

    def room(self, host: str) -> int:
        """How many fetches may be begun at a host (an origin)."""
        return self._paces.room(host, time.monotonic())

    def parked(self, host: str) -> float:
        """For how many seconds a host is not asked."""
        return self._paces.parked(host, time.monotonic())

    def host(self, did: str) -> str | None:
        """The origin that is asked for an account's repo, as far as it is known."""
        return self._source or self._identities.pds(did)

    async def fetch(self, did: str, listed: str | None = None, stop: Stop = lambda _: None) -> Repo | Failed:
        """The repo, proven, or why not. Who gets it closes it, soon: others wait for the memory that it takes.

        `listed`: an origin that says it has it, asked where the document names none. `stop` is told what the commit says before
        the rest is read: with a word of it the fetch ends. Raises NoRoom.
        """
        began = time.time_ns()
        outcome = await self._fetch(did, listed, stop)
        failed = "" if isinstance(outcome, Repo) else outcome.reason
        self.counts[failed or "fetched"] += 1
        if self._spans is not None:
            self._spans.root("fetch", began, {"did": did, "host": self.host(did) or listed or ""}, failed=failed)
        return outcome

    async def _fetch(self, did: str, listed: str | None, stop: Stop) -> Repo | Failed:
        place = await self._place(did, fresh=self._identities.is_stale(did))
        if isinstance(place, Failed):
            return place
        outcome: Repo | Failed = Failed("no_pds", Kind.UNAVAILABLE)
        if self._source is not None:
            outcome = await self._from(self._source, did, place, stop)
            if isinstance(outcome, Repo) or not (outcome.kind is Kind.UNAVAILABLE or outcome.reason == BEHIND):
                return outcome
        host = place.host or listed
        if host in (None, self._source):
            return outcome
        outcome = await self._from(host, did, place, stop)
        if isinstance(outcome, Repo) or outcome.reason not in MOVED or place.fresh:
            return outcome
        again = await self._place(did, fresh=True)
        if isinstance(again, Failed):
            return again
        return outcome if again.host in (None, host) else await self._from(again.host, did, again, stop)

    async def _place(self, did: str, *, fresh: bool) -> _Place | Failed:
        key: SigningKey | NoIdentity | None
        if fresh:
            document = await self._documents.fresh(did)
            if isinstance(document, Identity):
                host, key = document.pds, document.key or NoIdentity("no_signing_key")
            else:
                host, key = None, document
        else:
            await self._identities.load([did])
            key = await self._identities.wait(did, PATIENCE)
            host = self._identities.pds(did)
        if key is None:
            # That the one directory is silent is no account's fault; the host of a did:web is the account's own.
            return Failed("no_document", Kind.LATER, NOBODY) if is_plc(did) else Failed("no_document", Kind.RETRY)
        if isinstance(key, NoIdentity):
            return Failed(key.reason, Kind.UNAVAILABLE)
        return _Place(host, key, fresh)

    async def _from(self, host: str, did: str, place: _Place, stop: Stop) -> Repo | Failed:
        """The repo as this host has it."""
        if parked := self.parked(host):
            return Failed("parked", Kind.LATER, parked)
        memory = self._memory.of_one()
        reader = RepoReader(did, TemporaryFile, datetime.now(UTC), memory.release)
        done = False
        try:
            async with self._hosts.turn(host):
                if parked := self.parked(host):
                    return Failed("parked", Kind.LATER, parked)
                began = time.monotonic()
                failed = await self._ask(host, reader, memory, did, stop)
                self.seconds["fetch"] += time.monotonic() - began
            if failed is not None:
                return failed._replace(after=self.parked(host)) if failed.kind is Kind.LATER else failed
            began = time.monotonic()
            repo = await self._proven(reader, did, place, spooled=memory.spooled)
            self.seconds["prove"] += time.monotonic() - began
            done = isinstance(repo, Repo)
            return repo
        except RepoError as error:
            return of_repo(error)
        finally:
            if not done:
                reader.close()

    async def _ask(self, host: str, reader: RepoReader, memory: MemoryTurn, did: str, stop: Stop) -> Failed | None:
        """Asks a host and reads all that it sends; None if all has come."""
        rate: Rate | None = None
        heard = Outcome.ANSWERED
        try:
            url = f"{host}/xrpc/com.atproto.sync.getRepo?did={quote(did, safe='')}"
            async with self._downloads.get(url, trusted=host == self._source) as answer:
                rate = read_rate(answer.headers, time.time())
                if answer.status == 200:
                    return await self._read(answer, reader, memory, stop)
                if answer.status == 429 or (answer.status == 503 and rate.wait is not None):
                    heard = Outcome.LIMITED
                    return Failed("rate_limited", Kind.LATER)
                heard = Outcome.OVERLOADED if answer.status >= 500 else heard
                return of_answer(answer.status, *await answer.told())
        except FetchError as error:
            heard = heard if isinstance(error, NotAllowed) else Outcome.OVERLOADED
            return of_error(error)
        finally:
            self._paces.heard(host, heard, time.monotonic(), rate)

    async def _read(self, answer: Answer, reader: RepoReader, memory: MemoryTurn, stop: Stop) -> Failed | None:
        asked = False
        async with aclosing(answer.pieces()) as pieces:
            async for piece in pieces:
                await memory.room_for(reader.size + len(piece))
                if memory.spooled:
                    await in_thread(partial(reader.feed, piece))
                else:
                    reader.feed(piece)
                self.received += len(piece)
                if not asked and reader.head is not None:
                    asked = True
                    if (reason := stop(reader.head)) is not None:
                        return Failed(reason, Kind.STOPPED)
                await asyncio.sleep(0)
        return None

    async def _proven(self, reader: RepoReader, did: str, place: _Place, *, spooled: bool) -> Repo | Failed:
        """The repo, by the key that the account has now, if the known one does not fit. Raises RepoError."""
        key = place.key
        if reader.head is not None and not reader.signed_by(key) and not place.fresh:
            again = await self._place(did, fresh=True)
            if isinstance(again, Failed):
                return again
            key = again.key
        steps = reader.prove(key)
        if spooled:  # there is only one of those
            while await in_thread(partial(next, steps, _END)) is not _END:
                pass
        else:
            async with self._proving:
                for _ in steps:
                    await asyncio.sleep(0)
        return reader.repo()
