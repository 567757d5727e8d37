"""Whose a handle is."""

from collections.abc import AsyncIterator

import pytest

from testing.frames import DID
from testing.name_server import NameServerProtocol, name_server
from testing.web_site import Site, answering, web_site
from unified_indexer.identity.client import Client
from unified_indexer.identity.handles import Handles

OTHER = "did:web:bob.test"


@pytest.fixture
async def names() -> AsyncIterator[NameServerProtocol]:
    async with name_server() as server:
        yield server


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with web_site() as site:
        site.answer = answering(404)
        yield site


@pytest.fixture
async def handles(names: NameServerProtocol, site: Site) -> AsyncIterator[Handles]:
    names.records["alice.test", "A"] = ["127.0.0.1"]
    async with Client(allow_private=True, dns_servers=[names.place]) as client:
        yield Handles(client, allow_private=True, port=site.port)


def named(names: NameServerProtocol, *texts: str) -> None:
    names.records["_atproto.alice.test", "TXT"] = [f'"{text}"' for text in texts]


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        ([f"did={DID}"], "verified"),
        (["v=spf1", f"did={DID}", f"did={DID}"], "verified"),
        ([f"did={OTHER}"], "mismatched"),
        ([f"did={DID}", f"did={OTHER}"], "mismatched"),  # two DIDs: nobody's
        (["did="], "mismatched"),
    ],
)
async def test_dns_names_the_did(texts: list[str], verdict: str, handles: Handles, names: NameServerProtocol) -> None:
    named(names, *texts)
    assert await handles.settle("alice.test", DID) == verdict


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, DID.encode() + b"\n", "verified"),
        (200, OTHER.encode(), "mismatched"),
        (200, b"<html>", "mismatched"),
        (200, b"", "mismatched"),
        (404, b"", "mismatched"),
        (301, b"", "mismatched"),
        # The host answers, and names nobody: else who claims such a name would have it for good.
        (403, b"", "mismatched"),
        (410, b"", "mismatched"),
        (200, b"x" * 3_000, "mismatched"),
        (200, b"\xff\xd8", "mismatched"),
        (429, b"", "unknown"),
        (500, b"", "unknown"),
    ],
)
async def test_the_host_names_the_did_where_dns_does_not(
    status: int, body: bytes, verdict: str, handles: Handles, site: Site, names: NameServerProtocol
) -> None:
    site.paths["/.well-known/atproto-did"] = answering(status, body)
    for _ in range(2):
        assert await handles.settle("alice.test", DID) == verdict
        named(names, "other")


async def test_dns_decides_where_both_say_something(handles: Handles, site: Site, names: NameServerProtocol) -> None:
    named(names, f"did={DID}")
    site.answer = answering(200, OTHER.encode())
    assert await handles.settle("alice.test", DID) == "verified"
    assert site.requests == []


async def test_without_an_answer_of_dns_only_a_confirmation_counts(
    handles: Handles, site: Site, names: NameServerProtocol
) -> None:
    names.broken.add("_atproto.alice.test")
    site.answer = answering(200, OTHER.encode())
    assert await handles.settle("alice.test", DID) == "unknown"
    site.answer = answering(200, DID.encode())
    assert await handles.settle("alice.test", DID) == "verified"


async def test_a_name_that_is_none_is_nobody_s(handles: Handles) -> None:
    assert await handles.settle("nobody.test", DID) == "mismatched"
    for handle in ("localhost", "Alice.test", "127.0.0.1", "a b.test", ""):
        assert await handles.settle(handle, DID) == "mismatched"


async def test_a_reserved_name_is_not_asked_for(names: NameServerProtocol) -> None:
    async with Client(dns_servers=[names.place]) as client:
        for handle in ("alice.test", "alice.local", "alice.onion", "handle.invalid"):
            assert await Handles(client).settle(handle, DID) == "mismatched"
    assert not names.asked
