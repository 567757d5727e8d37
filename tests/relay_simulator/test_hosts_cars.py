"""Faults of whole repositories: each is what it says, seen by a plain client."""

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import aiohttp
import libipld
import pytest

from relay_simulator.encoding import CID_DAG_CBOR, CID_RAW
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.faults import Altered, Cut, HostFault, Limited, Redirect, Remaining, Status, Text
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from tests.relay_simulator.test_hosts_repos import Network, key_of, raw, read, signed, url_of

SETTINGS = Settings(accounts=5, history=300)
HUNG = 20.0  # seconds, for what never ends


@asynccontextmanager
async def hosted() -> AsyncGenerator[Network]:
    ledger = Ledger(SETTINGS)
    stream = list(ledger.noted(Generator(SETTINGS, ledger.archive).stream(60)))
    async with Services(ledger) as services:
        yield Network(SETTINGS, stream, ledger, services)


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


async def get(url: str) -> Got:
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as answer:
        return Got(answer.status, dict(answer.headers), await answer.read())


async def altered(network: Network, name: str) -> tuple[bytes, bytes, str]:
    """The right CAR, the altered one, and whose it is."""
    did = network.ledger.did(1)
    url = url_of(network, did)
    network.services.faults.clear()
    right = (await get(url)).body
    network.services.faults.put(Altered(name), "getRepo", did)
    other = await get(url_of(network, network.ledger.did(2)))
    assert read(other.body)
    return right, (await get(url)).body, did


async def test_a_repository_may_be_whole_and_false() -> None:
    async with hosted() as network:
        right, car, did = await altered(network, "wrong-did")
        key, own = key_of(network, did), read(right)
        assert read(car).fields["did"] != did
        assert signed(read(car), key)
        car = (await altered(network, "old-rev"))[1]
        assert read(car).fields["rev"] < own.fields["rev"]
        assert signed(read(car), key)
        car = (await altered(network, "future-rev"))[1]
        assert read(car).fields["rev"] > own.fields["rev"]
        assert read(car).records == own.records
        car = (await altered(network, "fork"))[1]
        assert read(car).fields["rev"] == own.fields["rev"]
        assert read(car).records.keys() < own.records.keys()
        assert signed(read(car), key)
        for name in ("bad-signature", "next-key"):
            car = (await altered(network, name))[1]
            assert read(car).records == own.records
            assert not signed(read(car), key)
        standing = network.ledger.standing(did)
        assert standing is not None
        standing.generation += 1
        assert signed(read(car), key_of(network, did))


def nodes(car: bytes) -> set[bytes]:
    return {cid for cid, block in raw(car) if cid[:4] == CID_DAG_CBOR and "e" in libipld.decode_dag_cbor(block)}


@pytest.mark.parametrize("name", ["missing-node", "missing-record", "torn"])
async def test_blocks_may_be_missing(name: str) -> None:
    async with hosted() as network:
        right, car, _ = await altered(network, name)
        gone = {cid for cid, _ in raw(right)} - {cid for cid, _ in raw(car)}
        assert dict(raw(car)).items() < dict(raw(right)).items()
        assert 1 <= len(gone) <= (9 if name == "torn" else 1)
        if name != "torn":
            assert (gone <= nodes(right)) == (name == "missing-node")
        with pytest.raises(KeyError):
            read(car)


async def test_blocks_may_be_wrong_or_too_many() -> None:
    async with hosted() as network:
        right, car, _ = await altered(network, "wrong-hash")
        assert [cid for cid, block in raw(car) if cid != CID_DAG_CBOR + sha256(block).digest()] == [
            cid for cid, block in raw(right) if dict(raw(car))[cid] != block
        ]
        assert len(dict(raw(car)).items() - dict(raw(right)).items()) == 1
        right, car, _ = await altered(network, "extra")
        ((cid, block),) = dict(raw(car)).items() - dict(raw(right)).items()
        assert cid == CID_RAW + sha256(block).digest()
        assert read(car).records == read(right).records
        right, car, _ = await altered(network, "doubled")
        assert len(list(raw(car))) == 2 * len(list(raw(right)))


async def test_a_body_may_end_too_early_as_if_it_were_whole() -> None:
    async with hosted() as network:
        right, car, _ = await altered(network, "cut-block")
        assert right.startswith(car)
        assert 1 < len(list(raw(car))) < len(list(raw(right)))
        for name in ("cut-varint", "cut-90"):
            right, car, _ = await altered(network, name)
            assert len(car) < len(right)
            with pytest.raises((IndexError, AssertionError)):
                list(raw(car))
        assert len(car) == len(right) * 9 // 10


@pytest.mark.long
async def test_a_body_may_never_end() -> None:
    async with hosted() as network, aiohttp.ClientSession(auto_decompress=False) as session:
        did = network.ledger.did(1)
        right = (await get(url_of(network, did))).body
        for name, most in (("endless", 30_000_000), ("bomb", 60_000)):
            network.services.faults.put(Altered(name), "getRepo", did)
            got = b""
            async with (
                asyncio.timeout(HUNG),
                session.get(url_of(network, did), headers={"Accept-Encoding": "identity"}) as answer,
            ):
                async for piece in answer.content.iter_any():
                    got += piece
                    if len(got) > most:
                        break
            if name == "bomb":
                assert answer.headers["Content-Encoding"] == "gzip"
                got = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(got)
                assert len(got) > 100 * most
            else:
                assert got.startswith(right)
            blocks = dict(islice(raw(got), len(list(raw(right))) + 3))
            assert len(blocks) == len(list(raw(right))) + 1
            assert dict(raw(right)).items() <= blocks.items()


async def test_a_body_may_come_slowly_or_stop() -> None:
    async with hosted() as network, aiohttp.ClientSession() as session:
        did = network.ledger.did(1)
        url = url_of(network, did)
        right = (await get(url)).body
        network.services.faults.put(Altered("drip", len(right)), "getRepo", did)
        began = time.monotonic()
        assert (await get(url)).body == right
        assert time.monotonic() - began >= 0.8
        network.services.faults.put(Altered("stall", 1_000), "getRepo", did)
        async with session.get(url) as answer:
            assert await answer.content.readexactly(1_000) == right[:1_000]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await answer.content.read(1)
        network.services.faults.put(Altered("reset"), "getRepo", did)
        with pytest.raises(aiohttp.ClientError):
            await get(url)


@pytest.mark.parametrize("form", ["seconds", "date", "reset", "silent"])
async def test_a_limit_is_told_in_each_of_its_forms(form: str) -> None:
    async with hosted() as network:
        did = network.ledger.did(1)
        network.services.faults.put(Limited(300, form), "getRepo", did)  # pyright: ignore[reportArgumentType]
        answer = await get(url_of(network, did))
        assert answer.status == 429
        after = answer.headers.get("Retry-After")
        match form:
            case "seconds":
                assert after == "300"
            case "date":
                assert 200 < parsedate_to_datetime(str(after)).timestamp() - time.time() <= 301
            case "reset":
                assert after is None
                assert 200 < int(answer.headers["RateLimit-Reset"]) - time.time() <= 301
                assert answer.headers["RateLimit-Remaining"] == "0"
            case _:
                assert not {"Retry-After", "RateLimit-Reset"} & answer.headers.keys()


async def test_a_right_answer_may_say_how_much_is_left() -> None:
    async with hosted() as network:
        url = url_of(network, network.ledger.did(1))
        right = await get(url)
        network.services.faults.put(Remaining(7), "getRepo")
        answer = await get(url)
        assert answer.body == right.body
        assert (answer.headers["RateLimit-Remaining"], answer.headers["RateLimit-Limit"]) == ("7", "3000")


async def test_a_fault_may_be_of_one_host_and_of_some_attempts() -> None:
    async with hosted() as network:
        faults, ledger = network.services.faults, network.ledger
        first, second = url_of(network, ledger.did(1)), url_of(network, ledger.did(3))
        host = network.services.pds_urls[1].removeprefix("http://")
        faults.put(Status(503), "getRepo", host=host, times=2)
        assert [(await get(url)).status for url in (first, second, second, second)] == [200, 503, 503, 200]
        faults.put(Redirect(first), "getRepo", times=2)
        async with aiohttp.ClientSession() as session, session.get(first) as answer:
            assert (answer.status, len(answer.history)) == (200, 2)
        faults.put(Redirect(first), "getRepo")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.TooManyRedirects):
                await session.get(first)


@pytest.mark.parametrize(
    "fault", [Status(500), Status(502), Status(503), Status(404), Status(501), Status(400, error="RepoTakendown"), Text()]
)
async def test_a_repository_may_not_be_given_at_all(fault: HostFault) -> None:
    async with hosted() as network:
        network.services.faults.put(fault, "getRepo")
        answer = await get(url_of(network, network.ledger.did(1)))
        match fault:
            case Text():
                assert (answer.status, answer.body[:9]) == (200, b"<!doctype")
            case Status(code):
                assert answer.status == code
            case _:
                raise AssertionError
        network.services.faults.put(Cut(), "getRepo")
        with pytest.raises(aiohttp.ClientError):
            await get(url_of(network, network.ledger.did(1)))
