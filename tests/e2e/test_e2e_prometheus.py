"""A real Prometheus with the committed configuration scrapes the metrics, answers the dashboard, and runs the rules."""

import contextlib
import http.server
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.parts import CONFIG, RULES, alerts, exposition, queries
from tests.servers import free_port

DEADLINE = 12.0  # seconds; Prometheus waits five before it scrapes at all
INTERVAL = "250ms"  # between scrapes, and between runs of the rules, in place of 15 s
RATE_INTERVAL = "5s"


@pytest.fixture
def target() -> Generator[str]:
    """The host and port whose /metrics is scraped."""
    text = exposition().encode()

    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def prometheus(target: str, tmp_path: Path) -> Generator[str]:
    """The URL of a Prometheus that runs the committed configuration and rules on that target, faster."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    text = CONFIG.read_text(encoding="utf-8").replace("unified-worker:8080", target)
    (tmp_path / CONFIG.name).write_text(re.sub(r"_interval: \w+", f"_interval: {INTERVAL}", text))
    shutil.copy(RULES, tmp_path)
    address = f"127.0.0.1:{free_port()}"
    arguments = [f"--config.file={CONFIG.name}", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
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
            raise AssertionError(refused.read().decode()) from None


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


def test_prometheus_answers_the_dashboard_and_runs_the_rules(prometheus: str) -> None:
    scraped = 'count_over_time(up{job="unified-worker"}[5s]) >= 3 and up == 1'
    until(lambda: bool(result(prometheus, scraped)), "three scrapes of a target that is up")
    scraped_at = time.time()
    empty = {query.place: query.expr for query in queries(RATE_INTERVAL) if not result(prometheus, query.expr)}
    assert list(empty) == ["Starts"]  # nothing was started while it looked

    def run_since() -> bool:
        return all(datetime.fromisoformat(rule["lastEvaluation"]).timestamp() > scraped_at for rule in rules(prometheus))

    until(run_since, "all rules are run on what was scraped")
    assert [(rule["name"], rule["health"]) for rule in rules(prometheus)] == [(alert["alert"], "ok") for alert in alerts()]
    assert [rule["name"] for rule in rules(prometheus) if rule["state"] == "firing"] == []
