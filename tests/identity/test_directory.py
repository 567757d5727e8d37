"""Documents of did:plc and did:web: who is asked, and whose word counts."""

import logging
from collections.abc import AsyncIterator

import pytest

from relay_simulator import keys
from testing.frames import DID
from testing.name_server import name_server
from testing.web_site import Site, answering, telling, web_site
from unified_indexer.errors import Rejected
from unified_indexer.identity import directory as module
from unified_indexer.identity.client import Client
from unified_indexer.identity.directory import Directory, is_plc
from unified_indexer.identity.errors import FetchError, Gone, NotAllowed, NotFound, Refused, Unreachable
from unified_indexer.identity.web import WebDids, web_url
from unified_indexer.log.handler import RateLimited

DOCUMENT = keys.did_document(DID, "alice.test", keys.signer(1, 0))
OTHER = keys.did_document("did:plc:" + "b" * 24, "bob.test", keys.signer(1, 0))


@pytest.fixture
async def replica() -> AsyncIterator[Site]:
    async with web_site() as site:
        yield site


@pytest.fixture
async def primary() -> AsyncIterator[Site]:
    async with web_site() as site:
        yield site


@pytest.fixture
async def directory(replica: Site, primary: Site) -> AsyncIterator[Directory]:
    async with Client() as client:
        yield Directory(client, [replica.url, primary.url])


async def test_the_replica_is_asked_first(directory: Directory, replica: Site, primary: Site) -> None:
    replica.answer = telling(DOCUMENT)
    assert (await directory.identity(DID)).handle == "alice.test"
    assert (replica.asked(f"/{DID}"), len(primary.requests)) == (1, 0)


@pytest.mark.parametrize(
    "failing",
    [
        *(answering(status) for status in (302, 403, 404, 410, 429, 500)),
        answering(200, b"<html>"),
        *(telling(value) for value in (OTHER, 7, {"error": "maintenance"}, {"message": f"DID not registered: {DID}"})),
        telling({"message": f"DID not registered: {DID}"}, 404),
    ],
)
async def test_the_next_one_is_asked_where_one_fails(
    failing: object, directory: Directory, replica: Site, primary: Site
) -> None:
    replica.answer = failing  # pyright: ignore[reportAttributeAccessIssue]
    primary.answer = telling(DOCUMENT)
    assert (await directory.identity(DID)).did == DID


async def test_the_primary_alone_is_asked_where_only_its_word_counts(
    directory: Directory, replica: Site, primary: Site
) -> None:
    replica.answer, primary.answer = telling(DOCUMENT), answering(503)
    with pytest.raises(Unreachable):
        await directory.identity(DID, primary=True)
    assert replica.requests == []


async def test_only_the_primary_can_say_that_there_is_no_such_did(directory: Directory, replica: Site, primary: Site) -> None:
    replica.answer, primary.answer = telling({"message": f"DID not registered: {DID}"}, 404), answering(503)
    with pytest.raises(Unreachable):
        await directory.identity(DID)
    primary.answer = telling({"message": f"DID not registered: {DID}"}, 404)
    with pytest.raises(NotFound):
        await directory.identity(DID)


@pytest.mark.parametrize(
    "gone",
    [
        telling({"message": f"DID not available: {DID}"}, 410),
        telling({"message": f"{DID} has ended."}, 410),
        telling({"message": f"DID not available: {DID}"}, 404),
    ],
)
async def test_a_tombstone_is_told_apart(gone: object, directory: Directory, replica: Site) -> None:
    replica.answer = gone  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Gone):
        await directory.identity(DID)


@pytest.mark.parametrize("told", ["DID not registered: {}", 'no such DID ("{}")', "{} is unknown."])
async def test_a_directory_has_its_own_words_but_names_the_did(told: str, directory: Directory, primary: Site) -> None:
    primary.answer = telling({"message": told.format(DID)}, 404)
    with pytest.raises(NotFound):
        await directory.identity(DID, primary=True)


NO_WORD = {
    "page": answering(404, b"<html><body>default backend - 404</body></html>"),
    "text": answering(404, f"DID not registered: {DID}".encode()),
    "empty": answering(404),
    "no-message": telling({"error": "NotFound"}, 404),
    "a-list": telling([f"DID not registered: {DID}"], 404),
    "another-did": telling({"message": f"DID not registered: {OTHER['id']}"}, 404),
    "longer-did": telling({"message": f"DID not registered: {DID}a"}, 404),
    "a-path": telling({"message": f"Cannot GET /{DID}", "error": "Not Found", "statusCode": 404}, 404),
    "a-route": telling({"message": f"Route GET:/{DID} not found"}, 404),
    "a-query": telling({"message": f"no resource ?did={DID}"}, 404),
    "page-of-410": answering(410, b"<html>"),
    "path-of-410": telling({"message": f"Cannot GET /{DID}"}, 410),
    "redirect": answering(302, headers={"Location": "https://elsewhere.example/"}),
    "refused": telling({"message": f"DID not registered: {DID}"}, 403),
    "maintenance": telling({"error": "maintenance"}),
    "another-document": telling(OTHER),
    "another-type": telling([DOCUMENT]),
}


@pytest.mark.promise(7)
@pytest.mark.parametrize("kind", NO_WORD)
async def test_what_only_stands_in_front_of_a_directory_says_nothing_of_a_did(
    kind: str, directory: Directory, replica: Site, primary: Site
) -> None:
    replica.answer = primary.answer = NO_WORD[kind]
    with pytest.raises(Unreachable):
        await directory.identity(DID)
    assert len(primary.requests) == 1


@pytest.mark.parametrize(("kind", "remedy"), [("redirect", "own address (https, not http?)"), ("page", "check PLC_URL")])
async def test_who_answers_in_a_directorys_place_is_named(
    kind: str, remedy: str, primary: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As http://plc.directory does, with a redirect."""
    monkeypatch.setattr(module, "warn_limited", RateLimited().warn)  # another test may have had this port, and its line
    primary.answer = NO_WORD[kind]
    async with Client() as client:
        with caplog.at_level(logging.WARNING), pytest.raises(Unreachable):
            await Directory(client, [primary.url]).identity(DID)
    assert [primary.url in line and remedy in line for line in caplog.messages] == [True]


async def test_a_directory_without_an_address_says_nothing_of_a_did() -> None:
    async with Client() as client:
        with pytest.raises(Unreachable):
            await Directory(client, ["http://nowhere.invalid"]).identity(DID)


def test_a_did_plc_has_24_digits() -> None:
    assert is_plc(DID)
    for did in ("did:plc:", DID[:-1], DID + "a", DID.upper(), DID[:-1] + "1", DID + "\n", DID[:-1] + "/"):
        assert not is_plc(did)


@pytest.mark.parametrize(
    ("did", "url", "private"),
    [
        ("did:web:alice.example.com", "https://alice.example.com/.well-known/did.json", None),
        ("did:web:alice.test", None, "https://alice.test/.well-known/did.json"),
        ("did:web:localhost%3A2583", None, "http://localhost:2583/.well-known/did.json"),
        ("did:web:alice.example.com%3A443", None, None),
        ("did:web:alice.example.com:path", None, None),
        ("did:web:alice.example.com/path", None, None),
        ("did:web:Alice.example.com", None, None),
        ("did:web:127.0.0.1", None, None),
        ("did:web:localhost", None, None),
        ("did:web:com", None, None),
        ("did:web:x.local", None, "https://x.local/.well-known/did.json"),
        ("did:web:", None, None),
        ("did:plc:x", None, None),
        ("did:web:a..com", None, None),
        ("did:web:user@a.com", None, None),
        ("did:web:a.com?x", None, None),
    ],
)
def test_a_did_web_is_a_host_name_alone(did: str, url: str | None, private: str | None) -> None:
    assert web_url(did) == url
    assert web_url(did, allow_private=True) == (private or url)


async def test_a_did_web_is_asked_of_its_host(primary: Site) -> None:
    did = f"did:web:localhost%3A{primary.port}"
    primary.paths["/.well-known/did.json"] = telling(keys.did_document(did, "alice.test", keys.signer(1, 15)))
    async with Client(allow_private=True) as client:
        source = WebDids(client, allow_private=True)
        assert (await source.identity(did)).key is not None
        for answer, kind in (
            (answering(404), NotFound),
            (answering(410), NotFound),
            (answering(403), Refused),
            (answering(500), Unreachable),
            (answering(301), NotAllowed),
            (answering(200, b"<html>"), Rejected),
            (answering(200, bytes(20_000)), Rejected),
            (telling(DOCUMENT), Rejected),
        ):
            primary.paths["/.well-known/did.json"] = answer
            with pytest.raises((FetchError, Rejected)) as caught:
                await source.identity(did)
            assert type(caught.value) is kind


async def test_a_did_web_leads_nowhere_private() -> None:
    async with name_server() as names, Client(dns_servers=[names.place]) as client:
        names.records["inside.example.com", "A"] = ["169.254.169.254"]
        with pytest.raises(NotAllowed, match="private_address"):
            await WebDids(client).identity("did:web:inside.example.com")
