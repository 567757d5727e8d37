"""All of a repo, slice by slice: compared, and what differs written a few records at a time.

Every step is a transaction that takes the repo's row and asks whether it may go on, so it may end anywhere: what is begun anew
finds the most part right, and comparing costs little.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import libipld

from indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy, sqlstate, statement
from indexer.database.connection.pool import DatabasePool
from indexer.database.connection.sessions import Connection
from indexer.database.repair import steps
from indexer.database.repair.slices import WRITTEN_AT_ONCE, Gone, Put, Refusal, Slice, Stored, Terms, slices
from indexer.database.repair.steps import Claim, Word
from indexer.errors import Stop
from indexer.log.handler import warn_limited
from indexer.protocol.syntax import tid_time
from indexer.selection import Selection

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between repetitions

T = TypeVar("T")


class WholeRepo(Protocol):
    """A repo that is proven whole. `rev`: of its commit; `data`: the CID of its tree's root, 36 raw bytes; `size`: bytes."""

    @property
    def rev(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def records(self) -> int: ...
    @property
    def size(self) -> int: ...
    def slices(self, size: int = 500) -> Iterator[Sequence[Stored]]:
        """Its records in the order of their paths, `size` at a time."""
        ...


class Ended(NamedTuple):
    """What became of a repair: `word` OK if all is in. `counts`: records that were new or other ('put'), 'gone', 'same',
    'refused' by us or 'kept' for the database did not take them."""

    word: str
    counts: Counter[str]


class Writing:
    """Writes one repo that was fetched under a claim.

    `proven`: the account's key signed it. `notify`: how old a record may be, at most, that was missing and notifies others all
    the same. `may_go_on`: waits while others come first, and is asked before each slice.
    `aside`: has the work of reading a slice done, where that may wait for a disk.
    """

    def __init__(
        self,
        pool: DatabasePool,
        selection: Selection,
        claim: Claim,
        repo: WholeRepo,
        *,
        proven: bool,
        notify: timedelta,
        host: int | None = None,
        may_go_on: Callable[[], Awaitable[None]] | None = None,
        aside: Callable[[Callable[[], Slice | None]], Awaitable[Slice | None]] | None = None,
    ) -> None:
        self._pool = pool
        self._selection = selection
        self._claim = claim
        self._repo = repo
        self._proven = proven
        self._notify = notify
        self._host = host
        self._may_go_on = may_go_on
        self._aside = aside
        self._counts: Counter[str] = Counter()

    async def run(self) -> Ended:
        """Write the repo; return what became of it. Raises Stop if only an operator can help."""
        return Ended(await self._run(), self._counts)

    async def _run(self) -> str:
        repo, claim = self._repo, self._claim
        if not self._selection.takes_account(claim.did):
            return "opted_out"
        data = libipld.encode_cid(repo.data)
        word = await self._patiently(
            lambda on: steps.begin(on, claim, repo.rev, data, proven=self._proven, records=repo.records, size=repo.size)
        )
        filtered = False
        if word is Word.OK:
            terms = await self._patiently(self._terms)
            pieces = slices(repo.slices(), terms)
            while (piece := await self._next(pieces)) is not None:
                if self._may_go_on is not None:
                    await self._may_go_on()
                if not self._selection.takes_account(claim.did):
                    return "opted_out"
                filtered |= piece.filtered
                word = await self._slice(piece, terms)
                if word is not Word.OK:
                    return word
        if word not in (Word.OK, Word.SAME):
            return word
        settled = await self._patiently(lambda on: steps.settle(on, claim, filtered=filtered, host=self._host))
        return word if settled is Word.OK else settled

    async def _terms(self, connection: Connection) -> Terms:
        """Whom to tell of what: of what was missed while the repo was followed, and not of what is older."""
        at = tid_time(self._repo.rev)
        since = await steps.followed_since(connection, self._claim)
        after: datetime | None = None if since is None else max(since, at - self._notify)
        return Terms(self._claim.did, self._selection, at, after)

    async def _next(self, pieces: Iterator[Slice]) -> Slice | None:
        if self._aside is None:
            return next(pieces, None)
        return await self._aside(partial(next, pieces, None))

    async def _slice(self, piece: Slice, terms: Terms) -> Word:
        rev = self._repo.rev
        found = await self._patiently(lambda on: steps.compare(on, self._claim, rev, piece, terms))
        if found.word is not Word.OK:
            return found.word
        for refusal in found.refused:
            word = await self._refuse(refusal)
            if word is not Word.OK:
                return word
        changes = [*found.gone, *found.put]
        for at in range(0, len(changes), WRITTEN_AT_ONCE):
            word = await self._write(changes[at : at + WRITTEN_AT_ONCE], terms)
            if word is not Word.OK:
                return word
        self._counts["same"] += len(piece.records) - len(found.refused) - len(found.put)
        return Word.OK

    async def _refuse(self, refusal: Refusal) -> Word:
        self._counts["refused"] += 1
        return await self._patiently(lambda on: steps.refuse(on, self._claim, self._repo.rev, refusal))

    async def _write(self, changes: Sequence[Put | Gone], terms: Terms) -> Word:
        """Writes some changes together; where the database refuses one of them, that one is kept alone."""
        rev = self._repo.rev
        try:
            word = await self._patiently(lambda on: steps.write(on, self._claim, rev, changes, terms))
        except Refused as refused:
            if len(changes) == 1:
                error, (change,) = refused.error, changes
                self._counts["kept"] += 1
                warn_limited(log, "repair refused", "The database refuses a record of %s (%s)", self._claim.did, error)
                return await self._patiently(lambda on: steps.refuse_by(on, self._claim, rev, change, error))
            half = len(changes) // 2
            word = await self._write(changes[:half], terms)
            return word if word is not Word.OK else await self._write(changes[half:], terms)
        if word is Word.OK:
            self._counts["put"] += sum(isinstance(change, Put) for change in changes)
            self._counts["gone"] += sum(isinstance(change, Gone) for change in changes)
        return word

    async def _patiently(self, step: Callable[[Connection], Awaitable[T]]) -> T:
        """One step, repeated while its failure may pass. Raises Refused for an error that is the data's own."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._pool.connection() as connection:
                    return await step(connection)
            except DATABASE_ERRORS as error:
                match remedy(error):
                    case Remedy.DATA:
                        raise Refused(error) from None
                    case Remedy.SCHEMA:
                        raise Stop(
                            f"the database's schema has changed since the start ({sqlstate(error)}: {error}; "
                            f"{statement(error)}): correct it, then start again"
                        ) from None
                    case Remedy.RETRY:
                        warn_limited(log, "repair", "Could not repair %s (%s); trying again", self._claim.did, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class Refused(Exception):
    """The database does not take what a step carried."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
