"""Two repos that have to do with each other, both fetched whole and written as sets at one time: each sees the other."""

import asyncio

import pytest

from testing.commits import Stream
from testing.database_side import Worker, opened
from testing.meetings import TOKEN_LENGTH, Pair
from testing.whole import WEEK, Whole, marked
from tests.database.repair.test_sets import HELD, MET, REV, Sides, held, said, until
from unified_indexer.database.connection.few import Few
from unified_indexer.database.repair.bringing import Tables
from unified_indexer.database.repair.steps import Word
from unified_indexer.database.repair.writing import Job, Writing
from unified_indexer.selection import EVERYTHING


async def repair(worker: Worker, side: Sides, tables: Tables) -> None:
    job = Job(await marked(worker, side.name), Whole(REV, side.records), proven=True)
    (ended,) = await Writing(tables, EVERYTHING, notify=WEEK).write([job])
    assert ended.word is Word.OK


@pytest.mark.long
async def test_two_sets_in_flight(database: str) -> None:
    """Cases 18 and 19, of two sets: one is held right before its end while the other does all that it can."""
    stream, wrong = Stream(), list[str]()
    async with opened(database, size=5, durable=False) as worker:
        await worker.connection.execute(HELD)
        tables = Tables(Few(worker.pool, 2))
        for place, make in enumerate(MET):

            def pair_of(name: str, number: int = place) -> Pair:
                return Pair(f"{name}{number:02d}".ljust(TOKEN_LENGTH, "0"))

            allowed: list[list[str]] = []
            for name, order in (("t", 1), ("u", -1)):
                pair = pair_of(name)
                sides = [Sides(worker, stream, pair, make(pair), left=left) for left in (True, False)]
                await sides[0].begin()
                for side in sides[::order]:
                    await repair(worker, side, tables)
                allowed.append((await said(worker, [pair]))[pair])
            for name, order in (("a", 1), ("b", -1)):
                pair = pair_of(name)
                sides = [Sides(worker, stream, pair, make(pair), left=left) for left in (True, False)]
                await sides[0].begin()
                first, second = sides[::order]
                async with asyncio.TaskGroup() as tasks, held(database, first.whole) as holder:
                    tasks.create_task(repair(worker, first, tables))
                    await until(holder, 1)
                    await until(holder, 2, tasks.create_task(repair(worker, second, tables)))
                if (await said(worker, [pair]))[pair] not in allowed:
                    wrong.append(f"{make.__name__}, {'left' if order == 1 else 'right'} first")
    assert wrong == []
