"""What the generator's frames hold, checked by other means than those that made them: CARs, hashes, signatures, inversion."""

import hashlib
from collections.abc import Iterator
from typing import Any, cast

import libipld
import pytest
from atproto_crypto.verify import verify_signature

from relay_simulator import keys, tree
from relay_simulator.encoding import cid_text, encode, to_json
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, Sent, SyncTruth

P256_PREFIX = "zDn"  # of a P-256 key in a DID document


def payload_of(frame: bytes) -> tuple[str, dict[str, Any]]:
    header, payload = cast("list[dict[str, Any]]", libipld.decode_dag_cbor_multi(frame))
    assert header["op"] == 1
    return header["t"], payload


def raw_blocks(car: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The blocks of a CAR as bytes, by a reader of the test's own."""

    def number(at: int) -> tuple[int, int]:
        result = shift = 0
        while True:
            byte = car[at]
            result |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return result, at

    length, at = number(0)
    at += length
    while at < len(car):
        length, at = number(at)
        yield car[at : at + 36], car[at + 36 : at + length]
        at += length


class Unseen(tree.Node):
    """A node of which only the CID is known: whoever looks inside fails the test."""

    def __init__(self, cid: bytes, layer: int) -> None:
        self.layer = layer
        self._cid = cid


def load(cid: bytes, blocks: dict[bytes, bytes], layer: int | None = None) -> tree.Node:
    """The tree under a CID as far as the blocks go."""
    if cid not in blocks:
        assert layer is not None, "the root itself must be there"
        return Unseen(cid, layer)
    node = libipld.decode_dag_cbor(blocks[cid])
    keys: list[bytes] = []
    for entry in node["e"]:
        keys.append((keys[-1] if keys else b"")[: entry["p"]] + entry["k"])
    if layer is None:
        layer = tree.layer_of(keys[0]) if keys else 0
    links = [node["l"], *(entry["t"] for entry in node["e"])]
    children = tuple(None if link is None else load(link, blocks, layer - 1) for link in links)
    return tree.Node(layer, tuple(keys), tuple(entry["v"] for entry in node["e"]), children)


def undone(root: tree.Node, ops: list[dict[str, Any]]) -> bytes:
    """The root's CID with the ops taken back, by the partial tree alone."""
    for op in reversed(ops):
        key = op["path"].encode()
        root = tree.remove(root, key) if op["action"] == "create" else tree.put(root, key, op["prev"])
    return root.cid


@pytest.mark.parametrize("cheap", [True, False])
def test_frames_say_what_their_truths_say(cheap: bool) -> None:
    generator = Generator(Settings(cheap=cheap, accounts=40, history=50, mix=Mix.awkward()))
    kinds = {CommitTruth: "#commit", SyncTruth: "#sync", IdentityTruth: "#identity", AccountTruth: "#account"}
    for sent in generator.stream(1_500):
        name, payload = payload_of(sent.frame)
        assert name == kinds[type(sent.truth)]
        for field, value in sent.truth._asdict().items():
            match field:
                case "did" if isinstance(sent.truth, CommitTruth):
                    assert payload["repo"] == value
                case "ops":
                    check_ops(payload, value)
                case "too_big":
                    assert payload["tooBig"] is value
                case "sound":
                    assert not (cheap and value)
                case "data":
                    check_data(payload, value)
                case "commit":
                    assert value in (None, root_of(payload))
                case "prev_data":
                    assert value == (cid_text(payload["prevData"]) if "prevData" in payload else None)
                case _:
                    assert payload.get(field) == value


def check_data(payload: dict[str, Any], cid: str | None) -> None:
    """The tree's root is the one that the commit block names."""
    if cid is None:
        assert not payload["blocks"]
    else:
        first = next(raw_blocks(payload["blocks"]))[1]
        assert cid_text(libipld.decode_dag_cbor(first)["data"]) == cid


def root_of(payload: dict[str, Any]) -> str:
    """The CID of the commit, which a #commit names and of which a #sync has the block only."""
    return cid_text(payload.get("commit") or next(raw_blocks(payload["blocks"]))[0])


def check_ops(payload: dict[str, Any], truths: tuple[Any, ...]) -> None:
    blocks = dict(raw_blocks(payload["blocks"])) if payload["blocks"] else {}
    for cid, block in blocks.items():
        assert cid == b"\x01\x71\x12\x20" + hashlib.sha256(block).digest()
    assert len(payload["ops"]) == len(truths)
    for op, truth in zip(payload["ops"], truths, strict=True):
        assert op["path"] == f"{truth.collection}/{truth.rkey}"
        assert op["action"] == truth.action
        assert (op["cid"] is None) == (truth.action == "delete")
        if op["cid"] is not None:
            assert truth.cid == cid_text(op["cid"])
            block = blocks.get(op["cid"])
            assert (block is None) == (truth.fault == "block_missing")
            if block is not None and truth.fault is None:
                assert len(block) == truth.size
                value = libipld.decode_dag_cbor(block)
                assert to_json(value) == truth.record
                assert encode(value) == block


def tree_commits(mix: Mix, events: int) -> tuple[list[Sent], dict[str, dict[str, Any]]]:
    generator = Generator(Settings(accounts=32, history=120, mix=mix))
    return list(generator.stream(events)), generator.did_documents()


@pytest.mark.parametrize("mix", [Mix.realistic(), Mix.awkward()])
def test_signatures_verify_by_the_did_documents(mix: Mix) -> None:
    stream, documents = tree_commits(mix, 300)
    curves: set[bool] = set()
    for sent in stream:
        _, payload = payload_of(sent.frame)
        if not payload.get("blocks"):
            continue
        header, _ = (
            libipld.decode_car(payload["blocks"]) if isinstance(sent.truth, SyncTruth) else ({"roots": [payload["commit"]]}, 0)
        )
        commit = libipld.decode_dag_cbor(dict(raw_blocks(payload["blocks"]))[header["roots"][0]])
        signature = commit.pop("sig")
        assert commit["did"] == sent.truth.did
        assert commit["rev"] == payload["rev"]
        assert commit["version"] == 3
        method = documents[sent.truth.did]["verificationMethod"][0]
        multibase = method["publicKeyMultibase"]
        curves.add(multibase.startswith(P256_PREFIX))
        assert verify_signature(f"did:key:{multibase}", encode(commit), signature)
        assert not verify_signature(f"did:key:{multibase}", encode({**commit, "rev": "3" * 13}), signature)
    assert curves == {True, False}


@pytest.mark.parametrize("mix", [Mix.realistic(), Mix.awkward(), Mix(several=200, delete=60, update=20, like=20)])
def test_sound_commits_follow_from_one_another(mix: Mix) -> None:
    """Undoing a commit's ops in the partial tree that it carries gives the root of the commit before."""
    stream, _ = tree_commits(mix, 500)
    revs: dict[str, str] = {}
    data: dict[str, bytes] = {}
    sound = several = 0
    for truth, payload in first_sent_commits(stream):
        blocks = dict(raw_blocks(payload["blocks"]))
        root = load(libipld.decode_dag_cbor(blocks[payload["commit"]])["data"], blocks)
        before = data.pop(truth.did, payload["prevData"])  # not known where the last commit was not sound
        if truth.sound:
            assert truth.since is not None
            assert revs.get(truth.did, "") <= truth.since < truth.rev
            assert payload["prevData"] == before
            assert undone(root, payload["ops"]) == before
            revs[truth.did], data[truth.did] = truth.rev, root.cid
            sound += 1
            several += len(truth.ops) > 1
    assert sound > 300
    assert several > (0 if mix == Mix.realistic() else 5)


def first_sent_commits(stream: list[Sent]) -> Iterator[tuple[CommitTruth, dict[str, Any]]]:
    """The commits with blocks, without repetitions."""
    seqs: set[int] = set()
    for sent in stream:
        if isinstance(sent.truth, CommitTruth) and sent.truth.seq not in seqs and not sent.truth.too_big:
            seqs.add(sent.truth.seq)
            yield sent.truth, payload_of(sent.frame)[1]


def test_an_op_names_what_its_record_was() -> None:
    settings = Settings(accounts=32, history=120, mix=Mix(delete=50, update=20))
    stream = list(Generator(settings).stream(300))
    before: dict[tuple[str, str], bytes] = {}
    for number in range(settings.accounts):
        did = keys.did(settings.seed, number)
        for node, place in tree.walk(settings.past.history(number).root):
            if place is not None:
                before[did, node.keys[place].decode()] = node.values[place]
    told = 0
    for truth, payload in first_sent_commits(stream):
        for op in payload["ops"]:
            if op["action"] != "create":
                assert op["prev"] == before[truth.did, op["path"]]
                told += 1
            else:
                assert "prev" not in op
            before[truth.did, op["path"]] = op["cid"]
    assert told > 50
