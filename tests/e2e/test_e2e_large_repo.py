"""A repo of 300 MB is fetched by a whole worker: its memory does not follow."""

import os
from pathlib import Path

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from testing.databases import connected
from testing.processes import Process
from testing.waiting import until
from testing.workers import settings
from unified_indexer.database.repair import listings
from unified_indexer.database.repair.listings import Kind

RECORDS = int(os.environ.get("LARGE_REPO", "800000"))  # of some 375 bytes in the CAR
MORE = 150 * 10**6  # bytes of memory at most beside what the worker takes anyway


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_memory_does_not_follow_the_size_of_a_repo(database: str, tmp_path: Path) -> None:
    """Case 21. (Takes 3 GB for the host, which has the repo in memory.)"""
    made = Settings(accounts=1, history=RECORDS)
    ledger = Ledger(made)
    generator = Generator(made, ledger.archive)
    relay = RelayServer([sent.frame for sent in ledger.noted(generator.stream(50))])
    async with relay, Services(ledger) as services, connected(database) as connection:
        relay.beside = services.relay_url
        given = {"VERIFY": "full", "BACKFILL": "repair"} | services.settings | {"PLC_RATE": "1000"}
        async with Process(tmp_path, **settings(database, relay.url, **given)) as worker:
            await worker.says("Connected to ")
            before = worker.highest_rss
            await listings.ask(connection, Kind.NETWORK, "")

            async def done() -> bool:
                assert worker.code is None, worker.output
                return bool(await connection.fetchval("SELECT sum(records_done) > 0 FROM unified_worker.hosts"))

            await until(done, "the repo is fetched", 3_000, poll=0.5)
            received = await connection.fetchval("SELECT sum(bytes_done)::bigint FROM unified_worker.hosts")
            written = await connection.fetchval("SELECT sum(records_done)::bigint FROM unified_worker.hosts")
            more = worker.highest_rss - before
    assert (written, received) >= (RECORDS * 99 // 100, RECORDS * 300)
    assert more < MORE, f"{more / 1e6:.0f} MB more for a repo of {received / 1e6:.0f} MB"
