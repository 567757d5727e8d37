"""Whole repos that are not what their account signed, or not all of it: each fault has its name, and nothing comes out."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_simulator.encoding import car_section, tid
from testing import search_tree
from testing.frames import car as car_with_roots
from testing.frames import cid_of, encode, section, varint
from testing.signed import START
from testing.whole_repos import NOW, OWNER, Account, Made, TemporaryFile, made, read
from unified_indexer.protocol.mst_node import layer_of, shared_prefix
from unified_indexer.protocol.repo import RepoReader
from unified_indexer.protocol.repo_failures import RepoError, RepoFailure

KEYS = [f"app.bsky.feed.like/3k{n:05d}".encode() for n in range(200)]
LAYERS = {key: layer_of(key) for key in KEYS}
RECORDS = {key: encode({"$type": "app.bsky.feed.like", "n": key.decode()}) for key in KEYS}
SOUND = made(RECORDS)
CAR = SOUND.car()
VALUE = cid_of(b"\xa0")


def failure_of(data: bytes, *, pieces: int = 65_536, account: Account = OWNER) -> RepoFailure:
    with pytest.raises(RepoError) as caught:
        read(data, pieces=pieces, key=account.key)
    assert caught.value.reason == caught.value.failure
    assert TemporaryFile.open_files == 0
    return caught.value.failure


def without(*cids: bytes) -> bytes:
    return SOUND.car([block for block in SOUND.blocks() if block[0] not in cids])


def edges() -> list[int]:
    """Where the sections of CAR end."""
    at, found = len(CAR) - sum(len(car_section(*block)) for block in SOUND.blocks()), list[int]()
    for block in SOUND.blocks():
        at += len(car_section(*block))
        found.append(at)
    return found


def test_cut_anywhere_it_is_never_taken_for_whole() -> None:
    ends = edges()
    assert ends[-1] == len(CAR)
    for at in {*range(400), *ends[:-1], *(end + 1 for end in ends[:-1]), *range(len(CAR) - 300, len(CAR))}:
        expected = RepoFailure.MISSING_BLOCK if at in ends or at == 59 else RepoFailure.TRUNCATED
        assert failure_of(CAR[:at], pieces=1000) is expected, at


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SOUND.blocks()))
def test_without_any_of_its_blocks_it_is_incomplete(block: tuple[bytes, bytes]) -> None:
    failure = failure_of(without(block[0]))
    assert failure is RepoFailure.MISSING_BLOCK
    assert failure.incomplete


@settings(max_examples=300, deadline=None)
@given(st.integers(59, len(CAR) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_seen(at: int, bit: int) -> None:
    failure_of(CAR[:at] + bytes([CAR[at] ^ 1 << bit]) + CAR[at + 1 :])


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_block_that_is_not_its_cid(at: int) -> None:
    blocks = SOUND.blocks()
    blocks[at] = (blocks[at][0], blocks[at][1][:-1] + b"\x00")
    assert failure_of(SOUND.car(blocks)) is RepoFailure.BLOCK_HASH_MISMATCH


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b"<!doctype html><html><body>" + b"Bad gateway " * 20, RepoFailure.BAD_CAR),
        (b"<html>", RepoFailure.BAD_CAR),
        (b'{"error": "RepoNotFound", "message": "no such repo"}', RepoFailure.BAD_CAR),
        (b"\x0a\xa1\x67version\x02" + bytes(100), RepoFailure.BAD_CAR),  # a CAR of version 2
        (b"\xff\xff\xff\xff\xff", RepoFailure.BAD_CAR),
        (b"\xff\x7f" + bytes(100), RepoFailure.BAD_CAR),
        (b"", RepoFailure.TRUNCATED),
        (CAR[:20], RepoFailure.TRUNCATED),
        (car_with_roots([], []), RepoFailure.NO_ROOT),
        (car_with_roots([VALUE, VALUE], []), RepoFailure.SEVERAL_ROOTS),
        (CAR + b"\x00", RepoFailure.UNSUPPORTED_CID),
        (CAR + varint(36) + b"\x01\x70\x12\x20" + bytes(32), RepoFailure.UNSUPPORTED_CID),
        (CAR + section(b"\x01\x55\x12\x20" + bytes(32), b"no blob of that hash"), RepoFailure.BLOCK_HASH_MISMATCH),
        (CAR + b"\xff\xff\xff\xff\x01", RepoFailure.BAD_CAR),
        (CAR + varint(2**27), RepoFailure.TOO_LARGE),
    ],
)
def test_what_is_no_car_or_another(data: bytes, failure: RepoFailure) -> None:
    for pieces in (1, 65_536):
        assert failure_of(data, pieces=pieces) is failure


def with_commit(block: bytes) -> bytes:
    return Made(RECORDS, SOUND.root, SOUND.nodes, block).car()


def commit(**fields: Any) -> bytes:
    value = {"did": OWNER.did, "version": 3, "rev": tid(START, 1), "prev": None, "data": SOUND.root, "sig": bytes(64)}
    return encode({name: field for name, field in (value | fields).items() if field != "absent"})


@pytest.mark.parametrize(
    ("block", "failure"),
    [
        (b"\xff", RepoFailure.BAD_COMMIT_BLOCK),
        (encode([]), RepoFailure.BAD_COMMIT_BLOCK),
        (commit(version=2), RepoFailure.UNSUPPORTED_REPO_VERSION),
        (commit(version="absent"), RepoFailure.UNSUPPORTED_REPO_VERSION),
        (commit(sig="absent"), RepoFailure.BAD_SIGNATURE),
        (commit(sig=bytes(63)), RepoFailure.BAD_SIGNATURE),
        (commit(did="did:plc:another"), RepoFailure.DID_MISMATCH),
        (commit(did=7), RepoFailure.DID_MISMATCH),
        (commit(rev="absent"), RepoFailure.BAD_REV),
        (commit(rev="zzzzzzzzzzzzz"), RepoFailure.BAD_REV),
        (commit(data=None), RepoFailure.BAD_COMMIT_BLOCK),
        (commit(data=b"\x01\x55\x12\x20" + bytes(32)), RepoFailure.BAD_COMMIT_BLOCK),
        (commit(), RepoFailure.BAD_SIGNATURE),
    ],
)
def test_a_commit_that_is_none_of_this_account(block: bytes, failure: RepoFailure) -> None:
    assert failure_of(with_commit(block)) is failure


def test_another_did_is_seen_before_the_rest_has_come() -> None:
    data = made(RECORDS, did="did:plc:another").car()
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    with pytest.raises(RepoError) as caught:
        reader.feed(data[:400])
    assert caught.value.failure is RepoFailure.DID_MISMATCH


def test_the_key_of_another_account_or_of_another_curve() -> None:
    for number in (1, 15):
        assert failure_of(CAR, account=Account(number)) is RepoFailure.BAD_SIGNATURE


@pytest.mark.parametrize(("minutes", "fails"), [(4, False), (6, True), (10**6, True)])
def test_a_rev_may_be_five_minutes_ahead(minutes: int, fails: bool) -> None:
    """One from the future would have all later commits taken for old ones."""
    data = made(RECORDS, rev=tid(START + minutes * 60_000_000, 1)).car()
    if fails:
        assert failure_of(data) is RepoFailure.REV_IN_FUTURE
    else:
        read(data).close()


def layers(**changed: int) -> Callable[[bytes], int]:
    return lambda key: changed.get(key.decode(), LAYERS[key])


def forged(tree: tuple[bytes, dict[bytes, bytes]]) -> RepoFailure:
    return failure_of(made(RECORDS, tree=tree).car())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KEYS), st.integers(-3, 4))
def test_a_key_on_another_layer(key: bytes, up: int) -> None:
    layer = max(0, LAYERS[key] + (up or 1))
    tree = search_tree.build(
        {key: cid_of(block) for key, block in RECORDS.items()}, layer=lambda one: layer if one == key else LAYERS[one]
    )
    assert tree[0] == SOUND.root or forged(tree) is RepoFailure.BAD_TREE


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 199), st.integers(0, 199))
def test_keys_out_of_order(one: int, other: int) -> None:
    order = list(KEYS)
    order.insert(other, order.pop(one))
    tree = search_tree.build({key: cid_of(block) for key, block in RECORDS.items()}, order=order)
    assert tree[0] == SOUND.root or forged(tree) is RepoFailure.BAD_TREE


def entry(key: bytes, shared: int = 0, value: Any = None, child: Any = None, **more: Any) -> dict[str, Any]:
    return {"p": shared, "k": key[shared:], "v": value or cid_of(RECORDS[KEYS[0]]), "t": child, **more}


LOW = [key for key in KEYS if LAYERS[key] == 0]
HIGH = next(key for key in KEYS if LAYERS[key] == 2)
SHARED = shared_prefix(LOW[0], LOW[1])
ROOTS: dict[str, Any] = {
    "no node": [],
    "no node, a number": 7,
    "another field": {"l": None, "e": [], "x": 1},
    "no first child": {"e": []},
    "entries that are none": {"l": None, "e": {}},
    "an entry that is none": {"l": None, "e": [7]},
    "a root without keys": {"l": VALUE, "e": []},
    "an entry of five fields": {"l": None, "e": [entry(LOW[0], x=1)]},
    "an entry without a child": {"l": None, "e": [{"p": 0, "k": LOW[0], "v": VALUE}]},
    "a first key that shares a prefix": {"l": None, "e": [{**entry(LOW[0]), "p": 3}]},
    "a prefix that is true": {"l": None, "e": [{**entry(LOW[0]), "p": False}]},
    "a prefix below zero": {"l": None, "e": [entry(LOW[0]), {**entry(LOW[1]), "p": -1}]},
    "a prefix longer than the key": {"l": None, "e": [entry(LOW[0]), {**entry(LOW[1]), "p": 99}]},
    "a prefix that is not all they share": {"l": None, "e": [entry(LOW[0]), entry(LOW[1], SHARED - 1)]},
    "one key twice": {"l": None, "e": [entry(LOW[0]), {**entry(LOW[0]), "p": len(LOW[0]), "k": b""}]},
    "a key that is a text": {"l": None, "e": [{**entry(LOW[0]), "k": LOW[0].decode()}]},
    "an empty key": {"l": None, "e": [{**entry(LOW[0]), "k": b""}]},
    "a value that is none": {"l": None, "e": [{**entry(LOW[0]), "v": None}]},
    "a value that is a map": {"l": None, "e": [{**entry(LOW[0]), "v": {}}]},
    "a value that is a blob": {"l": None, "e": [{**entry(LOW[0]), "v": b"\x01\x55\x12\x20" + bytes(32)}]},
    "a child that is a text": {"l": None, "e": [entry(HIGH, child="bafy")]},
    "a child below the lowest layer": {"l": None, "e": [entry(LOW[0], child=SOUND.root)]},
    "a child that is a record": {"l": cid_of(RECORDS[KEYS[0]]), "e": [entry(HIGH)]},
    "a child with nothing in it": {"l": cid_of(encode({"l": None, "e": []})), "e": [entry(HIGH)]},
    "a key of more than 1 kB": {"l": None, "e": [entry(next(b"%d" % n + b"k" * 1024 for n in range(99)))]},
}


@pytest.mark.parametrize("name", ROOTS)
def test_what_is_no_node(name: str) -> None:
    root, empty = encode(ROOTS[name]), encode({"l": None, "e": []})
    nodes = {cid_of(block): block for block in (root, empty, *SOUND.nodes.values())}
    assert forged((cid_of(root), nodes)) is RepoFailure.BAD_TREE


@pytest.mark.parametrize(("deep", "failure"), [(1, RepoFailure.MISSING_BLOCK), (2, RepoFailure.BAD_TREE)])
def test_no_chain_of_nodes_is_longer_than_there_are_layers(deep: int, failure: RepoFailure) -> None:
    """Nodes without keys, one below the other, the last of which is absent: it is looked for on layer 0, and not below."""
    nodes = [encode({"l": VALUE, "e": []})]
    while len(nodes) < deep:
        nodes.append(encode({"l": cid_of(nodes[-1]), "e": []}))
    root = encode({"l": cid_of(nodes[-1]), "e": [entry(HIGH)]})
    assert forged((cid_of(root), {cid_of(block): block for block in (root, *nodes)})) is failure


def test_a_node_in_two_places() -> None:
    """Its keys don't rise the second time."""
    child = encode({"l": None, "e": [entry(KEYS[0] if LAYERS[KEYS[0]] == 0 else LOW[0])]})
    high = [key for key in KEYS[50:] if LAYERS[key] == 1][:2]
    shared = shared_prefix(*high)
    root = encode({"l": cid_of(child), "e": [entry(high[0], child=cid_of(child)), entry(high[1], shared)]})
    assert forged((cid_of(root), {cid_of(block): block for block in (root, child)})) is RepoFailure.BAD_TREE


def test_a_record_of_the_car_is_no_proof_of_another() -> None:
    """Of a record that is not there only the last byte of its CID differs from one that is."""
    cids = {key: cid_of(block) for key, block in RECORDS.items()}
    cids[KEYS[7]] = cids[KEYS[8]][:-1] + bytes([cids[KEYS[8]][-1] ^ 1])
    assert forged(search_tree.build(cids)) is RepoFailure.MISSING_BLOCK


def test_which_failures_may_heal_by_themselves() -> None:
    healing = {failure.value for failure in RepoFailure if failure.incomplete}
    assert healing == {"truncated", "missing_block", "block_hash_mismatch"}
