"""A gap of the stream closes by itself: what changed since it began is asked for, once."""

from datetime import UTC, datetime, timedelta

import pytest

from testing.commits import did
from testing.database_side import Worker
from unified_indexer.backfill.gaps import Gaps
from unified_indexer.selection import EVERYTHING, Selection

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
ADD = """
INSERT INTO unified_worker.gaps (service, after_seq, after_time, upto_seq, reason, noticed_at)
VALUES ('r', $1, $2, $3, $4, now()) RETURNING id
"""
JOBS = "SELECT argument::int, ended_at IS NOT NULL FROM unified_worker.backfill_jobs WHERE kind = 'gap' ORDER BY id"


class Asked:
    """What is asked for as gaps come."""

    def __init__(self, worker: Worker, selection: Selection = EVERYTHING) -> None:
        self._worker = worker
        self._gaps = Gaps(worker.pool, selection)
        self._seq = 0

    async def gap(self, hour: int, reason: str = "retention", *, closed: bool = True) -> int:
        """Its number."""
        self._seq += 10
        upto = self._seq + 5 if closed else None
        at = NOON + timedelta(hours=hour)
        return await self._worker.connection.fetchval(ADD, self._seq, at, upto, reason)

    async def jobs(self) -> list[tuple[int, bool]]:
        """Gaps that were asked for, and whether that is done, after one more look."""
        await self._gaps.ask()
        return [tuple(row) for row in await self._worker.connection.fetch(JOBS)]

    async def end(self) -> None:
        await self._worker.connection.execute("UPDATE unified_worker.backfill_jobs SET ended_at = now()")


async def test_each_gap_is_asked_for_once_and_one_at_a_time(worker: Worker) -> None:
    asked = Asked(worker)
    assert await asked.jobs() == []
    first = await asked.gap(0)
    assert await asked.jobs() == [(first, False)]
    second, earlier, third = await asked.gap(2), await asked.gap(1), await asked.gap(3)
    assert await asked.jobs() == [(first, False)], "while the lists are read"
    await asked.end()
    assert await asked.jobs() == [(first, True), (earlier, False)], "the oldest: what changed in the others is found with it"
    await asked.end()
    assert await asked.jobs() == [(first, True), (earlier, True)]
    assert {second, third}.isdisjoint({first, earlier})
    before_all = await asked.gap(-1)
    assert await asked.jobs() == [(first, True), (earlier, True), (before_all, False)]


@pytest.mark.parametrize(
    ("reason", "closed", "asks"),
    [
        ("unreadable", True, False), ("reset", False, False), ("reset", True, True), ("renumbered", True, True),
        ("other_relay", True, True),
    ],
)  # fmt: skip
async def test_which_gaps_are_asked_for(worker: Worker, reason: str, closed: bool, asks: bool) -> None:
    """Not one message that could not be read: the whole network would be asked for it."""
    asked = Asked(worker)
    await asked.gap(0, reason, closed=closed)
    assert len(await asked.jobs()) == asks


async def test_chosen_accounts_are_asked_for_and_nobody_s_list(worker: Worker) -> None:
    asked = Asked(worker, Selection(accounts=frozenset(map(did, "ab"))))
    gap = await asked.gap(0)
    assert await asked.jobs() == [(gap, True)]
    wanted = await worker.connection.fetch("SELECT did, why FROM unified_worker.repairs ORDER BY did")
    assert [tuple(row) for row in wanted] == [(did("a"), "gap"), (did("b"), "gap")]
    await worker.connection.execute("DELETE FROM unified_worker.repairs")
    assert await asked.jobs() == [(gap, True)]
    assert await worker.value("SELECT count(*) FROM unified_worker.repairs") == 0
