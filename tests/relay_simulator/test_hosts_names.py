"""Handles: by the DNS, asked by dnspython's resolver, and by HTTP."""

import aiohttp
import dns.asyncresolver
import dns.exception
import dns.resolver
import pytest

from relay_simulator.generator import Settings
from relay_simulator.hosts.faults import Cut, Slow, Status, Text
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.truth import IdentityTruth

HANDLE = "user1.simulator.test"
NAME = f"_atproto.{HANDLE}"


def resolver(services: Services, lifetime: float = 20.0) -> dns.asyncresolver.Resolver:
    host, _, port = services.dns.partition(":")
    made = dns.asyncresolver.Resolver(configure=False)
    made.nameservers, made.port, made.lifetime = [host], int(port), lifetime
    return made


async def texts(services: Services, name: str = NAME) -> list[str]:
    answer = await resolver(services).resolve(name, "TXT", search=False)
    return [b"".join(record.strings).decode() for record in answer]


async def by_http(services: Services, handle: str) -> tuple[int, str]:
    headers = {"Host": handle}
    async with aiohttp.ClientSession() as session:
        url = f"{services.pds_urls[0]}/.well-known/atproto-did"
        async with session.get(url, headers=headers) as answer:
            return answer.status, await answer.text()


async def test_a_handle_names_its_account_by_both_ways() -> None:
    ledger = Ledger(Settings(accounts=5))
    async with Services(ledger) as services:
        assert await texts(services) == [f"did={ledger.did(1)}"]
        assert await texts(services, NAME.upper()) == [f"did={ledger.did(1)}"]
        assert await by_http(services, HANDLE) == (200, ledger.did(1))
        assert (await by_http(services, "user7.simulator.test"))[0] == 404
        with pytest.raises(dns.resolver.NXDOMAIN):
            await texts(services, "_atproto.user7.simulator.test")
        for name in (HANDLE, "localhost"):
            address = await resolver(services).resolve(name, "A", search=False)
            assert [record.address for record in address] == ["127.0.0.1"]
        with pytest.raises(dns.resolver.NXDOMAIN):
            await resolver(services).resolve("elsewhere.example", "A", search=False)
        assert services.requests.count("dns", HANDLE) == 3
        assert services.requests.count("handle", HANDLE) == 1


async def test_a_handle_goes_where_the_last_identity_says() -> None:
    ledger = Ledger(Settings(accounts=5))
    async with Services(ledger) as services:
        ledger.note(IdentityTruth(1_000_001, ledger.did(3), "2026-07-01T00:00:00.000Z", HANDLE.upper()))
        assert await texts(services) == [f"did={ledger.did(3)}"]
        ledger.note(IdentityTruth(1_000_002, ledger.did(3), "2026-07-01T00:00:01.000Z", "handle.invalid"))
        with pytest.raises(dns.resolver.NXDOMAIN):
            await texts(services)
        ledger.note(IdentityTruth(1_000_001, ledger.did(3), "2026-07-01T00:00:00.000Z", HANDLE))  # sent again
        assert (await by_http(services, HANDLE))[0] == 404


async def test_a_dns_fails_as_it_is_told() -> None:
    ledger = Ledger(Settings(accounts=5))
    async with Services(ledger) as services:
        faults = services.faults
        faults.put(Status(2), "dns", HANDLE)  # SERVFAIL
        with pytest.raises(dns.resolver.NoNameservers):
            await texts(services)
        faults.put(Cut(), "dns")
        with pytest.raises(dns.exception.Timeout):
            await resolver(services, lifetime=0.2).resolve(NAME, "TXT", search=False)
        faults.put(Slow(0.05), "dns")
        assert await texts(services) == [f"did={ledger.did(1)}"]
        faults.put(Text("did=did:plc:one\ndid=did:plc:two\nv=spf1"), "dns")
        assert sorted(await texts(services)) == ["did=did:plc:one", "did=did:plc:two", "v=spf1"]
        faults.clear()
        assert await texts(services) == [f"did={ledger.did(1)}"]
