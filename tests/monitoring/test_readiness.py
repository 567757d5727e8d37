"""Why the worker is not ready: each phase of its life has its reason; without a session there is nothing to show."""

from collections.abc import Callable

import pytest

from testing.workers import settings
from unified_indexer.config.settings import Config
from unified_indexer.monitoring.readiness import reasons
from unified_indexer.pipeline.lanes import lane_count
from unified_indexer.relay.position import Stored
from unified_worker import UnifiedWorker


def worker(**env: str) -> UnifiedWorker:
    return UnifiedWorker(Config.from_env(settings("postgresql://nobody@127.0.0.1:1/nothing", "ws://127.0.0.1:1", **env)))


def start(_: UnifiedWorker) -> None:
    pass


def hold(one: UnifiedWorker) -> None:
    one.hold("set RELAY_URL")


def stop(one: UnifiedWorker) -> None:
    one.stop("SIGTERM")


def lose(one: UnifiedWorker) -> None:
    one.begin(Stored())
    one._lifecycle.lost()  # pyright: ignore[reportPrivateUsage]


def stand_by(one: UnifiedWorker) -> None:
    one._lifecycle.standby()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (start, [("starting", "the database is not connected, or not prepared yet")]),
        (lose, [("database", "the connection was lost; trying again")]),
        (stand_by, [("standby", "another worker writes this relay's events; this one takes its place when it ends")]),
        (hold, [("decision", "set RELAY_URL")]),
        (stop, [("stopping", "SIGTERM")]),
    ],
    ids=["starting", "lost", "standby", "held", "stopping"],
)
async def test_each_phase_has_its_reason(step: Callable[[UnifiedWorker], None], expected: list[tuple[str, str]]) -> None:
    one = worker()
    step(one)
    assert reasons(one.gauges, 60) == expected


async def test_while_it_runs_all_that_is_missing_is_named() -> None:
    one = worker()
    one.begin(Stored())
    assert [reason.name for reason in reasons(one.gauges, 60)] == ["database", "not_connected", "lag"]
    assert [reason.name for reason in reasons(one.gauges, 0)] == ["database", "not_connected"]


async def test_before_the_first_session_there_is_nothing_to_show() -> None:
    gauges = worker(DB_POOL_SIZE="3").gauges
    assert (gauges.connected, gauges.next_attempt, gauges.received_seq, gauges.cursor, gauges.lag) == (False, *[None] * 4)
    assert [len(lane) for lane in gauges.lanes] == [0] * lane_count(3)
    assert gauges.waiting == 0
