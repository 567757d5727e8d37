from typing import Any

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import Rejected
from indexer.protocol import car, mst
from indexer.protocol.mst import Change
from testing.frames import cid_of, encode, needs_recorded, needs_vectors, recorded, vector, vector_lines

VALUE = cid_of(b"value")
OTHER = cid_of(b"other")
KEYS = [f"app.bsky.feed.like/{n:05d}".encode() for n in range(200)]


def whole(keys: list[bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    return mst.build(dict.fromkeys(keys, VALUE))


def reason_of(root: bytes, blocks: dict[bytes, bytes], changes: list[Change]) -> str:
    with pytest.raises(Rejected) as caught:
        mst.invert(root, blocks, changes)
    return caught.value.reason


@needs_vectors
def test_official_layers_and_prefixes() -> None:
    for case in vector("mst/key_heights.json"):
        assert mst.layer_of(case["key"].encode()) == case["height"]
    for key in vector_lines("mst/example_keys.txt"):
        assert mst.layer_of(key.encode()) == int(key[1])
    for case in vector("mst/common_prefix.json"):
        assert mst.shared_prefix(case["left"].encode(), case["right"].encode()) == case["len"]


@needs_vectors
def test_official_commit_proofs() -> None:
    for case in vector("firehose/commit-proof-fixtures.json"):
        value = libipld.decode_multibase(case["leafValue"])[1]
        before = [key.encode() for key in case["keys"]]
        adds, removals = [key.encode() for key in case["adds"]], [key.encode() for key in case["dels"]]
        after = sorted({*before, *adds} - {*removals})
        root_before, _ = mst.build(dict.fromkeys(before, value))
        root_after, blocks = mst.build(dict.fromkeys(after, value))
        assert libipld.encode_cid(root_before) == case["rootBeforeCommit"], case["comment"]
        assert libipld.encode_cid(root_after) == case["rootAfterCommit"], case["comment"]
        proof = {cid: block for cid, block in blocks.items() if libipld.encode_cid(cid) in case["blocksInProof"]}
        changes = [Change(key, value, None) for key in adds] + [Change(key, None, value) for key in removals]
        assert mst.invert(root_after, proof, changes) == root_before, case["comment"]


@needs_recorded
def test_recorded_commits_invert_to_their_prev_data() -> None:
    for frame in recorded("real_frames/frames.bin"):
        fields: Any = libipld.decode_dag_cbor_multi(frame)[1]
        _, blocks = car.split(fields["blocks"])
        data: bytes = libipld.decode_dag_cbor(blocks[fields["commit"]])["data"]
        changes = [Change(op["path"].encode(), op["cid"], op.get("prev")) for op in fields["ops"]]
        assert mst.invert(data, blocks, changes) == fields["prevData"]
        for change in changes:
            assert mst.find(data, blocks, change.key) == change.cid


def test_the_empty_tree_is_one_node() -> None:
    root, blocks = whole([])
    assert blocks == {root: encode({"l": None, "e": []})}
    assert mst.find(root, blocks, b"a/b") is None
    assert mst.invert(*whole([KEYS[0]]), [Change(KEYS[0], VALUE, None)]) == root
    assert mst.invert(root, blocks, [Change(KEYS[0], None, VALUE)]) == whole([KEYS[0]])[0]


keys = st.lists(st.sampled_from(KEYS), unique=True, max_size=60)


@settings(max_examples=100, deadline=None)
@given(keys, st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["create", "update", "delete"]), max_size=8))
def test_undoing_ops_gives_the_tree_of_before(before: list[bytes], ops: dict[bytes, str]) -> None:
    records = dict.fromkeys(before, VALUE)
    after, changes = dict(records), list[Change]()
    for key, action in ops.items():
        if action == "delete" and key in records:
            changes.append(Change(key, None, after.pop(key)))
        elif action == "update" and key in records:
            after[key] = OTHER
            changes.append(Change(key, OTHER, VALUE))
        elif action == "create" and key not in records:
            after[key] = VALUE
            changes.append(Change(key, VALUE, None))
    root, blocks = mst.build(after)
    assert mst.invert(root, blocks, changes) == mst.build(records)[0]
    assert all(mst.find(root, blocks, key) == after.get(key) for key in KEYS[::7])


def test_ops_that_the_tree_does_not_show_are_refused() -> None:
    root, blocks = whole(KEYS[:50])
    assert reason_of(root, blocks, [Change(KEYS[60], VALUE, None)]) == "op_not_in_tree"
    assert reason_of(root, blocks, [Change(KEYS[10], OTHER, None)]) == "op_not_in_tree"
    for key in KEYS[:50]:
        assert reason_of(root, blocks, [Change(key, None, VALUE)]) == "op_not_in_tree"


def test_missing_nodes_are_told() -> None:
    root, blocks = whole(KEYS)
    assert reason_of(b"no CID", {}, []) == "missing_tree_block"
    assert reason_of(root, {}, []) == "missing_tree_block"
    assert reason_of(root, {root: blocks[root]}, [Change(KEYS[1], VALUE, None)]) == "missing_tree_block"


NO_NODES: list[Any] = [
    [],
    {},
    {"e": [], "l": 5},
    {"e": [], "l": VALUE[:10]},
    {"e": [], "l": b"\x12\x20" + bytes(32)},
    {"e": [{"p": 0, "k": KEYS[0], "v": VALUE, "t": VALUE[:-1]}], "l": None},
    {"e": [{"p": 0, "k": KEYS[0], "v": b"", "t": None}], "l": None},
    {"e": [{}], "l": None},
    {"e": [{"p": 0, "k": KEYS[0], "v": "x", "t": None}], "l": None},
    {"e": [{"p": 1, "k": KEYS[0], "v": VALUE, "t": None}], "l": None},
    {"e": [{"p": 0, "k": "text", "v": VALUE, "t": None}], "l": None},
    {"e": [{"p": 0, "k": key, "v": VALUE, "t": None} for key in (KEYS[1], KEYS[0])], "l": None},
    {"e": [{"p": 0, "k": key, "v": VALUE, "t": None} for key in (b"88bfafc7", b"asdf")], "l": None},  # layers 2 and 0
]


@pytest.mark.parametrize("node", NO_NODES)
def test_blocks_that_are_no_nodes_are_refused(node: Any) -> None:
    block = encode(node)
    assert reason_of(cid_of(block), {cid_of(block): block}, []) == "bad_tree"


def test_a_chain_of_empty_nodes_ends_at_the_lowest_layer() -> None:
    block = encode({"l": None, "e": [{"p": 0, "k": KEYS[0], "v": VALUE, "t": None}]})
    blocks = {cid_of(block): block}
    for _ in range(5000):
        block = encode({"l": cid_of(block), "e": []})
        blocks[cid_of(block)] = block
    with pytest.raises(Rejected, match="bad_tree"):
        mst.find(cid_of(block), blocks, KEYS[3])
