"""A repo is read while the database writes another's: both would have nothing to do for half of the time."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from testing.commits import LIKE, did, like, uri
from testing.whole import WEEK, Stored, Whole
from tests.database.repair.test_many_repos import REV, key
from unified_indexer.database.connection.few import Few
from unified_indexer.database.repair import steps
from unified_indexer.database.repair.bringing import Tables
from unified_indexer.database.repair.steps import Begun, Claim, Differences, Word
from unified_indexer.database.repair.writing import Job, Writing
from unified_indexer.selection import EVERYTHING

SLICES = 3


class Read(Whole):
    """A repo that tells when a slice of it is read."""

    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__(REV, {f"{LIKE}/{key(number)}": like(uri("mia", "1"), number) for number in range(SLICES)}, size=1)
        self._told = told
        self._name = name

    def slices(self, size: int = 500) -> Iterator[Sequence[Stored]]:
        for number, records in enumerate(super().slices(size)):
            self._told.append(f"read {self._name}{number}")
            yield records


class Pool:
    """Connections that nobody uses."""

    size = 9

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[None]:
        yield None


@pytest.mark.parametrize("new", [True, False], ids=["written", "compared"])
@pytest.mark.parametrize("at_once", [1, 2])
async def test_the_database_works_while_a_repo_is_read(monkeypatch: pytest.MonkeyPatch, at_once: int, new: bool) -> None:
    told: list[str] = []

    async def works() -> None:
        told.append("begins")
        await asyncio.sleep(0.01)
        told.append("ends")

    async def begin(_on: object, repos: Sequence[Any]) -> list[Begun]:
        return [Begun(Word.OK, None, unlooked=False, new=new) for _ in repos]

    async def compare(_on: object, _parts: object) -> list[Differences]:
        await works()
        return [Differences(Word.OK, (), (), ())]

    async def write_set(_on: object, _parts: object, _records: object) -> tuple[list[Word], frozenset[int]]:
        await works()
        return [Word.OK], frozenset()

    async def look(_on: object, _puts: object) -> None:
        await asyncio.sleep(0.01)

    async def settle(_on: object, repos: Sequence[Any]) -> list[Word]:
        return [Word.OK for _ in repos]

    for step in (begin, compare, write_set, look, settle):
        monkeypatch.setattr(steps, step.__name__, step)
    writing = Writing(Tables(Few(cast("Any", Pool()), at_once)), EVERYTHING, notify=WEEK)
    await asyncio.gather(
        *(writing.write([Job(Claim(did(name), 1), Read(name, told), proven=True)]) for name in "abc"[: at_once + 1])
    )
    first = told.index("begins")
    assert told[:first] == ["read a0", "read a1"]
    assert told.count("begins") == (at_once + 1) * SLICES
    at_work = [told[:number].count("begins") - told[:number].count("ends") for number in range(len(told))]
    assert max(at_work) == at_once
    for number, word in enumerate(told[first:], first):
        if word.startswith("read"):
            assert at_work[number] > 0, told
