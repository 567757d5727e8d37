"""A real Prometheus with the committed configuration scrapes a real worker, answers the dashboard, and runs the rules."""

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from relay_simulator.ports import free_port
from relay_simulator.server import RelayServer
from testing.monitoring import CONFIG, RULES, Query, alerts, queries
from testing.processes import Process
from testing.traffic import traffic
from testing.workers import settings

DEADLINE = 60.0  # seconds; Prometheus waits five before it scrapes at all
INTERVAL = "250ms"  # between scrapes, and between runs of the rules, in place of 15 s
RATE_INTERVAL = "5s"


@contextlib.contextmanager
def prometheus(program: str, target: str, folder: Path) -> Generator[str]:
    """The URL of a Prometheus that runs the committed configuration and rules on that target (host:port), faster."""
    text = CONFIG.read_text(encoding="utf-8").replace("unified-worker:8080", target)
    (folder / CONFIG.name).write_text(re.sub(r"_interval: \w+", f"_interval: {INTERVAL}", text))
    shutil.copy(RULES, folder)
    address = f"127.0.0.1:{free_port()}"
    arguments = [f"--config.file={CONFIG.name}", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield f"http://{address}"
        finally:
            process.kill()  # it has nothing to keep
            process.wait()


def ask(url: str, path: str, **parameters: str) -> Any:
    """The data of an answer of Prometheus's API; AssertionError with its words where it refuses."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=5) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as refused:
        with refused:
            if refused.code == 503:  # it is starting
                raise ConnectionError from None
            raise AssertionError(refused.read().decode()) from None


OF_FIRSTS = [
    f"unified_worker_{name}"
    for name in (
        *("verified_total", "bad_signatures_total", "settled_total", "doubts_total", "identity_lookups_total"),
        *("confirmations_total", "audited_total"),
        *("backfill_ended_total", "backfill_left", "backfill_repos", "backfill_eta_seconds"),
    )
]
"""Metrics whose series appear with the first of their kind."""


def result(url: str, expr: str) -> list[Any]:
    """The series of an expression, as of now."""
    return ask(url, "query", query=expr)["result"]


def rules(url: str) -> list[dict[str, Any]]:
    """The alerting rules, with what became of them."""
    return [rule for group in ask(url, "rules")["groups"] for rule in group["rules"]]


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; a server that is not yet up is waited for too."""
    deadline = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if condition():
                return
        assert time.monotonic() < deadline, f"not within {DEADLINE:g} s: {what}"
        time.sleep(0.05)


def look(program: str, target: str, folder: Path) -> None:
    with prometheus(program, target, folder) as url:
        scraped = 'count_over_time(up{job="unified-worker"}[5s]) >= 3 and up == 1'
        until(lambda: bool(result(url, scraped)), "three scrapes of a target that is up")
        scraped_at = time.time()

        def empty() -> list[Query]:
            """Nothing was started while it looked, and a worker with VERIFY=off has proven, asked and fetched nothing yet."""
            asked = (query for query in queries(RATE_INTERVAL) if query.place != "Starts")
            of_others = (query for query in asked if not any(name in query.expr for name in OF_FIRSTS))
            return [query for query in of_others if not result(url, query.expr)]

        # A rate needs two scrapes within its interval, which a loaded machine may have missed just now.
        with contextlib.suppress(AssertionError):
            until(lambda: empty() == [], "each query has an answer")
        assert empty() == []

        def run_since() -> bool:
            return all(datetime.fromisoformat(rule["lastEvaluation"]).timestamp() > scraped_at for rule in rules(url))

        until(run_since, "all rules are run on what was scraped")
        assert [(rule["name"], rule["health"]) for rule in rules(url)] == [(alert["alert"], "ok") for alert in alerts()]
        assert [rule["name"] for rule in rules(url) if rule["state"] == "firing"] == []


@pytest.mark.long
async def test_prometheus_answers_the_dashboard_and_runs_the_rules(database: str, tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    stream = traffic(6_000, awkward=True)
    async with (
        RelayServer(stream.frames, rate=300, held=2_000) as relay,
        Process(tmp_path, **settings(database, relay.url, HTTP_BIND="127.0.0.1:0")) as worker,
    ):
        page = await worker.says(r"Live page: http://(\S+)/")
        await worker.says("Processed 2,000 events")
        await asyncio.to_thread(look, program, page[1], tmp_path)
