"""Why the worker is not ready: each phase of its life has its reason; without a session there is nothing to show."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from testing.monitoring import exposition_of
from testing.workers import settings
from unified_indexer.config.settings import Config
from unified_indexer.monitoring.readiness import reasons
from unified_indexer.pipeline.lanes import lane_count
from unified_indexer.relay.position import Stored
from unified_worker import UnifiedWorker


def worker(**env: str) -> UnifiedWorker:
    return UnifiedWorker(Config.from_env(settings("postgresql://nobody@127.0.0.1:1/nothing", "ws://127.0.0.1:1", **env)))


def exported(one: UnifiedWorker) -> dict[str, float]:
    """The series that /metrics has now, those of one label for the last of them."""
    families = text_string_to_metric_families(exposition_of(one))
    return {sample.name: sample.value for family in families for sample in family.samples}


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


def wait_for_the_database(one: UnifiedWorker) -> None:
    stand_by(one)
    one._lifecycle.standby_ends()  # pyright: ignore[reportPrivateUsage]


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


@pytest.mark.parametrize(
    ("step", "answers"),
    [(stand_by, 1), (wait_for_the_database, 0), (hold, None)],
    ids=["standby", "starting", "held"],
)
async def test_what_the_last_session_said_is_not_shown_once_another_worker_writes(
    step: Callable[[UnifiedWorker], None], answers: float | None
) -> None:
    one = worker(PUBLISH="redis://127.0.0.1")
    before = exported(one)
    one.begin(Stored(1, datetime(2026, 1, 1, tzinfo=UTC)))
    one.session.position.seq = 7
    at_work = exported(one)
    assert at_work["unified_worker_received_seq"] == 7
    step(one)
    assert (one.gauges.received_seq, one.gauges.cursor, one.gauges.lag, one.gauges.connected) == (None, None, None, False)
    resting = exported(one)
    gone = at_work.keys() - resting.keys()
    assert {f"unified_worker_{name}" for name in ("connected", "lag_seconds", "received_seq", "publish_failing_seconds")} < gone
    assert not any(name.endswith(("_total", "_created")) for name in gone)
    assert resting.get("unified_worker_database_answering") == answers
    assert before.keys() >= resting.keys()


async def test_a_worker_whose_connection_is_lost_says_how_far_it_is() -> None:
    one = worker()
    lose(one)
    assert exported(one)["unified_worker_connected"] == 0
    assert one.gauges.session is one.session


async def test_before_the_first_session_there_is_nothing_to_show() -> None:
    gauges = worker(DB_POOL_SIZE="3").gauges
    assert (gauges.connected, gauges.next_attempt, gauges.received_seq, gauges.cursor, gauges.lag) == (False, *[None] * 4)
    assert [len(lane) for lane in gauges.lanes] == [0] * lane_count(3)
    assert gauges.waiting == 0
