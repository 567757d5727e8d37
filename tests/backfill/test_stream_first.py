"""The stream comes first: while a lane is more than half full, no repo is begun or written."""

import asyncio

import pytest

from testing.waiting import until
from testing.workers import settings
from tests.pipeline.test_lanes import placed
from unified_indexer.backfill import backfill as module
from unified_indexer.config.settings import Config
from unified_worker import UnifiedWorker

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


async def test_a_lane_that_is_more_than_half_full_holds_the_backfill(monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as it is, and only for that."""
    monkeypatch.setattr(module, "POLL", 0.005)
    worker = UnifiedWorker(Config.from_env(settings(NOWHERE, "ws://127.0.0.1:1", BACKFILL="repair")))
    lane = worker.gauges.lanes[-1]
    for number in range(lane.max_events // 2):
        await lane.put(placed(number))
    assert worker.backfill.held is None
    await lane.put(placed(10**6))
    assert worker.backfill.held == "stream"
    begins = asyncio.create_task(worker.backfill.stream_first())
    done, _ = await asyncio.wait([begins], timeout=0.05)
    assert not done
    await lane.take()
    assert worker.backfill.held is None
    await until(begins.done, "it goes on", 10)
