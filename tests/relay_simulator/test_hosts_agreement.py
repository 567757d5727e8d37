"""The worker's own readers of identities find in the simulated network what its ledger says."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from relay_simulator import keys
from relay_simulator.generator import Settings
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.ports import free_port
from unified_indexer.identity.client import Client
from unified_indexer.identity.directory import Directory
from unified_indexer.identity.document import Identity
from unified_indexer.identity.errors import Gone, NotFound, Unreachable
from unified_indexer.identity.handles import Handles
from unified_indexer.identity.names import NameServer
from unified_indexer.identity.web import WebDids

ACCOUNTS = 18  # number 15 has a P-256 key


@asynccontextmanager
async def asked(ledger: Ledger) -> AsyncGenerator[tuple[Services, Client, Directory]]:
    async with Services(ledger) as services:
        address, _, port = services.dns.partition(":")
        async with Client(allow_private=True, dns_servers=[NameServer(address, int(port))]) as client:
            yield services, client, Directory(client, [services.plc_url], allow_private=True)


def signs(identity: Identity, signer: keys.Signer) -> bool:
    """Whether this is the key that the document states."""
    assert identity.key is not None
    return identity.key.verifies(b"message", signer.sign(b"message"))


async def test_the_worker_finds_every_account() -> None:
    ledger = Ledger(Settings(accounts=ACCOUNTS, web_ports=(free_port(),)))
    async with asked(ledger) as (services, client, directory):
        web = WebDids(client, allow_private=True)
        handles = Handles(client, allow_private=True)
        for number in range(ACCOUNTS):
            standing = ledger.standing(ledger.did(number))
            assert standing is not None
            found = await (directory if number else web).identity(standing.did)
            assert (found.did, found.handle) == (standing.did, standing.handle)
            assert found.pds == services.pds_urls[standing.pds]
            assert signs(found, ledger.key(standing))
            assert await handles.settle(standing.handle, standing.did) == "verified"
        assert await handles.settle("user1.simulator.test", ledger.did(2)) == "mismatched"


async def test_the_worker_tells_who_is_gone_from_who_never_was() -> None:
    ledger = Ledger(Settings(accounts=ACCOUNTS))
    async with asked(ledger) as (_, _, directory):
        with pytest.raises(Gone):
            await directory.identity(ledger.did(ACCOUNTS))
        with pytest.raises(NotFound):
            await directory.identity("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")


async def test_the_worker_believes_no_false_document() -> None:
    ledger = Ledger(Settings(accounts=ACCOUNTS))
    did = ledger.did(1)
    own = keys.signer(1, 1)
    async with asked(ledger) as (services, _, directory):
        services.faults.put(Altered("wrong-id"), "plc", did)
        with pytest.raises(Unreachable):
            await directory.identity(did)
        for name in ("foreign-controller", "no-key", "bad-key"):
            services.faults.put(Altered(name), "plc", did)
            assert (await directory.identity(did)).key is None, name
        services.faults.put(Altered("two-keys"), "plc", did)
        assert signs(await directory.identity(did), own)
        services.faults.put(Altered("foreign-key"), "plc", did)
        assert not signs(await directory.identity(did), own)
        for name in ("no-pds", "pds-with-path"):
            services.faults.put(Altered(name), "plc", did)
            assert (await directory.identity(did)).pds is None, name
