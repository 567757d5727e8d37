"""Slices of repos, brought into the tables: compared, what is new written as a set, the rest a few records at a time.

A set is committed before others' rows are looked for, and no repo is settled before that is done (functions/repair_look.sql).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy, sqlstate, statement
from unified_indexer.database.connection.few import Few
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.repair import arrays, steps
from unified_indexer.database.repair.arrays import New
from unified_indexer.database.repair.slices import LOOKING, Gone, Part, Put, Refusal
from unified_indexer.database.repair.steps import Claim, Differences, Word
from unified_indexer.errors import Stop
from unified_indexer.log.handler import warn_limited

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between repetitions
WRITTEN_AT_ONCE = 50  # operations: others may have to wait for their locks until the transaction ends

T = TypeVar("T")


@dataclass(slots=True)
class Brought:
    """What became of a slice: `word` OK if all of it is in. `counts`: records that were new or other ('put'), 'gone', 'same',
    'refused' by us or 'kept' for the database did not take them. `last`: those of it that are to be written when the rest of
    the repo is in."""

    word: Word
    counts: Counter[str] = field(default_factory=Counter[str])
    last: list[Put] = field(default_factory=list[Put])


class Tables:
    """Brings slices into the tables of one database, as many together as there are connections.

    All sets count in the same order, so they never wait for each other in a circle.
    """

    def __init__(self, connections: Few) -> None:
        self._connections = connections
        self._set_turns = asyncio.Semaphore(connections.size)  # whose sets are written, until others' rows have been looked for

    async def bring(self, parts: Sequence[Part], *, look_at_all: frozenset[str]) -> list[Brought]:
        """Bring in a slice of each of these repos, in the order of their DIDs. `look_at_all`: of these repos also those records
        may have been written just now that are there. Raises Stop if only an operator can help."""
        found = await self._compared(parts)
        brought = [Brought(one.word) for one in found]
        for part, differs, one in zip(parts, found, brought, strict=True):
            for refusal in differs.refused:
                await self._refuse(part, refusal, one)
            await self.write(part, differs.gone, one)
        alone = await self._set(parts, found, brought, look_at_all)
        for part, differs, one in zip(parts, found, brought, strict=True):
            one.last = [put for put in alone[part.terms.did] if put.type.comes_last]
            await self.write(part, [put for put in alone[part.terms.did] if not put.type.comes_last], one)
            one.counts["same"] += len(part.piece.records) - len(differs.refused) - len(differs.put)
        return brought

    async def _compared(self, parts: Sequence[Part]) -> list[Differences]:
        there = [part for part in parts if not part.new]
        compared = iter(await self.patiently(lambda on: steps.compare(on, there)) if there else ())
        return [steps.all_of(part) if part.new else next(compared) for part in parts]

    async def _set(
        self, parts: Sequence[Part], found: Sequence[Differences], brought: Sequence[Brought], look_at_all: frozenset[str]
    ) -> dict[str, list[Put]]:
        """Writes what is new as a set, and looks for what others' rows have to do with it; returns what must be written on its
        own, by DID.

        No other set takes its turn between the two: so each repo is read while others' sets are written, not all at one time.
        """
        alone: dict[str, list[Put]] = {part.terms.did: [] for part in parts}
        looks: list[Put] = []
        records: list[New] = []
        writing = [place for place, one in enumerate(brought) if one.word is Word.OK]
        for of, place in enumerate(writing):
            terms = parts[place].terms
            if terms.did in look_at_all:
                here = {put.path for put in found[place].put}
                there = (one for one in parts[place].piece.records if isinstance(one, Put) and one.path not in here)
                looks += (put for put in there if put.kind in LOOKING)
            for put in found[place].put:
                if (record := arrays.new(of, put, terms)) is None:
                    alone[terms.did].append(put)
                else:
                    records.append(record)
        if not records and not looks:
            return alone
        async with self._set_turns:
            if records:
                looks += await self._write_set(
                    [parts[place] for place in writing], [brought[place] for place in writing], records, alone
                )
            if looks:
                await self._look(looks, {part.terms.did: (part, one) for part, one in zip(parts, brought, strict=True)})
        await asyncio.sleep(0)  # the next set goes out, and we work while the database does
        return alone

    async def _write_set(
        self, parts: Sequence[Part], brought: Sequence[Brought], records: Sequence[New], alone: Mapping[str, list[Put]]
    ) -> list[Put]:
        """Writes a set, and adds to `alone` what it left out; returns its records that have to do with others' rows."""
        looks: list[Put] = []
        try:
            words, left = await self.patiently(lambda on: steps.write_set(on, parts, records))
        except Refused:  # which of them it is, is found out one by one
            words, left = [Word.OK] * len(parts), frozenset(range(len(records)))
        for one, word in zip(brought, words, strict=True):
            one.word = word
        written = [0] * len(parts)
        for number, record in enumerate(records):
            if number in left:
                alone[parts[record.of].terms.did].append(record.put)
            elif brought[record.of].word is Word.OK:
                written[record.of] += 1
                if record.put.kind in LOOKING:
                    looks.append(record.put)
        for one, count in zip(brought, written, strict=True):
            one.counts["put"] += count
        return looks

    async def _look(self, looks: Sequence[Put], of: Mapping[str, tuple[Part, Brought]]) -> None:
        """Looks for what others' rows have to do with these records of the repos `of`, by DID; where the database refuses what
        follows from one of them, that one is kept alone."""
        try:
            await self.patiently(lambda on: steps.look(on, looks))
        except Refused as refused:
            if len(looks) > 1:
                half = len(looks) // 2
                await self._look(looks[:half], of)
                await self._look(looks[half:], of)
                return
            part, brought = of[looks[0].uri.split("/")[2]]
            if brought.word is Word.OK:
                brought.word = await self._keep(part, looks[0], refused, brought.counts)

    async def _refuse(self, part: Part, refusal: Refusal, brought: Brought) -> None:
        if brought.word is Word.OK and part.rev is not None:
            rev, claim = part.rev, Claim(part.terms.did, part.number)
            brought.counts["refused"] += 1
            brought.word = await self.patiently(lambda on: steps.refuse(on, claim, rev, refusal))

    async def write(self, part: Part, changes: Sequence[Put | Gone], brought: Brought) -> None:
        """Write these changes, a few in a transaction, as commits would."""
        for at in range(0, len(changes), WRITTEN_AT_ONCE):
            if brought.word is Word.OK:
                brought.word = await self._write(part, changes[at : at + WRITTEN_AT_ONCE], brought.counts)

    async def _write(self, part: Part, changes: Sequence[Put | Gone], counts: Counter[str]) -> Word:
        """Writes some changes together; where the database refuses one of them, that one is kept alone."""
        assert part.rev is not None
        rev, claim = part.rev, Claim(part.terms.did, part.number)
        try:
            word = await self.patiently(lambda on: steps.write(on, claim, rev, changes, part.terms))
        except Refused as refused:
            if len(changes) == 1:
                return await self._keep(part, changes[0], refused, counts)
            half = len(changes) // 2
            word = await self._write(part, changes[:half], counts)
            return word if word is not Word.OK else await self._write(part, changes[half:], counts)
        if word is Word.OK:
            counts["put"] += sum(isinstance(change, Put) for change in changes)
            counts["gone"] += sum(isinstance(change, Gone) for change in changes)
        return word

    async def _keep(self, part: Part, change: Put | Gone, refused: "Refused", counts: Counter[str]) -> Word:
        """Keeps a letter of a change that the database refuses."""
        assert part.rev is not None
        rev, claim, error = part.rev, Claim(part.terms.did, part.number), refused.error
        counts["kept"] += 1
        warn_limited(log, "repair refused", "The database refuses a record of %s (%s)", claim.did, error)
        return await self.patiently(lambda on: steps.refuse_by(on, claim, rev, change, error))

    async def patiently(self, step: Callable[[Connection], Awaitable[T]]) -> T:
        """One step, repeated while its failure may pass. Raises Refused for an error that is the data's own."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._connections.connection() as connection:
                    result = await step(connection)
                await asyncio.sleep(0)  # the next call goes out, and we work while the database does
                return result
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
                        warn_limited(log, "repair", "Could not write a part of a repo (%s); trying again", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class Refused(Exception):
    """The database does not take what a step carried."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
