"""Small repos that are written together: which ones, how many groups at once, and what one that fails does to others."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import cast

import pytest

from testing.commits import FOLLOW, did, follow
from testing.waiting import until
from testing.whole import Whole
from tests.database.repair.test_many_repos import REV
from unified_indexer.backfill import together as module
from unified_indexer.backfill.together import Together
from unified_indexer.database.repair.steps import Claim, Word
from unified_indexer.database.repair.writing import Ended, Job, Writing
from unified_indexer.errors import Stop


class Slow:
    """Writes groups when it is asked to; `begun`: the accounts of each."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def write(self, jobs: Sequence[Job]) -> list[Ended]:
        self.begun.append([job.claim.did[-1] for job in jobs])
        self.answers.append(answer := asyncio.get_running_loop().create_future())
        await answer
        return [Ended(Word.OK, Counter({job.claim.did[-1]: 1})) for job in jobs]

    async def begins(self, groups: int) -> None:
        await until(lambda: len(self.begun) == groups, f"group {groups} is begun", 20)


def job(name: str, records: int = 1) -> Job:
    return Job(
        Claim(did(name), 1), Whole(REV, {f"{FOLLOW}/{number}": follow(did("x")) for number in range(records)}), proven=True
    )


class Groups:
    """What hands repos to `slow`, and the tasks that wait for the end of theirs."""

    def __init__(self, at_once: int) -> None:
        self.slow = Slow()
        self._together = Together(cast("Writing", self.slow), at_once)

    async def add(self, names: str, records: int = 1) -> list["asyncio.Task[Ended]"]:
        tasks = [asyncio.create_task(self._together.write(job(name, records))) for name in names]
        await asyncio.sleep(0)  # each has begun to wait
        return tasks


async def test_those_that_wait_are_the_next_group() -> None:
    groups = Groups(1)
    tasks = await groups.add("a")
    tasks += await groups.add("bcd")
    await groups.slow.begins(1)
    groups.slow.answers[0].set_result(None)
    await groups.slow.begins(2)
    assert groups.slow.begun == [["a"], ["b", "c", "d"]]
    groups.slow.answers[1].set_result(None)
    assert [ended.counts for ended in await asyncio.gather(*tasks)] == [Counter({name: 1}) for name in "abcd"]


async def test_two_groups_are_written_at_once_and_no_repo_twice() -> None:
    groups = Groups(2)
    tasks = await groups.add("abcde")
    await groups.slow.begins(2)
    groups.slow.answers[1].set_result(None)
    await groups.slow.begins(3)
    assert groups.slow.begun == [["a"], ["b"], ["c", "d", "e"]]
    tasks += await groups.add("fg")
    groups.slow.answers[0].set_result(None)
    await groups.slow.begins(4)
    assert groups.slow.begun[3] == ["f", "g"], "the third group is still being written"
    groups.slow.answers[2].set_result(None)
    groups.slow.answers[3].set_result(None)
    assert [ended.word for ended in await asyncio.gather(*tasks)] == [Word.OK] * 7
    assert len(groups.slow.begun) == 4


async def test_a_group_has_no_more_repos_and_records_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RECORDS", 6)
    monkeypatch.setattr(module, "MOST_REPOS", 4)
    groups = Groups(1)
    tasks = await groups.add("a") + await groups.add("bc", 3) + await groups.add("defgh")
    for number in range(4):
        await groups.slow.begins(number + 1)
        groups.slow.answers[number].set_result(None)
    await asyncio.gather(*tasks)
    assert groups.slow.begun == [["a"], ["b", "c"], ["d", "e", "f", "g"], ["h"]]


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "failed"])
async def test_who_fails_fails_alone(at_once: int, cancelled: bool) -> None:
    """The others of its group are tried again; one that is gone is not."""
    groups = Groups(at_once)
    before = await groups.add("xy"[:at_once])
    first, gone, last = await groups.add("abc")
    await groups.slow.begins(at_once)
    groups.slow.answers[0].set_result(None)
    await groups.slow.begins(at_once + 1)
    assert groups.slow.begun[-1] == ["a", "b", "c"]
    gone.cancel()
    await asyncio.wait([gone])
    if cancelled:
        first.cancel()
    else:
        groups.slow.answers[-1].set_exception(Stop("the schema has changed"))
    await asyncio.wait([first])
    assert first.cancelled() if cancelled else isinstance(first.exception(), Stop)
    await groups.slow.begins(at_once + 2)
    assert groups.slow.begun[-1] == ["c"]
    for answer in groups.slow.answers[1:]:
        if not answer.done():
            answer.set_result(None)
    assert [ended.word for ended in await asyncio.wait_for(asyncio.gather(*before, last), 10)] == [Word.OK] * (at_once + 1)
