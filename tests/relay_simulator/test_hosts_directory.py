"""The PLC directory and the did:web hosts, read by the SDK's resolver, and the export, put together as an importer would."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, cast
from urllib.parse import unquote

import aiohttp
import libipld
import pytest
from atproto_core.did_doc import DidDocument
from atproto_crypto.verify import verify_signature
from atproto_identity.did.resolver import AsyncDidResolver
from atproto_identity.resolver import AsyncIdResolver

from relay_simulator.changes import Change
from relay_simulator.encoding import encode
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.ports import free_port
from relay_simulator.truth import CommitTruth, Sent

Json = dict[str, Any]


@asynccontextmanager
async def served(settings: Settings, events: int = 0) -> AsyncGenerator[tuple[Services, list[Sent]]]:
    """The hosts, after so many events."""
    ledger = Ledger(settings)
    sent = list(Generator(settings).stream(events))
    for one in sent:
        ledger.note(one.truth)
    async with Services(ledger) as services:
        yield services, sent


@asynccontextmanager
async def sdk(services: Services) -> AsyncGenerator[AsyncDidResolver]:
    """The SDK's resolver of DIDs; it has no method to close what it opens."""
    resolver = AsyncIdResolver(plc_url=services.plc_url).did
    try:
        yield resolver
    finally:
        for method in cast("Any", resolver)._methods.values():
            await method._client.aclose()


async def fetched(url: str, **query: str | int) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as answer:
        return answer.status, await answer.text()


async def exported(services: Services, **query: str | int) -> list[Json]:
    status, text = await fetched(f"{services.plc_url}/export", **query)
    assert status == 200
    return [json.loads(line) for line in text.splitlines()]


def signed_block(sent: Sent) -> Json:
    """The commit block of a #commit."""
    payload = libipld.decode_dag_cbor_multi(sent.frame)[1]
    return libipld.decode_car(payload["blocks"])[1][payload["commit"]]


async def test_the_sdk_finds_the_key_that_signed_every_commit() -> None:
    settings = Settings(accounts=40, history=20)
    async with served(settings, 120) as (services, sent), sdk(services) as resolver:
        dids: set[str] = set()
        for one in sent:
            if isinstance(one.truth, CommitTruth):
                found = await resolver.resolve_atproto_data(one.truth.did)
                dids.add(one.truth.did)
                block = signed_block(one)
                signature = block.pop("sig")
                assert verify_signature(found.signing_key or "", encode(block), signature)
                assert (found.handle or "").endswith(".simulator.test")
                assert found.pds in services.pds_urls
        assert services.requests.count("plc") >= len(dids) > 20
        assert services.requests.count("plc", sent[0].truth.did) >= 1


async def test_a_did_web_is_served_at_its_own_port() -> None:
    settings = Settings(accounts=10, web_ports=(free_port(), free_port()), history=20)
    async with served(settings, 60) as (services, sent):
        dids = sorted({one.truth.did for one in sent if one.truth.did.startswith("did:web:")})
        assert dids == sorted(f"did:web:localhost%3A{port}" for port in settings.web_ports)
        for did in dids:
            status, text = await fetched(f"http://{unquote(did.removeprefix('did:web:'))}/.well-known/did.json")
            document = DidDocument.from_dict(json.loads(text))
            assert (status, document.id) == (200, did)
            assert document.get_did_key() is not None
            assert services.requests.count("web", did) == 1
        assert (await fetched(f"{services.plc_url}/{dids[0]}"))[0] == 404  # a did:web


@pytest.mark.long
async def test_who_is_not_there_and_who_is_no_more_are_not_found() -> None:
    settings = Settings(accounts=10, changes=(Change(1_000_020, account=3, tombstone=True),))
    ledger = Ledger(settings)
    async with Services(ledger) as services:
        did = ledger.did(3)
        assert (await fetched(f"{services.plc_url}/{did}"))[0] == 200
        for sent in Generator(settings).stream(60):
            ledger.note(sent.truth)
        assert await fetched(f"{services.plc_url}/{did}") == (410, json.dumps({"message": f"DID not available: {did}"}))
        ended = ledger.did(10)  # before the stream
        assert "not available" in (await fetched(f"{services.plc_url}/{ended}"))[1]
        nobody = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
        assert await fetched(f"{services.plc_url}/{nobody}") == (404, json.dumps({"message": f"DID not registered: {nobody}"}))
        async with sdk(services) as resolver:
            assert await resolver.resolve(nobody) is None
        assert json.loads((await fetched(f"{services.plc_url}/_health"))[1]) == {"version": "simulator"}


async def test_the_export_gives_each_operation_once_by_seq_and_by_time() -> None:
    changes = (Change(1_000_010, account=4, key=True), Change(1_000_030, account=5, tombstone=True))
    async with served(Settings(accounts=60, changes=changes, history=20), 100) as (services, _):
        by_seq: list[Json] = []
        while page := await exported(services, after=by_seq[-1]["seq"] if by_seq else 0, count=7):
            assert len(page) <= 7
            by_seq += page
        by_time: list[Json] = []
        while page := await exported(services, count=7, **({"after": by_time[-1]["createdAt"]} if by_time else {})):
            by_time += page
        assert [entry["seq"] for entry in by_seq] == list(range(1, len(by_seq) + 1))
        assert [entry["cid"] for entry in by_seq] == [entry["cid"] for entry in by_time]
        assert all(entry["type"] == "sequenced_op" and "nullified" not in entry for entry in by_seq)
        assert all(early["createdAt"] < late["createdAt"] for early, late in pairwise(by_time))
        assert {entry["operation"]["type"] for entry in by_time} == {"create", "plc_operation", "plc_tombstone"}
        assert any(entry["nullified"] for entry in by_time)
        assert len({entry["did"] for entry in by_time}) == 61
        status, text = await fetched(f"{services.plc_url}/{by_seq[-1]['did']}/log/audit")
        assert (status, json.loads(text)) == (200, [entry for entry in by_time if entry["did"] == by_seq[-1]["did"]])


async def test_operations_are_chained_and_signed_and_end_in_the_documents() -> None:
    settings = Settings(accounts=60, changes=(Change(1_000_010, account=4, key=True),), history=20)
    async with served(settings, 60) as (services, _), sdk(services) as resolver:
        last: dict[str, Json] = {}
        for entry in await exported(services):
            operation, before = entry["operation"], last.get(entry["did"])
            assert operation["prev"] == (before["cid"] if before else None)
            keys = rotation_keys(before["operation"] if before else operation)
            unsigned = {name: value for name, value in operation.items() if name != "sig"}
            signature = operation["sig"]
            assert any(verify_signature(key, encode(unsigned), decoded(signature)) for key in keys)
            if not entry["nullified"]:
                last[entry["did"]] = entry
        for did, entry in last.items():
            operation = entry["operation"]
            if operation["type"] == "plc_tombstone":
                assert (await fetched(f"{services.plc_url}/{did}"))[0] == 410
                continue
            document = await resolver.resolve(did)
            assert document is not None
            key = operation.get("signingKey") or operation["verificationMethods"]["atproto"]
            assert document.get_did_key() == key
            assert document.get_handle() == (operation.get("handle") or operation["alsoKnownAs"][0].removeprefix("at://"))
            assert document.get_pds_endpoint() == (operation.get("service") or operation["services"]["atproto_pds"]["endpoint"])


def decoded(signature: str) -> bytes:
    return urlsafe_b64decode(signature + "=" * (-len(signature) % 4))


def rotation_keys(operation: Json) -> list[str]:
    return operation.get("rotationKeys") or [operation["recoveryKey"]]


@pytest.mark.parametrize("query", [{"count": "0"}, {"count": "many"}])
async def test_a_count_that_is_none_is_refused(query: dict[str, str]) -> None:
    async with Services(Ledger(Settings(accounts=3))) as services:
        assert (await fetched(f"{services.plc_url}/export", **query))[0] == 400


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("wrong-id", "id"),
        ("foreign-controller", "verificationMethod"),
        ("foreign-key", "verificationMethod"),
        ("two-keys", "verificationMethod"),
        ("two-keys-first", "verificationMethod"),
        ("no-key", "verificationMethod"),
        ("bad-key", "verificationMethod"),
        ("no-pds", "service"),
        ("private-pds", "service"),
        ("pds-with-path", "service"),
        ("other-handle", "alsoKnownAs"),
        ("no-handle", "alsoKnownAs"),
    ],
)
async def test_a_document_may_be_false_in_one_thing(name: str, field: str) -> None:
    ledger = Ledger(Settings(accounts=3))
    async with Services(ledger) as services:
        url = f"{services.plc_url}/{ledger.did(1)}"
        good: Json = json.loads((await fetched(url))[1])
        services.faults.put(Altered(name), "plc", ledger.did(1))
        false: Json = json.loads((await fetched(url))[1])
        assert {key for key in good if good[key] != false[key]} == {field}
        assert (await fetched(f"{services.plc_url}/{ledger.did(2)}"))[0] == 200
