"""Repos found on the lists of a made-up network, by a worker's parts in this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.truth import Sent
from testing.database_side import Worker, opened
from testing.waiting import until
from unified_indexer.accounts.crew import Crew
from unified_indexer.accounts.documents import Documents
from unified_indexer.backfill.finding import AT_ONCE, Finding
from unified_indexer.backfill.lists import Lists
from unified_indexer.backfill.pace import Paces
from unified_indexer.backfill.turns import HostTurns
from unified_indexer.database.repair import listings
from unified_indexer.database.repair.listings import Kind
from unified_indexer.identity.client import Client
from unified_indexer.identity.downloads import Downloads
from unified_indexer.identity.names import NameServer
from unified_indexer.identity.resolver import Identities
from unified_indexer.selection import Selection

WANTED = """
SELECT r.did, coalesce(h.url, '') FROM unified_worker.repairs AS r LEFT JOIN unified_worker.hosts AS h ON h.id = r.host
"""


@dataclass
class Scene:
    """`finding` reads the lists of `services`, which are about the accounts of `ledger`, and stores by `worker`."""

    ledger: Ledger
    stream: list[Sent]
    services: Services
    worker: Worker
    finding: Finding
    paces: Paces
    selection: Selection

    async def ask(self, kind: Kind, argument: str = "") -> int:
        """Have a job done."""
        return await listings.ask(self.worker.connection, kind, argument)

    async def ended(self, job: int) -> bool:
        """Whether its lists are read."""
        return await self.worker.connection.fetchval(
            "SELECT ended_at IS NOT NULL FROM unified_worker.backfill_jobs WHERE id = $1", job
        )

    async def turns(self, number: int = 1) -> None:
        """So many looks at what there is to read; each page that was begun has come when this returns."""
        for _ in range(number):
            async with Crew(AT_ONCE) as crew:
                await self.finding.turn(crew)

    async def reach(self, repos: int) -> None:
        """Look until so many are wanted; a look brings a page of each list, at most."""

        async def there() -> bool:
            await self.turns()
            return len(await self.wanted()) >= repos

        await until(there, f"{repos} repos are wanted")

    async def read(self, job: int) -> None:
        """Read until the lists of the job have ended."""

        async def done() -> bool:
            await self.turns()
            return await self.ended(job)

        await until(done, f"job {job} has ended")

    async def wanted(self) -> dict[str, str]:
        """By DID, the origin at which it is wanted; '' where its document says it."""
        return {row[0]: row[1] for row in await self.worker.connection.fetch(WANTED)}

    async def fetched(self, did: str, rev: str) -> None:
        """A repo is complete at this rev, as after its repair."""
        await self.worker.connection.execute("DELETE FROM unified_worker.repairs WHERE did = $1", did)
        await self.worker.connection.execute(
            "INSERT INTO unified_worker.repos (did, rev, sync) VALUES ($1, $2, 1) "
            "ON CONFLICT (did) DO UPDATE SET rev = excluded.rev, sync = 1",
            did,
            rev,
        )

    def active(self) -> set[str]:
        """Those whose repos their servers give out."""
        return {standing.did for standing in self.ledger.listed() if standing.active}


async def nothing() -> None:
    """The stream is never behind."""


@asynccontextmanager
async def scene(
    database: str, settings: Settings, *, events: int = 0, selection: Selection | None = None
) -> AsyncGenerator[Scene]:
    """The network after so many events, and what finds repos there, until the block ends."""
    ledger = Ledger(settings)
    stream = list(ledger.noted(Generator(settings, ledger.archive).stream(events)))
    async with Services(ledger) as services, opened(database) as worker:
        address, _, port = services.dns.rpartition(":")
        async with Client(allow_private=True, dns_servers=[NameServer(address, int(port))]) as client:
            identities = Identities(
                worker.pool, client, directories=[services.plc_url], rate=1_000.0, ttl=86_400, allow_private=True
            )
            paces = Paces()
            chosen = selection or Selection()
            finding = Finding(
                worker.pool,
                chosen,
                Lists(Downloads(client), HostTurns(paces), allow_private=True),
                Documents(identities),
                relay=services.relay_url,
                allow_private=True,
                stream_first=nothing,
            )
            task = asyncio.create_task(identities.run())
            try:
                yield Scene(ledger, stream, services, worker, finding, paces, chosen)
            finally:
                task.cancel()
                await asyncio.wait([task])
