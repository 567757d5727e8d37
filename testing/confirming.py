"""A worker's database side that confirms what relays say, with the hosts of a made-up network."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.truth import AccountTruth, CommitTruth
from testing.commits import POST, Stream, post, put
from testing.database_side import Worker, opened
from unified_indexer.accounts.documents import Documents
from unified_indexer.identity.client import Client
from unified_indexer.identity.handles import Handles
from unified_indexer.identity.names import NameServer
from unified_indexer.identity.resolver import Identities

FAST = 1_000.0  # look-ups a second
TIME = "2026-07-01T12:00:00.000Z"


@dataclass
class Scene:
    """`worker` believes no relay; `services` is whom it asks about the accounts of `ledger`, which are named by number."""

    worker: Worker
    services: Services
    ledger: Ledger
    identities: Identities
    client: Client
    documents: Documents
    handles: Handles
    stream: Stream = field(default_factory=Stream)

    def name(self, number: int) -> str:
        """The account's name, as `Stream` takes it."""
        return self.ledger.did(number).removeprefix("did:plc:")

    def stands(self, number: int, active: bool, status: str | None = None) -> None:
        """The account's own server says this of it from now on."""
        self.stream.seq += 1
        self.ledger.note(AccountTruth(self.stream.seq, self.ledger.did(number), TIME, active, status))

    def has(self, number: int, rev: str) -> None:
        """The account's own server has a commit of this rev."""
        self.stream.seq += 1
        did = self.ledger.did(number)
        self.ledger.note(
            CommitTruth(self.stream.seq, did, rev, None, TIME, (), too_big=False, sound=True, data="d", commit="bafy")
        )

    async def writes(self, number: int) -> str:
        """A commit of the account comes; what became of it."""
        rkey = str(self.stream.seq)
        return (await self.worker.write(self.stream.commit(self.name(number), put(f"{POST}/{rkey}", post()))))[0]

    async def said(self, number: int, active: bool, status: str | None = None) -> None:
        """A relay says this of the account."""
        await self.worker.write(self.stream.account(self.name(number), active, status))

    async def claims(self, number: int, handle: str | None) -> None:
        """A relay says that the account has this handle."""
        await self.worker.write(self.stream.identity(self.name(number), handle))

    async def state(self, number: int) -> tuple[bool, str | None]:
        """Whether the account is shown, and its status."""
        query = "SELECT active, status FROM unified_worker.repos WHERE did = $1"
        row = await self.worker.connection.fetchrow(query, self.ledger.did(number))
        assert row is not None
        return row["active"], row["status"]

    @property
    def counts(self) -> dict[str, int]:
        """What others than the relay have said, as it was counted."""
        return dict(self.worker.metrics.confirmations)


@asynccontextmanager
async def scene(
    database: str, *, rate: float = FAST, accounts: int = 20, web_ports: Sequence[int] = (), replicas: Sequence[str] = ()
) -> AsyncGenerator[Scene]:
    """The network and the worker, until the block ends. `replicas`: directories that are asked before the network's."""
    ledger = Ledger(Settings(accounts=accounts, history=0, web_ports=tuple(web_ports)))
    async with Services(ledger) as services, opened(database, confirm=True) as worker:
        address, _, port = services.dns.rpartition(":")
        async with Client(allow_private=True, dns_servers=[NameServer(address, int(port))]) as client:
            identities = Identities(
                worker.pool, client, directories=[*replicas, services.plc_url], rate=rate, ttl=86_400, allow_private=True
            )
            web_port = int(services.pds_urls[0].rpartition(":")[2])
            handles = Handles(client, allow_private=True, port=web_port)
            task = asyncio.create_task(identities.run())
            try:
                yield Scene(worker, services, ledger, identities, client, Documents(identities), handles)
            finally:
                task.cancel()
                await asyncio.wait([task])
