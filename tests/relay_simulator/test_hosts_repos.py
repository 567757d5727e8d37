"""Whole repositories as the hosts serve them, read by libipld and the SDK, against what the stream has said."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, NamedTuple

import aiohttp
import libipld
import pytest
from atproto_crypto.verify import verify_signature

from relay_simulator.archive import BlockOrder, RepoTruth
from relay_simulator.changes import Change
from relay_simulator.encoding import CID_DAG_CBOR, cid_text, encode, to_json
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.tree import layer_of
from relay_simulator.truth import AccountTruth, CommitTruth, Json, OpTruth, Sent

FIRST = 1_000_001
GZIP = {"Accept-Encoding": "gzip"}


class Network(NamedTuple):
    """A stream that has been sent up to where `sent` says, and the hosts beside it."""

    settings: Settings
    stream: list[Sent]
    ledger: Ledger
    services: Services


@asynccontextmanager
async def hosted(settings: Settings, events: int, *, order: BlockOrder = "pds") -> AsyncGenerator[Network]:
    ledger = Ledger(settings)
    stream = list(ledger.noted(Generator(settings, ledger.archive).stream(events)))
    async with Services(ledger, order=order) as services:
        yield Network(settings, stream, ledger, services)


def url_of(network: Network, did: str, method: str = "getRepo") -> str:
    standing = network.ledger.standing(did)
    assert standing is not None
    return f"{network.services.pds_urls[standing.pds]}/xrpc/com.atproto.sync.{method}?did={did}"


async def fetched(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, answer.content_type) == (200, "application/vnd.ipld.car")
        return await answer.read()


class Read(NamedTuple):
    """A CAR, read by the test: its commit, and its records by path. Every block is what its CID says, and is used."""

    commit: str
    fields: dict[str, Any]
    records: dict[str, bytes]


def read(car: bytes) -> Read:
    length, at = varint(car, 0)
    roots = libipld.decode_dag_cbor(car[at : at + length])["roots"]
    blocks = {cid: block for cid, block in raw(car) if cid[:4] == CID_DAG_CBOR}
    assert all(cid == CID_DAG_CBOR + sha256(block).digest() for cid, block in blocks.items())
    fields = libipld.decode_dag_cbor(blocks[roots[0]])
    used = {roots[0]}
    records: dict[str, bytes] = {}

    def visit(cid: bytes) -> int | None:
        """Read a node and what is under it; its layer, None where it has no key."""
        used.add(cid)
        node = libipld.decode_dag_cbor(blocks[cid])
        layers: set[int] = set()
        below = [visit(node["l"])] if node["l"] is not None else []
        key = b""
        for entry in node["e"]:
            key = key[: entry["p"]] + entry["k"]
            layers.add(layer_of(key))
            records[key.decode()] = blocks[entry["v"]]
            used.add(entry["v"])
            if entry["t"] is not None:
                below.append(visit(entry["t"]))
        assert len(layers) <= 1
        layer = layers.pop() if layers else None
        assert layer is None or all(child is None or child < layer for child in below)
        return layer

    visit(fields["data"])
    assert used == set(blocks)
    assert list(records) == sorted(records)
    return Read(cid_text(roots[0]), fields, records)


def raw(car: bytes) -> Iterable[tuple[bytes, bytes]]:
    """The blocks of a CAR, in their order."""
    length, at = varint(car, 0)
    at += length
    while at < len(car):
        length, at = varint(car, at)
        assert at + length <= len(car)
        yield car[at : at + 36], car[at + 36 : at + length]
        at += length


def varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return number, at


def agrees(found: Read, truth: RepoTruth) -> bool:
    """Whether a reader finds what the ledger says."""
    assert (found.commit, found.fields["rev"], found.fields["did"]) == (truth.commit, truth.rev, truth.did)
    assert cid_text(found.fields["data"]) == truth.data
    assert list(found.records) == [f"{record.collection}/{record.rkey}" for record in truth.records]
    for block, record in zip(found.records.values(), truth.records, strict=True):
        assert (record.cid, record.size) == (cid_text(CID_DAG_CBOR + sha256(block).digest()), len(block))
        if record.fault is None:
            assert to_json(libipld.decode_dag_cbor(block)) == record.record
    return True


def key_of(network: Network, did: str) -> str:
    standing = network.ledger.standing(did)
    assert standing is not None
    return f"did:key:{network.ledger.key(standing).multibase}"


def signed(found: Read, key: str) -> bool:
    unsigned = {name: value for name, value in found.fields.items() if name != "sig"}
    return verify_signature(key, encode(unsigned), found.fields["sig"])


@pytest.mark.parametrize("order", ["pds", "preorder", "random"])
async def test_a_repository_is_whole_signed_and_what_the_stream_made_of_it(order: BlockOrder) -> None:
    settings = Settings(accounts=20, history=60, mix=Mix.awkward())
    async with hosted(settings, 800, order=order) as network:
        seen = 0
        for number in range(settings.accounts):
            did = network.ledger.did(number)
            standing = network.ledger.standing(did)
            if standing is None or not standing.active:
                continue
            truth = network.ledger.repo(did)
            found = read(await fetched(url_of(network, did)))
            assert truth is not None
            assert agrees(found, truth)
            assert signed(found, key_of(network, did))
            seen += standing.rev is not None
        assert seen > 10


def applied(stream: list[Sent], past: dict[tuple[str, str], Json]) -> dict[tuple[str, str], Json]:
    """The records by DID and path, as the operations of the commits that move their repos leave them."""
    there = dict(past)
    revs: dict[str, str] = {}
    for sent in stream:
        truth = sent.truth
        if isinstance(truth, CommitTruth) and truth.commit is not None and truth.rev > revs.get(truth.did, ""):
            revs[truth.did] = truth.rev
            for op in truth.ops:
                if op.action == "delete":
                    there.pop((truth.did, path_of(op)), None)
                else:
                    there[truth.did, path_of(op)] = op.record if op.fault is None else None
    return there


def path_of(op: OpTruth) -> str:
    return f"{op.collection}/{op.rkey}"


async def test_at_each_seq_it_holds_what_the_operations_so_far_have_left() -> None:
    settings = Settings(accounts=12, history=30, mix=Mix.awkward())
    sent_seq = 0
    ledger = Ledger(settings, upto=lambda: sent_seq)
    stream = list(ledger.noted(Generator(settings, ledger.archive).stream(600)))
    first = [ledger.repo(ledger.did(number)) for number in range(settings.accounts)]
    past = {(truth.did, path_of(record)): record.record for truth in first if truth is not None for record in truth.records}
    assert len(past) >= 12 * 29
    for length in (0, 1, 250, 600):
        sent_seq = max((sent.truth.seq for sent in stream[:length]), default=0)
        due = applied(stream[:length], past)
        for number in range(settings.accounts):
            did = ledger.did(number)
            truth = ledger.repo(did)
            assert truth is not None
            found = {path_of(record): record.record for record in truth.records}
            own = {path: record for (owner, path), record in due.items() if owner == did}
            assert found.keys() == own.keys()
            assert all(found[path] == record for path, record in own.items() if record is not None)


async def test_an_account_that_has_not_acted_has_what_it_wrote_before_the_stream() -> None:
    settings = Settings(accounts=40, history=50)
    async with hosted(settings, 0) as network:
        truth = network.ledger.repo(network.ledger.did(3))
        found = read(await fetched(url_of(network, network.ledger.did(3))))
        assert truth is not None
        assert agrees(found, truth)
        assert signed(found, key_of(network, network.ledger.did(3)))
        assert len(truth.records) >= 49
        assert {record.collection.rpartition(".")[2] for record in truth.records} == {
            "like",
            "follow",
            "post",
            "repost",
            "block",
        }
        assert all(isinstance(record.record, dict) and record.record["$type"] == record.collection for record in truth.records)
        async with aiohttp.ClientSession() as session:
            async with session.get(url_of(network, network.ledger.did(3), "getLatestCommit")) as answer:
                assert await answer.json() == {"cid": truth.commit, "rev": truth.rev}
            async with session.get(url_of(network, network.ledger.did(3), "getRepoStatus")) as answer:
                assert await answer.json() == {"did": truth.did, "active": True, "rev": truth.rev}
            assert network.ledger.repo(network.ledger.did(40)) is None
            async with session.get(url_of(network, network.ledger.did(40))) as answer:
                assert (answer.status, (await answer.json())["error"]) == (400, "RepoNotFound")


async def test_where_nobody_wrote_before_the_stream_there_is_no_repository_yet() -> None:
    async with hosted(Settings(accounts=4, history=0), 0) as network:
        assert network.ledger.repo(network.ledger.did(1)) is None
        async with aiohttp.ClientSession() as session, session.get(url_of(network, network.ledger.did(1))) as answer:
            assert (answer.status, (await answer.json())["error"]) == (400, "RepoNotFound")


async def test_the_newest_blocks_come_first_as_from_a_pds() -> None:
    async with hosted(Settings(accounts=3, history=200), 60) as network:
        did = network.stream[-1].truth.did
        commits = [sent.truth for sent in network.stream if isinstance(sent.truth, CommitTruth) and sent.truth.did == did]
        places = {cid_text(cid): place for place, (cid, _) in enumerate(raw(await fetched(url_of(network, did))))}
        assert places[str(commits[-1].commit)] < 20
        written = [op.cid for commit in reversed(commits) for op in commit.ops if op.action == "create" and op.cid in places]
        assert [places[str(cid)] for cid in written] == sorted(places[str(cid)] for cid in written)
        truth = network.ledger.repo(did)
        assert truth is not None
        before = [places[str(record.cid)] for record in truth.records if record.cid not in written]
        assert max(places[str(cid)] for cid in written) < min(before)


async def test_it_is_compressed_for_those_who_take_that() -> None:
    async with (
        hosted(Settings(accounts=3, history=400), 20) as network,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        url = url_of(network, network.ledger.did(1))
        sizes: list[int] = []
        for accepted, encoding in (
            (GZIP, "gzip"),
            ({"Accept-Encoding": "identity"}, None),
            ({"Accept-Encoding": "gzip, br"}, "gzip"),
        ):
            async with session.get(url, headers=accepted) as answer:
                assert answer.headers.get("Content-Encoding") == encoding
                sizes.append(len(await answer.read()))
        assert sizes[0] == sizes[2] < sizes[1] * 0.8


async def test_accounts_have_unequal_pasts_of_the_mean_that_was_asked_for() -> None:
    settings = Settings(accounts=20_000, history=100, spread=1.5)
    lengths = [len(settings.past.history(number).paths) for number in range(256)]
    assert 85 < sum(lengths) / 256 < 115
    assert lengths[0] > 10 * lengths[128]
    assert lengths == sorted(lengths, reverse=True)
    assert settings.past.history(256 * 7 + 3) is settings.past.history(3)


async def test_a_new_key_signs_and_another_host_serves_after_a_move() -> None:
    settings = Settings(accounts=5, history=20, changes=(Change(FIRST + 40, account=1, key=True, pds=True),))
    sent_seq = FIRST + 39
    ledger = Ledger(settings, upto=lambda: sent_seq)
    stream = list(ledger.noted(Generator(settings, ledger.archive).stream(120)))
    did = ledger.did(1)
    async with Services(ledger) as services, aiohttp.ClientSession() as session:
        network = Network(settings, stream, ledger, services)
        old_key, old_url = key_of(network, did), url_of(network, did)
        assert signed(read(await fetched(old_url)), old_key)
        sent_seq = FIRST + 200
        async with session.get(old_url) as answer:
            assert (answer.status, (await answer.json())["error"]) == (400, "RepoDeactivated")
        found = read(await fetched(url_of(network, did)))
        assert signed(found, key_of(network, did))
        assert key_of(network, did) != old_key


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("deactivated", "RepoDeactivated"),
        ("suspended", "RepoSuspended"),
        ("takendown", "RepoTakendown"),
        ("deleted", "RepoNotFound"),
    ],
)
async def test_who_is_inactive_has_no_repository_to_give(status: str, error: str) -> None:
    async with hosted(Settings(accounts=3, history=20), 20) as network, aiohttp.ClientSession() as session:
        did = network.ledger.did(1)
        network.ledger.note(AccountTruth(2_000_000, did, "2026-07-01T00:00:00.000Z", active=False, status=status))
        async with session.get(url_of(network, did)) as answer:
            assert (answer.status, (await answer.json())["error"]) == (400, error)


async def test_a_generator_without_the_archive_is_said() -> None:
    settings = Settings(accounts=3, history=20)
    ledger = Ledger(settings)
    stream = list(ledger.noted(Generator(settings).stream(20)))
    async with Services(ledger) as services, aiohttp.ClientSession() as session:
        url = url_of(Network(settings, stream, ledger, services), stream[0].truth.did)
        async with session.get(url) as answer:
            assert answer.status == 501
            assert "archive" in await answer.text()


def test_old_commits_are_forgotten_and_the_stream_is_the_same_with_an_archive() -> None:
    settings = Settings(accounts=10, history=20, mix=Mix.awkward())
    ledger = Ledger(settings)
    stream = list(ledger.noted(Generator(settings, ledger.archive).stream(400)))
    assert [sent.frame for sent in stream] == [sent.frame for sent in Generator(settings).stream(400)]
    moves = Counter(sent.truth.did for sent in stream if isinstance(sent.truth, CommitTruth) and sent.truth.commit)
    assert sum(moves.values()) > 300
    assert len(ledger.archive) <= settings.accounts
