"""A network that is fetched whole, as its operator sees it: the terminal's line, the page, the metrics, and the command."""

import json
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.faults import Limited, Status
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from testing.databases import connected
from testing.waiting import until
from testing.workers import running, settings
from unified_indexer.backfill import progress, room
from unified_indexer.command_line.cli import parse
from unified_indexer.command_line.commands import COMMANDS
from unified_indexer.config.settings import Config
from unified_indexer.database.repair import listings
from unified_indexer.monitoring.fetching import line, shown
from unified_indexer.monitoring.gauges import Gauges
from unified_indexer.monitoring.history import History
from unified_indexer.monitoring.http.exposition import Exposition

NETWORK = Settings(accounts=60, history=30, hosts=3)


def metrics(gauges: Gauges) -> dict[str, float]:
    """What /metrics says of backfills: by name, and label."""
    text = Exposition(History(gauges), "relay", 0).text("")[0].decode()
    return {
        " ".join((sample.name.removeprefix("unified_worker_backfill_"), *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "_backfill_" in sample.name
    }


@pytest.mark.long
async def test_whoever_operates_it_sees_how_far_it_is_and_what_is_in_the_way(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module, interval in ((progress, 0.2), (room, 0.2)):
        monkeypatch.setattr(module, "INTERVAL", interval)
    monkeypatch.setattr(room, "LEAST", 1.1)
    relay = RelayServer()
    ledger = Ledger(NETWORK)
    for one in ledger.noted(Generator(NETWORK, ledger.archive).stream(60)):
        relay.append(one.frame)
    async with relay, Services(ledger) as services:
        relay.beside = services.relay_url
        full, parked = (url.removeprefix("http://") for url in services.pds_urls[:2])
        services.faults.put(Status(500), "getRepo", host=full, times=1)
        services.faults.put(Limited(3.0), "getRepo", host=parked, times=1)
        given = {"VERIFY": "full", "PLC_RATE": "1000", "BACKFILL": "repair", "AUDIT_RATE": "0"} | services.settings
        async with running(database, relay.url, reset_cursor=False, **given) as worker, connected(database) as connection:
            backfill = worker.backfill
            await listings.ask(connection, listings.Kind.NETWORK, "")
            await until(lambda: metrics(worker.gauges).get("held disk") == 1.0, "the disk is full")
            asked = services.requests.count("getRepo")
            await until(lambda: line(backfill) is not None, "it is known that something is to be read")
            assert str(line(backfill)).endswith("held (disk)")
            assert services.requests.count("getRepo") == asked == 0
            monkeypatch.setattr(room, "LEAST", 0.0)
            pages: list[dict[str, Any]] = []

            def parked_seen() -> bool:
                page = shown(backfill) or {}
                pages.append(page)
                return bool(page.get("parked"))

            await until(parked_seen, "a host is left alone, and the page says so")
            orjson.dumps(pages[-1])
            (host, seconds, why), *_ = pages[-1]["hosts"]
            assert (host, why) == (parked, "limited")
            assert 0 < seconds <= 5
            assert metrics(worker.gauges)["hosts parked"] == 1.0

            async def fetched() -> bool:
                await connection.execute("UPDATE unified_worker.repairs SET retry_at = now() WHERE retry_at > now()")
                return await connection.fetchval(
                    "SELECT bool_and(ended_at IS NOT NULL) AND NOT EXISTS (SELECT FROM unified_worker.repairs) "
                    "FROM unified_worker.backfill_jobs"
                )

            await until(fetched, "all is fetched", 120)
            ends = worker.metrics.repair_ends  # counted a moment after the tables have it

            def told() -> tuple[object, ...]:
                page = shown(backfill) or {}
                return page.get("done"), page.get("idle"), page.get("left"), page.get("failed")

            await until(lambda: told() == (ends["done"], True, 0, 0), "the page has all that was done, and nothing is left")
            done = ends["done"]
            assert line(backfill) is None
            seen = metrics(worker.gauges)
            assert seen["ended_total done"] == done > 30
            assert seen["ended_total failed"] == 1
            assert seen["ended_total put_off"] >= 1
            assert seen["bytes_total"] == backfill.fetcher.received > 1_000 * done
            assert all(seen[f"seconds_total {phase}"] > 0 for phase in ("fetch", "prove", "write"))
            assert (seen["left"], seen["in_flight"], seen["lists"], seen["held disk"]) == (0, 0, 0, 0)
            config = Config.from_env(settings(database, relay.url, **given))
            capsys.readouterr()
            assert await COMMANDS["backfill"].run(config, parse(["backfill", "status", "--json"]).options) == 0
            status = json.loads(capsys.readouterr().out)
            assert status["totals"]["done"] == done
            assert status["totals"]["failed"] == 1
            assert status["left"] == 0
