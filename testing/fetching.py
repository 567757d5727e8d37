"""Repos fetched from the servers of a made-up network, whose truth is known."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from relay_simulator.archive import BlockOrder
from relay_simulator.changes import Change
from relay_simulator.encoding import cid_text
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from testing.database_side import Worker, opened
from unified_indexer.accounts.documents import Documents
from unified_indexer.backfill.fetch import Fetcher
from unified_indexer.backfill.outcome import Failed
from unified_indexer.backfill.pace import Paces
from unified_indexer.backfill.turns import HostTurns
from unified_indexer.identity.client import Client
from unified_indexer.identity.downloads import Downloads
from unified_indexer.identity.names import NameServer
from unified_indexer.identity.resolver import Identities
from unified_indexer.protocol.repo import Repo

FIRST = 1_000_001  # the stream's first seq


@dataclass
class Fetching:
    """`fetcher` asks `services` for the repos of `ledger`'s accounts, which are named by number."""

    ledger: Ledger
    services: Services
    identities: Identities
    fetcher: Fetcher
    paces: Paces
    seen: list[int]  # the last seq that has happened
    worker: Worker

    def did(self, number: int) -> str:
        return self.ledger.did(number)

    def host(self, number: int) -> str:
        """The origin of the account's server."""
        standing = self.ledger.standing(self.did(number))
        assert standing is not None
        return self.services.pds_urls[standing.pds]

    def records(self, number: int) -> dict[str, str]:
        """What its repo holds, path -> CID."""
        truth = self.ledger.repo(self.did(number))
        assert truth is not None
        return {f"{op.collection}/{op.rkey}": op.cid for op in truth.records if op.cid is not None}

    async def fetch(self, number: int) -> dict[str, str] | Failed:
        """Its repo's records, as they are in the order of their URIs, or why it was not fetched."""
        outcome = await self.fetcher.fetch(self.did(number))
        if not isinstance(outcome, Repo):
            return outcome
        with outcome as repo:
            found = {record.path: cid_text(record.cid) for records in repo.slices() for record in records}
        assert list(found) == sorted(found)
        return found


@asynccontextmanager
async def fetching(
    database: str,
    *,
    history: int = 40,
    accounts: int = 12,
    events: int = 150,
    order: BlockOrder = "pds",
    source: bool = False,
    changes: Sequence[Change] = (),
    web_ports: Sequence[int] = (),
    connections: int = 3,
) -> AsyncGenerator[Fetching]:
    """The network, where so many events have happened, and what fetches from it, until the block ends. `source`: the first
    server is asked for all repos. `web_ports`: of the hosts of the first accounts, which are did:webs then. `connections`: to
    the database, at most."""
    settings = Settings(accounts=accounts, history=history, changes=tuple(changes), web_ports=tuple(web_ports))
    seen = [FIRST + 10 * events]
    ledger = Ledger(settings, upto=lambda: seen[-1])
    for _ in ledger.noted(Generator(settings, ledger.archive).stream(events)):
        pass
    async with Services(ledger, order=order) as services, opened(database, size=connections) as worker:
        address, _, port = services.dns.rpartition(":")
        async with Client(allow_private=True, dns_servers=[NameServer(address, int(port))]) as client:
            identities = Identities(
                worker.pool, client, directories=[services.plc_url], rate=1_000.0, ttl=86_400, allow_private=True
            )
            paces = Paces()
            fetcher = Fetcher(
                Downloads(client),
                identities,
                Documents(identities),
                HostTurns(paces),
                source=services.pds_urls[0] if source else None,
            )
            task = asyncio.create_task(identities.run())
            try:
                yield Fetching(ledger, services, identities, fetcher, paces, seen, worker)
            finally:
                task.cancel()
                await asyncio.wait([task])
