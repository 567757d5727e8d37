"""What is known to be stale: as the database has it, never more."""

import pytest

from testing.database_side import Worker
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.trust import revs as revs_module
from unified_indexer.trust.revs import Revs

A, B, C = "did:plc:a", "did:plc:b", "did:plc:c"


async def stored(pool: DatabasePool, **revs: str) -> None:
    async with pool.connection() as connection:
        for name, rev in revs.items():
            await connection.execute("INSERT INTO unified_worker.repos (did, rev) VALUES ($1, $2)", f"did:plc:{name}", rev)


async def test_a_rev_is_stale_up_to_the_stored_one(worker: Worker) -> None:
    await stored(worker.pool, a="3m2")
    revs = Revs(worker.pool)
    assert not revs.includes(A, "3m1")  # nothing is read yet
    await revs.load([A, B])
    assert [revs.includes(A, rev) for rev in ("3m1", "3m2", "3m3")] == [True, True, False]
    assert not revs.includes(B, "3m1")


async def test_what_was_written_is_known_and_never_goes_back(worker: Worker) -> None:
    revs = Revs(worker.pool)
    revs.written(A, "3m2")
    revs.written(A, "3m1")
    assert revs.includes(A, "3m2")
    await stored(worker.pool, a="3m3")
    await revs.load([A])  # known: the database is not asked
    assert not revs.includes(A, "3m3")


async def test_the_longest_known_are_forgotten_first(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revs_module, "MOST", 3)
    monkeypatch.setattr(revs_module, "DROPPED", 2)
    revs = Revs(worker.pool)
    for did in (A, B, C):
        revs.written(did, "3m1")
    revs.written(A, "3m2")
    await revs.load(["did:plc:d"])
    assert len(revs) == 2
    assert (revs.includes(A, "3m1"), revs.includes(B, "3m1"), revs.includes(C, "3m1")) == (True, False, False)


@pytest.mark.parametrize("column", ["unproven", "refuted_rev"])
async def test_a_rev_that_may_go_back_is_not_known(worker: Worker, column: str) -> None:
    await stored(worker.pool, a="3m2")
    value = "'block', unproven_at = now()" if column == "unproven" else "rev"
    await worker.connection.execute(f"UPDATE unified_worker.repos SET {column} = {value}")
    revs = Revs(worker.pool)
    await revs.load([A])
    assert not revs.includes(A, "3m2")
