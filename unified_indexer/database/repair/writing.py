"""All of some repos, slice by slice: a large one alone, small ones together.

Every step is a transaction that takes the repos' rows and asks whether it may go on, so it may end anywhere: what is begun anew
finds the most part right, and comparing costs little.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol

import libipld

from unified_indexer.database.repair import steps
from unified_indexer.database.repair.bringing import Brought, Tables
from unified_indexer.database.repair.slices import Part, Put, Slice, Stored, Terms, slices
from unified_indexer.database.repair.steps import Begun, Claim, Done, Fetched, Word
from unified_indexer.protocol.syntax import tid_time
from unified_indexer.selection import Selection

MOST_HELD = 10_000  # records of a repo that wait in memory for the rest of it


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


class Job(NamedTuple):
    """One repo that was fetched under a claim. `proven`: the account's key signed it. `host`: the id of its host.

    `aside`: has the work of reading a slice done, where that may wait for a disk. `may_go_on`: waits while others come
    first, and is asked before each slice.
    """

    claim: Claim
    repo: WholeRepo
    proven: bool
    host: int | None = None
    aside: Callable[[Callable[[], Slice | None]], Awaitable[Slice | None]] | None = None
    may_go_on: Callable[[], Awaitable[None]] | None = None


class Ended(NamedTuple):
    """What became of a repair: `word` OK if all is in. `counts`: as in Brought."""

    word: str
    counts: Counter[str]


@dataclass(slots=True)
class Under:
    """A repo under way. `word`: how it stands; OK until it ends. `unlooked`, `new`: as in Begun."""

    job: Job
    word: str = Word.OK
    counts: Counter[str] = field(default_factory=Counter[str])
    terms: Terms | None = None
    pieces: Iterator[Slice] = field(default_factory=lambda: iter(()))
    unlooked: bool = False
    new: bool = False
    filtered: bool = False
    last: list[Put] = field(default_factory=list[Put])
    part: Part | None = None

    async def next(self) -> Part | None:
        """Its next slice; None at its end."""
        if self.job.aside is None:
            piece = next(self.pieces, None)
        else:
            piece = await self.job.aside(partial(next, self.pieces, None))
        if piece is None or self.terms is None:
            return None
        self.filtered |= piece.filtered
        self.part = Part(self.job.claim.number, self.job.repo.rev, piece, self.terms, self.new)
        return self.part


class Writing:
    """Writes repos. `notify`: how old a record may be, at most, that was missing and notifies others all the same."""

    def __init__(self, tables: Tables, selection: Selection, *, notify: timedelta) -> None:
        self._tables = tables
        self._selection = selection
        self._notify = notify

    async def write(self, jobs: Sequence[Job]) -> list[Ended]:
        """Write the repos of several accounts; return what became of each. Raises Stop if only an operator can help."""
        all_of_them = [Under(job) for job in jobs]
        in_order = sorted(all_of_them, key=lambda one: one.job.claim.did)
        going_on = await self._begin(self._wanted(in_order))
        while going_on := [one for one in going_on if one.word is Word.OK and await one.next() is not None]:
            for one in going_on:
                if one.job.may_go_on is not None:
                    await one.job.may_go_on()
            going_on = self._wanted(going_on)
            await self._bring(going_on)
        for one in in_order:
            await self._last(one)
        await self._settle([one for one in in_order if one.word in (Word.OK, Word.SAME)])
        return [Ended(one.word, one.counts) for one in all_of_them]

    def _wanted(self, repos: Sequence[Under]) -> list[Under]:
        """Without those whose accounts forbid it."""
        for one in repos:
            if not self._selection.takes_account(one.job.claim.did):
                one.word = "opted_out"
        return [one for one in repos if one.word is Word.OK]

    async def _begin(self, repos: Sequence[Under]) -> list[Under]:
        fetched = [
            Fetched(job.claim, job.repo.rev, libipld.encode_cid(job.repo.data), job.proven, job.repo.records, job.repo.size)
            for job in (one.job for one in repos)
        ]
        begun = await self._tables.patiently(lambda on: steps.begin(on, fetched)) if fetched else []
        for one, now in zip(repos, begun, strict=True):
            one.word, one.unlooked, one.new = now.word, now.unlooked, now.new
            one.terms = self._terms(one.job, now)
            one.pieces = slices(one.job.repo.slices(), one.terms)
        return [one for one in repos if one.word is Word.OK]

    def _terms(self, job: Job, begun: Begun) -> Terms:
        """Whom to tell of what: of what was missed while the repo was followed, and not of what is older."""
        at = tid_time(job.repo.rev)
        after: datetime | None = None if begun.since is None else max(begun.since, at - self._notify)
        return Terms(job.claim.did, self._selection, at, after)

    async def _bring(self, repos: Sequence[Under]) -> None:
        """Brings in the next slice of each."""
        parts = [one.part for one in repos if one.part is not None]
        unlooked = frozenset(one.job.claim.did for one in repos if one.unlooked)
        if not parts:
            return
        for one, brought in zip(repos, await self._tables.bring(parts, look_at_all=unlooked), strict=True):
            one.word = brought.word
            one.counts.update(brought.counts)
            one.last += brought.last
            if len(one.last) > MOST_HELD:
                await self._last(one)

    async def _last(self, one: Under) -> None:
        if one.last and one.part is not None and one.word is Word.OK:
            brought = Brought(Word.OK)
            await self._tables.write(one.part, one.last, brought)
            one.last.clear()
            one.word = brought.word
            one.counts.update(brought.counts)

    async def _settle(self, repos: Sequence[Under]) -> None:
        done = [Done(one.job.claim, one.filtered, one.job.host) for one in repos]
        words = await self._tables.patiently(lambda on: steps.settle(on, done)) if done else []
        for one, word in zip(repos, words, strict=True):
            if word is not Word.OK:
                one.word = word
