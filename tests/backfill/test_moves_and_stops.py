"""What fetches while the world changes: accounts that move, operators that pause, a worker that is to end."""

import time

import pytest

from relay_simulator.changes import Change
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from testing.databases import connected
from testing.fetching import FIRST, fetching
from testing.waiting import until
from testing.workers import running
from tests.backfill.test_repairs import Repairing
from unified_indexer.backfill import repairs
from unified_indexer.database.repair import asked, listings, queue
from unified_indexer.metrics import Metrics

MIDDLE = FIRST + 60


async def test_an_account_that_moves_after_it_was_listed_comes_from_where_it_is(database: str) -> None:
    """Case 12: the server that listed it says that it is deactivated there; what is known of its document is old."""
    async with fetching(database, changes=[Change(MIDDLE, 3, pds=True, identity="never")]) as on:
        at = Repairing(on, on.worker, Metrics())
        on.seen.append(MIDDLE - 1)
        before = on.host(3)
        assert await at.repair(3) == "ok"
        on.seen.pop()
        assert on.host(3) != before
        await queue.want(on.worker.connection, [on.did(3)], "network", queue.NETWORK)
        host = await queue.host_id(on.worker.connection, before)
        await on.worker.connection.execute("UPDATE unified_worker.repairs SET host = $1", host)
        assert await at.repair(3) == "ok"
        assert await at.left() == []
        (rev,) = await on.worker.column("SELECT rev FROM unified_worker.repos WHERE sync = 1 AND did = '" + on.did(3) + "'")
        truth = on.ledger.repo(on.did(3))
        assert truth is not None
        assert rev == truth.rev
        assert on.fetcher.host(on.did(3)) == on.host(3)


@pytest.mark.long
async def test_a_pause_and_an_end_come_within_seconds(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 30: while half of the servers stand still in the middle of a repo."""
    monkeypatch.setattr(repairs, "INTERVAL", 0.1)
    settings = Settings(accounts=400, history=5, hosts=2)
    relay, ledger = RelayServer(), Ledger(settings)
    for one in ledger.noted(Generator(settings, ledger.archive).stream(30)):
        relay.append(one.frame)
    async with relay, Services(ledger) as services, connected(database) as connection:
        relay.beside = services.relay_url
        stalled = services.pds_urls[0].removeprefix("http://")
        services.faults.put(Altered("stall", 500), "getRepo", host=stalled)
        given = {"VERIFY": "full", "PLC_RATE": "1000", "BACKFILL": "repair", "AUDIT_RATE": "0"} | services.settings
        slowly = {"BACKFILL_RECORDS_PER_SECOND": "60"}  # so that some are left when it is paused
        async with running(database, relay.url, reset_cursor=False, **given, **slowly) as worker:
            await listings.ask(connection, listings.Kind.NETWORK, "")
            await until(lambda: worker.backfill.paces.in_flight >= 10, "all turns of the server that stands still are taken")
            await until(lambda: worker.metrics.repair_ends["done"] > 0, "the other one's repos come")
            await asked.pause(connection, None, True)
            other = "FROM unified_worker.repairs AS r JOIN unified_worker.hosts AS h ON h.id = r.host WHERE h.url = $1"
            free = services.pds_urls[1]

            async def paused() -> bool:
                """Nothing more is begun: only what stands still is under way."""
                return not await connection.fetchval(f"SELECT count(*) {other} AND r.holder IS NOT NULL", free)

            await until(paused, "only what stands still is left", 20)
            assert await connection.fetchval(f"SELECT count(*) {other}", free) > 0
            ended = time.monotonic()
        assert time.monotonic() - ended < 5
        services.faults.clear()
        await asked.pause(connection, None, False)
        async with running(database, relay.url, reset_cursor=False, **given):
            await until(lambda: _none(connection), "what was under way is fetched by the next worker", 60)


async def _none(connection: asked.Connection) -> bool:
    return await connection.fetchval(
        "SELECT bool_and(ended_at IS NOT NULL) AND NOT EXISTS (SELECT FROM unified_worker.repairs) "
        "FROM unified_worker.backfill_jobs"
    )
