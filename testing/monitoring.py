"""What is deployed for monitoring, read for the tests, and the metrics that it is held against."""

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from unified_indexer.config.settings import Config
from unified_indexer.database.repair.standing import Done, Standing
from unified_indexer.monitoring.history import History
from unified_indexer.monitoring.http.exposition import Exposition
from unified_indexer.relay.position import Stored
from unified_indexer.stream.partitions import Partitions, Place
from unified_worker import UnifiedWorker

ROOT = Path(__file__).parents[1]
DEPLOYED = ROOT / "deploy" / "monitoring"
CONFIG = DEPLOYED / "prometheus" / "prometheus.yml"
RULES = DEPLOYED / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOYED / "grafana" / "dashboards" / "unified-worker.json"
PAGE = ROOT / "docs" / "monitoring.md"
UNIT_TESTS = tuple(sorted((ROOT / "tests" / "project" / "monitoring").glob("*.yml")))


# A backfill with half of its ten repos done, in the last minute.
FETCHING = Standing(5, 5, 0, 0, 0, 1, 0, 0, 1, False, 5.0, 50.0, 5.0, 10.0, 5.0, 0, 10, 100, 60.0, Done(10, 100))


class Query(NamedTuple):
    """An expression of the dashboard, its variables filled in, and where it stands."""

    place: str
    expr: str


def exposition() -> str:
    """What /metrics answers once an event is written, though nothing runs."""
    worker = UnifiedWorker(
        Config.from_env({"DATABASE_URL": "postgresql://nobody@127.0.0.1/nothing", "PUBLISH": "redis://127.0.0.1"})
    )
    now = datetime.now(UTC)
    worker.metrics.unproven_since = now
    worker.begin(Stored())
    worker.session.position.arrived(1, now)
    partitions = Partitions(Place("relay.test"))
    partitions.cursor, partitions.time, partitions.memory = 1, now, 0.5
    worker.session.watermark = partitions
    worker.backfill.progress.standing = FETCHING
    return exposition_of(worker)


def exposition_of(worker: UnifiedWorker) -> str:
    """What /metrics answers for this worker, as it is."""
    return Exposition(History(worker.gauges), "relay.test", 60).text("")[0].decode()


def families() -> dict[str, str]:
    """The metrics that the worker exports, with their types."""
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", exposition(), re.MULTILINE))


def exported_names() -> set[str]:
    """The names of the series that the worker exports."""
    return {
        name + suffix
        for name, kind in families().items()
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }


def promtool(*arguments: str | Path) -> None:
    """Runs promtool, which must find no fault; skips where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    roomy = os.environ | {"GOGC": "400"}  # it lives for a second, so its garbage may stay
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, env=roomy)
    assert done.returncode == 0, done.stdout + done.stderr


def names_in(expr: str) -> set[str]:
    """The worker's metrics that an expression asks for."""
    return set(re.findall(r"\b(?:unified_worker|process)_\w+", expr))


def alerts() -> list[dict[str, Any]]:
    """The alerting rules, as they are written."""
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def queries(rate_interval: str) -> list[Query]:
    """Every expression that the dashboard asks for all workers, its panels' and its annotations'."""
    board = dashboard()
    found = [(f"panel {panel['id']}", target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    found += [(annotation["name"], annotation["expr"]) for annotation in board["annotations"]["list"]]
    return [Query(place, expr.replace("$__rate_interval", rate_interval).replace("$instance", ".*")) for place, expr in found]
