"""Which alerts fire in each phase of a worker's life: the series are what the worker itself exports there."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from testing.monitoring import RULES, exposition_of, promtool
from testing.page import states
from testing.page.states import at_work
from unified_indexer.lifecycle import Lifecycle
from unified_indexer.pipeline.lanes import Placed
from unified_indexer.pipeline.watermark import Ticket
from unified_indexer.protocol.events import Identity
from unified_worker import UnifiedWorker

# pyright: reportPrivateUsage=false

STEP = 15  # seconds between two samples
LONG_AGO = 90_000.0  # seconds: longer than any alert has patience


Step = tuple[int, Callable[[UnifiedWorker], None]]  # minutes, and what has happened before them


class Span(NamedTuple):
    """What a worker exports for some minutes: the value of each series."""

    minutes: int
    values: dict[str, float]


def exported(worker: UnifiedWorker, minutes: int) -> Span:
    """What it exports now, for so long."""
    values = {
        series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(exposition_of(worker))
        for sample in family.samples
    }
    return Span(minutes, values | {series("up", {}): 1.0})


def series(name: str, labels: dict[str, str]) -> str:
    """Its name for Prometheus, once it is scraped."""
    scraped = {"job": "unified-worker", "instance": "w"} | labels
    return f"{name}{{{','.join(f'{label}={json.dumps(value)}' for label, value in scraped.items())}}}"


def fresh() -> UnifiedWorker:
    """It has done nothing yet."""
    worker, _ = states.empty()
    return worker


def at_its_worst() -> UnifiedWorker:
    """It writes, or should: all that waits and all that it knows of the database is as bad as can be."""
    worker, _ = at_work(0.0, LONG_AGO, BACKFILL="network", PUBLISH="redis://cache.example:6379/0")
    session, metrics = worker.session, worker.metrics
    session.firehose.connected = False
    waiting = Placed(Ticket(states.SEQ, None), Identity(states.SEQ, states.DID, datetime.now(UTC), states.HOST, b""))
    for lane in session.lanes.all:
        lane.put_first([waiting] * lane.max_events)
    metrics.stuck_wipes = metrics.stuck_letters = metrics.deletions_unconfirmed = 3
    metrics.oldest_deletion = LONG_AGO
    metrics.unproven, metrics.unproven_since = 1_234_567, datetime.now(UTC) - timedelta(seconds=LONG_AGO)
    worker.trust.identities._plc.breaker.failing_since = time.time() - LONG_AGO
    metrics.publish_waiting, metrics.publish_failing_since = 654_321, time.monotonic() - LONG_AGO
    worker.backfill.progress.standing = states.STANDING
    return worker


def life(make: Callable[[], UnifiedWorker], *steps: Step) -> list[Span]:
    """What one worker exports from step to step, each with its minutes."""
    worker, spans = make(), list[Span]()
    for minutes, step in steps:
        step(worker)
        spans.append(exported(worker, minutes))
    return spans


def at_first(_: UnifiedWorker) -> None:
    pass


def held(worker: UnifiedWorker) -> None:
    worker.hold("set RELAY_URL")


def enter(phase: Callable[[Lifecycle], None]) -> Callable[[UnifiedWorker], None]:
    return lambda worker: phase(worker._lifecycle)


lost, standby, standby_ends = enter(Lifecycle.lost), enter(Lifecycle.standby), enter(Lifecycle.standby_ends)


def firing(spans: list[Span], folder: Path, expected: set[str]) -> None:
    """promtool finds exactly these alerts firing at the end of the spans."""
    names = sorted({name for span in spans for name in span.values})
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{STEP}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [{"series": name, "values": notation(name, spans)} for name in names],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (count by (alertname, instance) (ALERTS{alertstate="firing"}))',
                        "eval_time": f"{sum(span.minutes for span in spans) * 60 - STEP}s",
                        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(expected)],
                    }
                ],
            }
        ],
    }
    path = folder / "phases.yml"
    path.write_text(json.dumps(test))  # JSON is YAML, too
    promtool("test", "rules", path)


def notation(name: str, spans: list[Span]) -> str:
    """A series' values as promtool reads them; what is exported no more is gone at once, as for Prometheus."""
    parts = list[str]()
    for span in spans:
        samples = span.minutes * 60 // STEP
        value = span.values.get(name)
        parts.append(f"stale _x{samples - 1}" if value is None else f"{value:f}+0x{samples - 1}")
    return " ".join(parts)


DECISION, DATABASE = "UnifiedWorkerDecisionNeeded", "UnifiedWorkerDatabaseNotAnswering"
WRITERS = {
    *("UnifiedWorkerNotConnected", "UnifiedWorkerStalled", "UnifiedWorkerBehind", "UnifiedWorkerDirectorySilent"),
    *("UnifiedWorkerDeletionsUnconfirmed", "UnifiedWorkerPublishBehind", "UnifiedWorkerBackfillIdle"),
}

LIVES: dict[str, tuple[Callable[[], UnifiedWorker], list[Step], set[str]]] = {
    "writing": (at_its_worst, [(30, at_first)], WRITERS),
    "standing by": (fresh, [(30, standby)], set()),
    "standing by just now": (at_its_worst, [(30, at_first), (1, lost), (1, standby)], set()),
    "standing by after it wrote": (at_its_worst, [(30, at_first), (1, lost), (30, standby)], set()),
    "held": (fresh, [(30, held)], {DECISION}),
    "held after it wrote": (at_its_worst, [(30, at_first), (30, held)], {DECISION}),
    "starting": (fresh, [(30, at_first)], {DATABASE}),
    "standing by without a database": (at_its_worst, [(30, at_first), (30, standby), (10, standby_ends)], {DATABASE}),
}


@pytest.mark.long
@pytest.mark.parametrize(("make", "steps", "expected"), LIVES.values(), ids=LIVES)
async def test_an_alert_is_about_those_who_write(
    make: Callable[[], UnifiedWorker],
    steps: list[Step],
    expected: set[str],
    tmp_path: Path,
) -> None:
    firing(life(make, *steps), tmp_path, expected)
