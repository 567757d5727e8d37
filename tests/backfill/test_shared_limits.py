"""Who repairs what where several workers share the accounts, and how much each may ask and write."""

import pytest

from testing.workers import settings
from unified_indexer.backfill import backfill
from unified_indexer.backfill.allowance import Allowance
from unified_indexer.config.settings import Config
from unified_worker import UnifiedWorker

NOWHERE, RELAY = "postgresql://nobody@127.0.0.1:1/nothing", "ws://127.0.0.1:1"


def worker(relay: str = RELAY, **env: str) -> UnifiedWorker:
    return UnifiedWorker(Config.from_env(settings(NOWHERE, relay, BACKFILL="repair", **env)))


@pytest.mark.parametrize(("share", "at_once", "rate"), [("1/1", 12, 1_000), ("1/4", 3, 250), ("2/3", 4, 334), ("1/20", 1, 50)])
def test_a_share_has_its_part_of_the_limits(share: str, at_once: int, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[int] = []

    def noted(one: int) -> Allowance:
        rates.append(one)
        return Allowance(one)

    monkeypatch.setattr(backfill, "Allowance", noted)
    limits = {"BACKFILL_HOST_CONCURRENCY": "12", "BACKFILL_RECORDS_PER_SECOND": "1000"}
    assert worker(SHARE=share, **limits).backfill.paces.room("https://pds.test", 0.0) == at_once
    worker(SHARE=share, BACKFILL_RECORDS_PER_SECOND="0")
    assert rates == [rate, 0]


@pytest.mark.parametrize(
    ("relay", "share", "each"), [(RELAY, "1/1", False), (RELAY, "2/3", True), ("redis://127.0.0.1:1", "1/1", False)]
)
def test_each_share_repairs_and_otherwise_one_worker_does_for_all(relay: str, share: str, *, each: bool) -> None:
    """Behind a stream's server the accounts of a worker change."""
    one = worker(relay, SHARE=share).backfill
    own, for_all = one.work(), one.once_for_all()
    names = [[task.__qualname__ for task in tasks] for tasks in (own, for_all)]
    for task in (*own, *for_all):
        task.close()
    assert [any(name.endswith("keep_repairing") for name in some) for some in names] == [each, not each]
    assert any(name.endswith("_find") for name in names[1])
    assert any(name.startswith("Gaps") for name in names[1])
