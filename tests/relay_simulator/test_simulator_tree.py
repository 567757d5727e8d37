"""The Merkle search tree, against itself built anew and against the protocol's official vectors."""

import json
from pathlib import Path
from typing import Any

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_simulator import tree
from relay_simulator.encoding import CID_DAG_CBOR, cid_of, cid_text, encode
from relay_simulator.tree import EMPTY, Node

INTEROP = Path(__file__).parents[2] / "../shared/data/interop"
needs_vectors = pytest.mark.skipif(not INTEROP.exists(), reason="the official test vectors are not here")

# Few, so that edits meet; some of high layers (one key in 256 is on layer 4), so that roots come and go, with neighbours on
# either hand, so that what they split has two sides.
ALL_KEYS = [f"app.bsky.feed.post/{number:04d}".encode() for number in range(1_000)]
HIGH = sorted(range(3, 997), key=lambda number: tree.layer_of(ALL_KEYS[number]), reverse=True)[:4]
KEYS = st.sampled_from([ALL_KEYS[number + step] for number in HIGH for step in range(-3, 4)])
EDITS = st.lists(st.tuples(KEYS, st.booleans()), max_size=60)


def value(number: int) -> bytes:
    return CID_DAG_CBOR + number.to_bytes(32, "big")


def vectors(name: str) -> Any:
    return json.loads((INTEROP / name).read_text())


def depths(node: Node) -> set[int]:
    """Each child must stand one layer below; returns the layers of the keys found wrong."""
    wrong = {layer for layer in map(tree.layer_of, node.keys) if layer != node.layer}
    for child in node.children:
        if child is not None:
            wrong |= {child.layer} if child.layer != node.layer - 1 else depths(child)
    return wrong


@settings(max_examples=200, deadline=None)
@given(st.sets(KEYS) | st.sets(KEYS, min_size=14), EDITS)
def test_any_sequence_of_edits_ends_at_the_tree_of_what_is_left(first: set[bytes], edits: list[tuple[bytes, bool]]) -> None:
    entries = {key: value(0) for key in first}
    root = tree.build(sorted(entries.items()))
    for number, (key, keep) in enumerate(edits):
        if keep:
            entries[key] = value(number)
            root = tree.put(root, key, value(number))
        elif key in entries:
            del entries[key]
            root = tree.remove(root, key)
        assert tree.find(root, key) == entries.get(key)
    assert root.cid == tree.build(sorted(entries.items())).cid
    assert not depths(root)


def test_the_empty_tree() -> None:
    root = tree.remove(tree.put(EMPTY, b"a/b", value(1)), b"a/b")
    assert root is EMPTY
    assert libipld.decode_dag_cbor(root.block) == {"l": None, "e": []}
    with pytest.raises(KeyError):
        tree.remove(EMPTY, b"a/b")


def test_a_node_is_encoded_with_shared_prefixes_and_links() -> None:
    root = tree.build([(b"coll/aaa2", value(1)), (b"coll/aab0", value(2))])
    assert [tree.layer_of(key) for key in root.keys] == [0, 0]
    assert libipld.decode_dag_cbor(root.block) == {
        "l": None,
        "e": [{"p": 0, "k": b"coll/aaa2", "v": value(1), "t": None}, {"p": 7, "k": b"b0", "v": value(2), "t": None}],
    }
    assert root.cid == cid_of(encode(libipld.decode_dag_cbor(root.block)))


@needs_vectors
def test_official_key_heights() -> None:
    for case in vectors("mst/key_heights.json"):
        assert tree.layer_of(case["key"].encode()) == case["height"], case["key"]


@needs_vectors
def test_official_common_prefixes() -> None:
    for case in vectors("mst/common_prefix.json"):
        assert tree.shared_prefix(case["left"].encode(), case["right"].encode()) == case["len"], case


@needs_vectors
def test_official_example_keys_stand_on_the_layer_that_they_name() -> None:
    keys = (INTEROP / "mst/example_keys.txt").read_text().split()
    assert len(keys) == 156
    for key in keys:
        assert tree.layer_of(key.encode()) == int(key[1])


@needs_vectors
def test_official_commit_proofs() -> None:
    cases = vectors("firehose/commit-proof-fixtures.json")
    assert len(cases) == 6
    for case in cases:
        leaf = CID_DAG_CBOR + libipld.decode_cid(case["leafValue"])["hash"]["digest"]
        root = tree.build([(key.encode(), leaf) for key in sorted(case["keys"])])
        assert cid_text(root.cid) == case["rootBeforeCommit"], case["comment"]
        for key in case["adds"]:
            root = tree.put(root, key.encode(), leaf)
        for key in case["dels"]:
            root = tree.remove(root, key.encode())
        assert cid_text(root.cid) == case["rootAfterCommit"], case["comment"]
        shown = {cid_text(node.cid) for key in [*case["adds"], *case["dels"]] for node in tree.proof(root, key.encode())}
        assert shown >= set(case["blocksInProof"]), case["comment"]
