"""The worker alone decides what it is doing; whoever looks on can't change it; nothing comes after the stop."""

import pytest

from testing.workers import settings
from unified_indexer.config.settings import Config
from unified_indexer.lifecycle import Lifecycle, Phase
from unified_worker import UnifiedWorker


def test_a_start_a_lost_lock_and_a_decision_follow_one_another() -> None:
    lifecycle = Lifecycle()
    assert lifecycle.phase == Phase("starting")
    lifecycle.running()
    assert lifecycle.phase == Phase("running")
    lifecycle.lost()
    assert lifecycle.phase == Phase("lost")
    lifecycle.standby()
    assert lifecycle.phase == Phase("standby")
    lifecycle.standby_ends()
    assert lifecycle.phase == Phase("starting")
    lifecycle.running()
    lifecycle.held("RELAY_URL")
    assert lifecycle.phase == Phase("held", "RELAY_URL")
    assert not lifecycle.phase.stopping


def test_stopping_is_the_last_phase() -> None:
    lifecycle = Lifecycle()
    lifecycle.stopping("SIGTERM")
    for other in (
        lifecycle.running,
        lifecycle.lost,
        lifecycle.standby,
        lifecycle.standby_ends,
        lambda: lifecycle.held("a decision"),
    ):
        other()
        assert lifecycle.phase == Phase("stopping", "SIGTERM")
    assert lifecycle.phase.stopping


async def test_who_looks_on_can_t_change_it() -> None:
    worker = UnifiedWorker(Config.from_env(settings("postgresql://nobody@127.0.0.1:1/nothing", "ws://127.0.0.1:1")))
    for seen in (worker, worker.gauges):
        with pytest.raises(AttributeError):
            setattr(seen, "phase", Phase("stopping"))  # noqa: B010  (what a type checker would not let through)
        with pytest.raises(AttributeError):
            setattr(seen.phase, "state", "stopping")  # noqa: B010
    assert worker.phase == Phase("starting")
