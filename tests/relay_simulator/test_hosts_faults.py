"""Faults of the hosts: each is what it says, for whom and as long as it says."""

import asyncio
import json
from time import monotonic

import aiohttp
import pytest

from relay_simulator.generator import Settings
from relay_simulator.hosts.faults import Altered, Cut, HostFault, HostFaults, Huge, Redirect, Slow, Status, Text
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.hosts.spoken import parse_fault

LEDGER = Ledger(Settings(accounts=5))
DID, OTHER = LEDGER.did(1), LEDGER.did(2)


class Got:
    """An answer, read."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


async def get(url: str) -> Got:
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as answer:
        return Got(answer.status, dict(answer.headers), await answer.read())


async def test_every_fault_is_what_it_says_and_only_for_whom_it_says() -> None:
    async with Services(LEDGER) as services:
        url, faults = f"{services.plc_url}/{DID}", services.faults
        good = await get(url)
        for code in (404, 410, 500):
            faults.put(Status(code), "plc", DID)
            assert (await get(url)).status == code
        faults.put(Status(429, retry_after="7"), "plc", DID)
        answer = await get(url)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        faults.put(Redirect("http://127.0.0.1:1/"), "plc", DID)
        answer = await get(url)
        assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:1/")
        faults.put(Huge(100_000), "plc", DID)
        answer = await get(url)
        assert len(answer.body) > 100_000
        assert json.loads(answer.body) == json.loads(good.body)
        faults.put(Text(), "plc", DID)
        with pytest.raises(json.JSONDecodeError):
            json.loads((await get(url)).body)
        assert services.requests.count("plc", DID) == 8
        faults.put(Cut(), "plc", DID)
        with pytest.raises(aiohttp.ClientError):
            await get(url)
        faults.put(Slow(0.2), "plc", DID)
        began = monotonic()
        assert (await get(url)).body == good.body
        assert monotonic() - began >= 0.2
        assert (await get(f"{services.plc_url}/{OTHER}")).status == 200
        faults.clear()
        assert (await get(url)).body == good.body


async def test_the_directory_is_down_for_a_while() -> None:
    faults = HostFaults()
    faults.put(Status(503), "directory", since=0.2, until=0.6)
    async with Services(LEDGER, faults) as services:
        statuses: list[int] = []
        async with asyncio.timeout(30):
            while statuses[-2:] != [503, 200]:
                status = (await get(f"{services.plc_url}/_health")).status
                statuses += [status] if statuses[-1:] != [status] else []
                await asyncio.sleep(0.01)
        assert statuses in ([200, 503, 200], [503, 200])  # a busy machine may begin late
        faults.put(Status(503), "directory")
        pds = f"{services.pds_urls[0]}/xrpc/com.atproto.sync.getRepoStatus?did={DID}"
        assert (await get(pds)).status == 200


async def test_requests_can_be_waited_for() -> None:
    async with Services(LEDGER) as services:
        waiting = asyncio.create_task(services.requests.reach(2, "plc"))
        await get(f"{services.plc_url}/{DID}")
        assert not waiting.done()
        await get(f"{services.plc_url}/{OTHER}")
        async with asyncio.timeout(30):
            await waiting
        assert services.requests.counts == {("plc", DID): 1, ("plc", OTHER): 1}


async def test_hosts_come_back_at_the_same_ports() -> None:
    services = Services(LEDGER)
    async with services:
        url = services.plc_url
    async with services:
        assert services.plc_url == url
        assert (await get(f"{url}/{DID}")).status == 200


@pytest.mark.parametrize(
    ("text", "fault", "endpoint", "subject"),
    [
        ("plc=503", Status(503), "plc", DID),
        (f"plc/{DID}=429:7", Status(429, "7"), "plc", DID),
        ("*=cut", Cut(), "dns", "any.test"),
        ("directory=slow:2.5", Slow(2.5), "export", ""),
        ("web=redirect:http://[::1]/a=b@c", Redirect("http://[::1]/a=b@c"), "web", DID),
        ("pds=error:RepoNotFound", Status(400, error="RepoNotFound"), "getRepoStatus", DID),
        ("plc=huge:20000", Huge(20_000), "plc", DID),
        ("plc=text", Text(), "plc", DID),
        ("dns=text:did=did:plc:x", Text("did=did:plc:x"), "dns", "any.test"),
        ("plc=two-keys", Altered("two-keys"), "plc", DID),
    ],
)
def test_a_fault_is_read_from_a_command(text: str, fault: HostFault, endpoint: str, subject: str) -> None:
    faults = HostFaults()
    faults.start()
    parse_fault(text, faults)
    assert faults.of(endpoint, subject) == fault
    if "/" in text.partition("=")[0]:
        assert faults.of(endpoint, OTHER) is None


def test_a_fault_has_its_time() -> None:
    faults = HostFaults()
    parse_fault("plc=503@10-70", faults)
    faults.start()
    assert faults.of("plc", DID) is None


@pytest.mark.parametrize("text", ["", "plc", "plc=", "plc=what", "nowhere=503", "plc=slow", "plc=503@x", "plc=20"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_fault(text, HostFaults())
