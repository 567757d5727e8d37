"""The worker's HTTP side: what it exports is what happened, it says whether it is well, and asking does nothing to it."""

import asyncio
import contextlib
import json
import re
import signal
import socket
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay_simulator.faults import Refuse
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.ports import free_port
from relay_simulator.server import RelayServer
from relay_simulator.truth import CommitTruth
from testing.databases import connected, saved
from testing.processes import Process
from testing.traffic import traffic, traffic_of
from testing.waiting import until
from testing.workers import running, settings
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.metrics import BATCH_BOUNDS, LATENCY_BOUNDS
from unified_indexer.monitoring.http.connections import MOST_CONNECTIONS
from unified_indexer.monitoring.http.exposition import label
from unified_indexer.monitoring.http.live import MOST_STREAMS
from unified_indexer.monitoring.readiness import NAMES, reasons
from unified_indexer.records import RECORD_TYPES
from unified_indexer.version import VERSION

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@contextlib.asynccontextmanager
async def serving(folder: Path, url: str, relay: str, **env: str) -> AsyncGenerator[tuple[Process, str]]:
    """A worker process and its page's URL."""
    env = {"HTTP_BIND": "127.0.0.1:0", "READY_LAG_SECONDS": "0"} | env
    async with Process(folder, **settings(url, relay, **env)) as worker:
        page = await worker.says(r"Live page: (http://\S+)")
        yield worker, page[1]


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def ready(page: str) -> list[str]:
    """Why /readyz says no, by name; its status and `ready` must say the same."""
    status, text = await get(page + "readyz")
    said = json.loads(text)
    assert (status, said["ready"]) == ((503, False) if said["reasons"] else (200, True))
    assert all(reason["detail"] for reason in said["reasons"])
    return [reason["reason"] for reason in said["reasons"]]


async def samples(page: str) -> Samples:
    """What /metrics says, read by prometheus-client's own parser; our prefix left out."""
    status, text = await get(page + "metrics")
    assert status == 200
    return {
        (sample.name.removeprefix("unified_worker_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def samples_after(page: str, finished: int) -> Samples:
    """The same, once so many events are in it."""
    found: Samples = {}

    async def reached() -> bool:
        found.update(await samples(page))
        return found["events_finished_total", ()] == finished

    await until(reached, f"{finished} events are told", poll=0.2)
    return found


@pytest.mark.long
async def test_what_it_exports_is_what_happened(database: str, tmp_path: Path) -> None:
    mix = Mix(delete=10, several=5, generator=1, account=0, account_deleted=0)  # nobody's commits are left out
    sent = list(Generator(Settings(mix=mix, cheap=True, history=50)).stream(3_000))
    known = {record_type.collection for record_type in RECORD_TYPES}
    counted = Counter(
        (op.collection if op.collection in known else "other", "delete" if op.action == "delete" else "put")
        for truth in (one.truth for one in sent)
        if isinstance(truth, CommitTruth)
        for op in {(op.collection, op.rkey): op for op in truth.ops}.values()  # of several on one path the last counts
    )
    last = max(one.truth.seq for one in sent)
    async with RelayServer([one.frame for one in sent]) as relay, serving(tmp_path, database, relay.url) as (worker, page):
        await saved(database, relay.url, last)
        seen = await samples_after(page, len(sent))
        assert seen["cursor_seq", ()] == seen["received_seq", ()] == last
        assert seen["commit_latency_seconds_count", ()] == seen["batch_events_sum", ()] == len(sent)
        assert sum(value for (name, _), value in seen.items() if name == "events_total") == len(sent)
        written = {
            (dict(labels)["collection"], dict(labels)["action"]): value
            for (name, labels), value in seen.items()
            if name == "operations_total"
        }
        assert {key: value for key, value in written.items() if value} == dict(counted)
        assert set(written) == {(label(t.collection), action) for t in RECORD_TYPES for action in ("put", "delete")}
        for name, bounds in (("commit_latency_seconds", LATENCY_BOUNDS), ("batch_events", BATCH_BOUNDS)):
            buckets = {float(dict(labels)["le"]): value for (found, labels), value in seen.items() if found == f"{name}_bucket"}
            assert list(buckets) == [*bounds, float("inf")]
            assert list(buckets.values()) == sorted(buckets.values())
            assert buckets[float("inf")] == seen[f"{name}_count", ()]
        assert seen["pool_size_connections", ()] == 20
        assert {(dict(labels)["reason"]) for (name, labels) in seen if name == "not_ready"} == set(NAMES)
        assert seen["process_resident_memory_bytes", ()] == pytest.approx(worker.rss, rel=0.2)
        assert seen["info", (("relay", urlsplit(relay.url).netloc), ("version", VERSION))] == 1


@pytest.mark.long
@pytest.mark.promise(3)
@pytest.mark.promise(6)
async def test_refusals_are_told_and_a_replay_writes_nothing(database: str, tmp_path: Path) -> None:
    stream = traffic(2_000, awkward=True)
    async with RelayServer(stream.frames) as relay, connected(database) as connection:
        async with serving(tmp_path, database, relay.url) as (worker, page):
            await saved(database, relay.url, stream.last_seq)
            seen = await samples_after(page, len(stream.frames))
            letters = await connection.fetch("SELECT reason, sum(attempts) AS seen FROM unified_worker.dead_letters GROUP BY 1")
            assert letters
            assert {dict(labels)["reason"] for name, labels in seen if name == "refused_total"} >= {
                row["reason"] for row in letters
            }
            assert seen["dead_letters_total", ()] >= sum(row["seen"] for row in letters)
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0
        await connection.execute("DELETE FROM firehose_cursor")
        async with serving(tmp_path, database, relay.url) as (_, page):
            await saved(database, relay.url, stream.last_seq)
            seen = await samples_after(page, len(stream.frames))
            # Where the database had refused a commit its repo did not move, so that is tried again.
            written = sum(value for (name, _), value in seen.items() if name == "operations_total")
            assert (written, seen["stale_total", ()] > 1_500) == (0, True)


async def test_ready_says_why_not(database: str, tmp_path: Path) -> None:
    stream = traffic(500)
    refusing = [Refuse(503)]
    async with RelayServer(stream.frames, always=refusing) as relay:
        async with serving(tmp_path, database, relay.url, READY_LAG_SECONDS="60") as (worker, page):
            await worker.says("Cannot connect to")
            assert await ready(page) == ["not_connected", "lag"]  # nothing has come yet
            assert re.search(r"HTTP 503.*; next attempt in [0-9]+ s", (await get(page + "readyz"))[1])
            assert (await get(page + "healthz"))[0] == 200
            refusing.clear()
            await saved(database, relay.url, stream.last_seq)
            assert await ready(page) == ["lag"]
            assert (await samples(page))["lag_seconds", ()] > 3600
        async with serving(tmp_path, database, relay.url) as (worker, page):
            await worker.says("Connected to")
            assert await ready(page) == []
            await relay.stop()
            await worker.says("Disconnected")
            assert await ready(page) == ["not_connected"]


async def test_it_answers_before_the_database_does(tmp_path: Path) -> None:
    nobody = f"postgresql://127.0.0.1:{free_port()}/nothing"
    async with serving(tmp_path, nobody, "ws://127.0.0.1:1") as (_, page):
        assert await ready(page) == ["starting"]
        assert (await get(page + "healthz"))[0] == 200
        seen = await samples(page)
        assert (seen["ready", ()], seen["database_answering", ()]) == (0, 0)
        assert ("connected", ()) not in seen  # there is no session that could be
        assert seen["not_ready", (("reason", "starting"),)] == 1


@pytest.mark.long
async def test_a_database_that_goes_or_hangs_is_told(private_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.monitoring.readiness.MOST_SILENCE", 1.0)
    monkeypatch.setattr("unified_indexer.database.connection.pool.PING_INTERVAL", 0.1)
    monkeypatch.setattr(
        "unified_indexer.database.connection.pool.PING_TIMEOUT", 60.0
    )  # the silence is noticed before the lock is lost
    stream = traffic(500)

    def amiss(names: list[str]) -> bool:
        return [reason.name for reason in reasons(worker.gauges, 0)] == names

    async with RelayServer(stream.frames) as relay, running(private_server.url, relay.url) as worker:
        await until(lambda: amiss([]), "it is ready")
        backends = [one for one in psutil.process_iter() if one.ppid() == private_server.pid]
        for backend in backends:
            backend.suspend()
        await until(lambda: amiss(["database"]), "a database that hangs is noticed")
        assert reasons(worker.gauges, 0)[0].detail.startswith("no answer for ")
        for backend in backends:
            backend.resume()
        await until(lambda: amiss([]), "it is ready again")
        await private_server.stop()
        await until(lambda: amiss(["database"]), "a database that went is noticed")
        await private_server.start()
        await until(lambda: amiss([]), "it is ready once more")
        worker.stop("a test")
        assert amiss(["stopping"])


async def test_an_address_that_is_taken(database: str, tmp_path: Path) -> None:
    with socket.socket() as taken, contextlib.suppress(OSError):
        taken.bind(("127.0.0.1", 8080))  # the default; somebody else's already, if this fails
        taken.listen()
        async with RelayServer() as relay:
            env = settings(database, relay.url)
            del env["HTTP_BIND"]
            async with Process(tmp_path, **env) as worker:
                await worker.says(r"\[WARNING\] HTTP_BIND: cannot listen on 127.0.0.1:8080 .*continuing without")
                await worker.says("Connected to")  # somebody else's port is no reason to stop the stream
            async with Process(tmp_path, **env | {"HTTP_BIND": "127.0.0.1:8080"}) as worker:
                assert await worker.ends() == 2
                assert worker.output.count("unified_worker: HTTP_BIND: cannot listen on 127.0.0.1:8080") == 1
                assert "Traceback" not in worker.output


@pytest.mark.promise(5)
async def test_connections_too_many_are_turned_away(database: str, tmp_path: Path) -> None:
    async with RelayServer() as relay, serving(tmp_path, database, relay.url) as (worker, page):
        await worker.says("Connected to")
        port = urlsplit(page).port
        before = psutil.Process(worker.pid).num_fds()
        open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS + 50)]
        turned_away = 0
        for reader, _ in open_ones:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.01):
                    turned_away += not await reader.read(1)
        assert turned_away >= 45
        assert psutil.Process(worker.pid).num_fds() <= before + MOST_CONNECTIONS + 5
        for _, writer in open_ones:
            writer.close()

        async def answers() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                return (await get(page + "healthz"))[0] == 200
            return False

        await until(answers, "there is room again")


@pytest.mark.long
@pytest.mark.promise(5)
async def test_open_pages_are_bounded_and_hold_up_nothing(database: str, tmp_path: Path) -> None:
    stays = Mix(delete=0, account=0, account_deleted=0)  # so that each post that was shown is still there
    stream = traffic_of(Generator(Settings(mix=stays, cheap=True, history=50)).stream(1_000))
    async with (
        RelayServer(stream.frames, rate=500) as relay,
        serving(tmp_path, database, relay.url) as (worker, page),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        pages = [await session.get(page + "live") for _ in range(MOST_STREAMS)]
        assert {(response.status, response.content_type) for response in pages} == {(200, "text/event-stream")}
        one_more = await session.get(page + "live")
        assert one_more.status == 503
        await saved(database, relay.url, stream.last_seq)  # though nobody reads what is sent
        first = (await pages[0].content.readuntil(b"\n\n")).decode()
        assert first.startswith("event: past\ndata: {")
        posts: set[str] = set()
        async with asyncio.timeout(30):
            while not posts:
                message = (await pages[0].content.readuntil(b"\n\n")).decode()
                assert message.startswith("event: now\ndata: {")
                posts = {post["uri"] for post in json.loads(message.partition("data: ")[2])["posts"]}
        async with connected(database) as connection:
            assert await connection.fetchval("SELECT count(*) FROM posts WHERE uri = ANY($1)", list(posts)) == len(posts)
        pages[0].close()
        pages.append(await _admitted(session, page))
        worker.signal(signal.SIGTERM)
        assert await worker.ends(5) == 0
    assert "[ERROR]" not in worker.output, worker.output


async def _admitted(session: aiohttp.ClientSession, page: str) -> aiohttp.ClientResponse:
    """A page that was let in, once there is room."""
    found: list[aiohttp.ClientResponse] = []

    async def let_in() -> bool:
        found[:] = [await session.get(page + "live")]
        return found[0].status == 200

    await until(let_in, "a page that was closed makes room", poll=0.2)
    return found[0]


async def test_what_is_not_there_and_off(database: str, tmp_path: Path) -> None:
    async with RelayServer() as relay:
        async with serving(tmp_path, database, relay.url) as (worker, page), aiohttp.ClientSession() as session:
            assert (await get(page + "nothing"))[0] == 404
            async with session.post(page, data=b"x" * 10_000) as response:
                assert response.status == 405
            async with session.get(page) as response:
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
            async with session.get(page + "metrics") as response:
                assert response.headers["Content-Type"].startswith("text/plain; version=")
            await worker.says("Connected to")
            worker.signal(signal.SIGTERM)
            assert await worker.ends(5) == 0
        async with Process(tmp_path, **settings(database, relay.url)) as worker:
            await worker.says("Connected to")
            assert not [one for one in psutil.Process(worker.pid).net_connections() if one.status == psutil.CONN_LISTEN]
            assert "Live page" not in worker.output


async def asked_raw(page: str, *headers: str, version: str = "1.1", path: str = "/live") -> str:
    """The status line of the answer to a request with these headers alone."""
    place = urlsplit(page)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write("".join(f"{line}\r\n" for line in (f"GET {path} HTTP/{version}", *headers, "")).encode())
    async with asyncio.timeout(10):
        status = await reader.readline()
    writer.close()
    return status.decode().partition(" ")[2].strip()


async def test_a_page_that_leads_its_name_here_is_not_answered(database: str, tmp_path: Path) -> None:
    """DNS rebinding: the browser sends the page's own name. A name of ours is answered, and so is who sends none."""
    async with RelayServer() as relay, serving(tmp_path, database, relay.url, HTTP_HOSTS="unified-worker") as (worker, page):
        port = urlsplit(page).port
        for path in ("/", "/live", "/metrics", "/healthz", "/readyz", "/nothing"):
            assert await asked_raw(page, f"Host: evil.example:{port}", path=path) == "421 Misdirected Request"
            assert await asked_raw(page, f"Host: unified-worker:{port}", path=path) != "421 Misdirected Request"
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", "[::1]:1", "Unified-Worker."):
            assert await asked_raw(page, f"Host: {host}") == "200 OK"
        assert await asked_raw(page, version="1.0") == "200 OK"
        assert await asked_raw(page, "Host: localhost", "Host: evil.example") != "200 OK"
        assert worker.output.count("was refused (421)") == 1, "that is told, and does not flood the log"
        assert "HTTP_HOSTS" in worker.output


MALFORMED = (
    f"GET /{'a' * 9_000} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nX: {'a' * 9_000}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nX\x01: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone",
    "\x16\x03\x01\x02\r\n\r\n",
)


async def test_requests_that_are_no_http_cost_the_log_a_line(tmp_path: Path) -> None:
    """Any web page can have a browser send such without end, and lines that matter would find no room."""
    nobody = f"postgresql://127.0.0.1:{free_port()}/nothing"
    async with serving(tmp_path, nobody, "ws://127.0.0.1:1") as (worker, page):
        place = urlsplit(page)
        for request in MALFORMED * 2:
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            writer.write(request.encode("latin-1"))
            async with asyncio.timeout(20):
                assert b"500" not in (await reader.read()).partition(b"\r\n")[0]
            writer.close()
        await worker.says("a request that is no proper HTTP was refused")
        assert (await get(page + "healthz"))[0] == 200
    assert worker.output.count("no proper HTTP") == 1
    assert "Traceback" not in worker.output
    assert "[ERROR]" not in worker.output


class Impatient(Process):
    """A worker that has room for few, and soon lets go who does not read."""

    constants = MappingProxyType(
        {f"unified_indexer.monitoring.http.connections.{name}": 0.5 for name in ("PATIENCE", "INTERVAL")}
        | {"unified_indexer.monitoring.http.connections.MOST_CONNECTIONS": 10}
    )


# Answered and not read. What is no HTTP has aiohttp close the connection, which waits for the client too.
UNREAD = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200


@pytest.mark.promise(5)
@pytest.mark.parametrize("last", ["", "GET / no HTTP\r\n\r\n"], ids=["asked on", "closed"])
async def test_clients_that_do_not_read_are_let_go(tmp_path: Path, last: str) -> None:
    """Whoever asks much and reads nothing would keep a connection for ever, and probes would find none."""
    nobody = f"postgresql://127.0.0.1:{free_port()}/nothing"
    async with Impatient(tmp_path, **settings(nobody, "ws://127.0.0.1:1", HTTP_BIND="127.0.0.1:0")) as worker:
        page = (await worker.says(r"Live page: (http://\S+)"))[1]
        with contextlib.ExitStack() as clients:
            for _ in range(10):
                client = clients.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                client.connect(("127.0.0.1", urlsplit(page).port))
                client.sendall((UNREAD + last).encode())

            async def answers() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    return (await get(page + "healthz"))[0] == 200
                return False

            assert not await answers(), "there is no room"
            await until(answers, "there is room, though nobody has read", 30)
        assert "Traceback" not in worker.output
