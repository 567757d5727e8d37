"""Traces: batches and fetches arrive at a collector, in OTLP's form; one that is away costs nothing but the traces."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from testing.databases import connected
from testing.waiting import until
from testing.workers import running
from unified_indexer.database.repair import listings
from unified_indexer.pipeline import traced
from unified_indexer.tracing import spans as of_spans
from unified_indexer.tracing.otlp import body
from unified_indexer.tracing.sending import Sending
from unified_indexer.tracing.spans import Spans

NETWORK = Settings(accounts=30, history=5, hosts=2)


class Collector:
    """What came. `status`: what it answers."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        assert request.headers["Content-Type"] == "application/json"
        self.requests.append(orjson.loads(await request.read()))
        return web.json_response({"partialSuccess": {}}, status=self.status)

    def named(self, name: str) -> list[dict[str, Any]]:
        scopes = [scope for each in self.requests for one in each["resourceSpans"] for scope in one["scopeSpans"]]
        return [span for scope in scopes for span in scope["spans"] if span["name"] == name]


@asynccontextmanager
async def collecting() -> AsyncGenerator[Collector]:
    collector = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


@pytest.mark.long
async def test_batches_their_parts_and_fetches_arrive_at_a_collector(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced, "DECODED", 40)
    relay, ledger = RelayServer(), Ledger(NETWORK)
    sent = list(ledger.noted(Generator(NETWORK, ledger.archive).stream(120)))
    for one in sent:
        relay.append(one.frame)
    async with relay, Services(ledger) as services, collecting() as collector:
        relay.beside = services.relay_url
        given = {"VERIFY": "full", "PLC_RATE": "1000", "BACKFILL": "repair", "AUDIT_RATE": "0"} | services.settings
        given["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        async with running(database, relay.url, reset_cursor=False, **given), connected(database) as connection:
            await listings.ask(connection, listings.Kind.NETWORK, "")
            for name in ("batch", "decode", "fetch"):
                await until(lambda name=name: bool(collector.named(name)), f"a span {name} has come")
        # What was left is sent at the end, so all is there now.
        batches = collector.named("batch")
        assert sum(int(attributes(batch)["events"]) for batch in batches) >= 100
        seqs = {one.truth.seq for one in sent}
        for batch in batches:
            said = attributes(batch)
            assert {int(said["seq.first"]), int(said["seq.last"])} <= seqs
            assert "parentSpanId" not in batch
            parts = {
                name: part
                for name in ("wait", "verify", "write")
                for part in collector.named(name)
                if part["traceId"] == batch["traceId"]
            }
            assert len(parts) == 3
            assert all(part["parentSpanId"] == batch["spanId"] for part in parts.values())
            times = [int(batch["startTimeUnixNano"])]
            times += [int(parts[name]["endTimeUnixNano"]) for name in ("wait", "verify", "write")]
            assert times == sorted(times)
            assert times[-1] == int(batch["endTimeUnixNano"])
        assert attributes(collector.named("decode")[0])["frames"] == "40"
        fetch = attributes(collector.named("fetch")[0])
        assert fetch["did"].startswith("did:")
        assert fetch["host"] in services.pds_urls
        resource = collector.requests[0]["resourceSpans"][0]["resource"]
        assert attributes(resource)["service.name"] == "unified-worker"


async def test_a_collector_that_is_away_or_refuses_is_told_of_once_and_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("unified_indexer.tracing.sending.INTERVAL", 0.01)
    spans = Spans()
    async with collecting() as collector:
        sending = asyncio.create_task(Sending(spans, collector.url, "relay").run())
        assert await Sending(spans, collector.url, "relay").look() is None  # as `config check` asks
        assert collector.requests.pop()["resourceSpans"][0]["scopeSpans"][0]["spans"] == []
        collector.status = 503
        assert await Sending(spans, collector.url, "relay").look() == "HTTP 503"
        collector.requests.clear()
        spans.root("batch", 1, {})
        await until(lambda: bool(collector.requests) and bool(caplog.messages), "it was refused")
        assert "did not take 1 spans (HTTP 503)" in caplog.messages[0]
    spans.root("batch", 2, {})
    await until(lambda: not len(spans), "what nobody takes is dropped")
    assert not sending.done()
    sending.cancel()
    await asyncio.wait({sending})
    assert sending.cancelled()


def test_those_that_wait_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_spans, "MOST_WAITING", 3)
    spans = Spans()
    for number in range(5):
        spans.root(str(number), number, {})
    assert (spans.dropped, [span.name for span in spans.take(9)], len(spans)) == (2, ["2", "3", "4"], 0)


def test_the_form_is_otlp_s() -> None:
    spans = Spans()
    root = spans.root("fetch", 5, {"did": "did:plc:a", "bytes": 7, "share": 0.5}, failed="no_pds", ended=9)
    spans.child(root, "read", 6, 8, {})
    (resource,) = orjson.loads(body(spans.take(2), {"service.name": "x"}))["resourceSpans"]
    (scope,) = resource["scopeSpans"]
    first, second = scope["spans"]
    assert (len(bytes.fromhex(first["traceId"])), len(bytes.fromhex(first["spanId"]))) == (16, 8)
    assert (first["startTimeUnixNano"], first["endTimeUnixNano"]) == ("5", "9")
    assert first["attributes"] == [
        {"key": "did", "value": {"stringValue": "did:plc:a"}},
        {"key": "bytes", "value": {"intValue": "7"}},
        {"key": "share", "value": {"doubleValue": 0.5}},
    ]
    assert first["status"] == {"code": 2, "message": "no_pds"}
    assert (second["parentSpanId"], second["traceId"]) == (first["spanId"], first["traceId"])
    assert "status" not in second


def test_where_it_is_off_nothing_of_the_sending_is_imported() -> None:
    code = "import sys, unified_worker; print([name for name in sys.modules if name.startswith('unified_indexer.tracing.s')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['unified_indexer.tracing.spans']"
