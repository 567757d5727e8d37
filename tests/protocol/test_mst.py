from typing import Any, NamedTuple

import libipld
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from relay_simulator import tree
from testing import search_tree
from testing.frames import cid_of, encode, needs_recorded, needs_vectors, recorded, vector, vector_lines
from unified_indexer.errors import Rejected
from unified_indexer.protocol import car, mst, mst_node
from unified_indexer.protocol.mst import Change, PartialTree

VALUE = cid_of(b"value")
OTHER = cid_of(b"other")
KEYS = [f"app.bsky.feed.like/{n:05d}".encode() for n in range(200)]


def whole(keys: list[bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    return search_tree.build(dict.fromkeys(keys, VALUE))


def find(root: bytes, blocks: dict[bytes, bytes], key: bytes) -> bytes | None:
    return PartialTree(root, blocks).find(key)


def reason_of(root: bytes, blocks: dict[bytes, bytes], changes: list[Change]) -> str:
    with pytest.raises(Rejected) as caught:
        mst.invert(root, blocks, changes)
    return caught.value.reason


@needs_vectors
def test_official_layers_and_prefixes() -> None:
    for case in vector("mst/key_heights.json"):
        assert mst_node.layer_of(case["key"].encode()) == case["height"]
    for key in vector_lines("mst/example_keys.txt"):
        assert mst_node.layer_of(key.encode()) == int(key[1])
    for case in vector("mst/common_prefix.json"):
        assert mst_node.shared_prefix(case["left"].encode(), case["right"].encode()) == case["len"]


@needs_vectors
def test_official_commit_proofs() -> None:
    for case in vector("firehose/commit-proof-fixtures.json"):
        value = libipld.decode_multibase(case["leafValue"])[1]
        before = [key.encode() for key in case["keys"]]
        adds, removals = [key.encode() for key in case["adds"]], [key.encode() for key in case["dels"]]
        after = sorted({*before, *adds} - {*removals})
        root_before, _ = search_tree.build(dict.fromkeys(before, value))
        root_after, blocks = search_tree.build(dict.fromkeys(after, value))
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
            assert find(data, blocks, change.key) == change.cid


def test_the_empty_tree_is_one_node() -> None:
    root, blocks = whole([])
    assert blocks == {root: encode({"l": None, "e": []})}
    assert find(root, blocks, b"a/b") is None
    assert mst.invert(*whole([KEYS[0]]), [Change(KEYS[0], VALUE, None)]) == root
    assert mst.invert(root, blocks, [Change(KEYS[0], None, VALUE)]) == whole([KEYS[0]])[0]


class Story(NamedTuple):
    """Records before and after some ops, and the ops."""

    before: dict[bytes, bytes]
    after: dict[bytes, bytes]
    changes: list[Change]


# Keys of several collections and lengths; some of high layers, so that roots come and go.
ALL_KEYS = sorted([*KEYS, *(f"app.bsky.graph.follow/3k{n:x}".encode() for n in range(200)), *map(b"a/%d".__mod__, range(100))])
HIGH = sorted(ALL_KEYS, key=mst_node.layer_of)[-12:]
some_keys = st.sampled_from(ALL_KEYS) | st.sampled_from(HIGH)


@st.composite
def stories(draw: st.DrawFn, *, ops: int = 12) -> Story:
    before = dict.fromkeys(draw(st.lists(some_keys, max_size=120)), VALUE)
    after, changes = dict(before), list[Change]()
    for key in draw(st.lists(some_keys | st.sampled_from(sorted(before) or ALL_KEYS), unique=True, min_size=1, max_size=ops)):
        previous = after.pop(key, None)
        cid = OTHER if previous is None or draw(st.booleans()) else None
        if cid is not None:
            after[key] = cid
        changes.append(Change(key, cid, previous))
    return Story(before, after, changes)


def shown_by_a_server(records: dict[bytes, bytes], changes: list[Change]) -> tuple[bytes, dict[bytes, bytes]]:
    """The root, and the nodes that a commit with these ops would carry, by the simulator's own tree."""
    root = tree.build(sorted(records.items()))
    return root.cid, {node.cid: node.block for change in changes for node in tree.proof(root, change.key)}


@settings(max_examples=100, deadline=None)
@given(stories())
def test_undoing_ops_gives_the_tree_of_before(story: Story) -> None:
    """Of the nodes that a commit carries, by the simulator's tree; and of the whole tree, by the slow one."""
    before = tree.build(sorted(story.before.items())).cid
    assert mst.invert(*shown_by_a_server(story.after, story.changes), story.changes) == before
    root, blocks = search_tree.build(story.after)
    assert mst.invert(root, blocks, story.changes) == before == search_tree.invert(root, blocks, story.changes)
    assert all(find(root, blocks, key) == story.after.get(key) for key in [*ALL_KEYS[::17], *HIGH, *story.after])


@settings(max_examples=100, deadline=None)
@given(stories(), st.data())
def test_with_nodes_left_out_it_is_the_right_tree_or_none(story: Story, data: st.DataObject) -> None:
    root, blocks = shown_by_a_server(story.after, story.changes)
    kept = data.draw(st.sets(st.sampled_from(sorted(blocks)))) if blocks else set[bytes]()
    before = search_tree.build(story.before)[0]
    assert outcome(root, {cid: blocks[cid] for cid in kept}, story.changes) in (before, "missing_tree_block")


def outcome(root: bytes, blocks: dict[bytes, bytes], changes: list[Change]) -> bytes | str:
    try:
        return mst.invert(root, blocks, changes)
    except Rejected as rejected:
        return rejected.reason


def passes(story: Story, root: bytes, blocks: dict[bytes, bytes], changes: list[Change]) -> bool:
    found = outcome(root, blocks, changes)
    assert isinstance(found, bytes) or found in ("bad_tree", "op_not_in_tree", "deleted_still_there")
    return found == search_tree.build(story.before)[0]


@settings(max_examples=120, deadline=None)
@given(stories(ops=4), st.data())
def test_a_tree_that_is_built_wrong_around_an_op_never_passes(story: Story, data: st.DataObject) -> None:
    """The key of an op on another layer, alone in a root of its own too; or at another place in the order."""
    change = data.draw(st.sampled_from(story.changes))
    if data.draw(st.booleans()):
        up = data.draw(st.integers(-3, 4))
        forged = search_tree.build(
            story.after, layer=lambda key: max(0, mst_node.layer_of(key) + (up if key == change.key else 0))
        )
    else:
        order = [key for key in sorted(story.after) if key != change.key]
        order.insert(data.draw(st.integers(0, len(order))), change.key)
        forged = search_tree.build(story.after, order=order) if change.key in story.after else search_tree.build(story.after)
    assume(forged[0] != search_tree.build(story.after)[0])
    assert not passes(story, *forged, story.changes)


@settings(max_examples=120, deadline=None)
@given(stories(), st.data())
def test_ops_that_are_not_what_happened_never_pass(story: Story, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(story.changes) - 1))
    change = story.changes[number]
    others = [key for key in ALL_KEYS if key not in story.before and key not in story.after]
    untouched = [key for key in story.after if story.before.get(key) == story.after[key]]
    lies: dict[str, list[Change]] = {
        "hidden": [],
        "another record": [change._replace(cid=cid_of(b"false"))],
        "another before": [change._replace(previous=cid_of(b"false"))],
        "twice": [change, change],
        "deleted, never there": [change, Change(others[number], None, VALUE)],
        "created, never there": [change, Change(others[number], VALUE, None)],
    }
    if untouched:
        key = data.draw(st.sampled_from(sorted(untouched)))
        lies["created, was there before"] = [change, Change(key, VALUE, None)]
        lies["updated, was the same before"] = [change, Change(key, VALUE, OTHER)]
        lies["deleted, still there"] = [change, Change(key, None, VALUE)]
    if change.previous is None:
        lies["a create told as an update"] = [change._replace(previous=VALUE)]
    elif change.cid is not None:
        lies["an update told as a create"] = [change._replace(previous=None)]
    for name, told in lies.items():
        changes = [*story.changes[:number], *told, *story.changes[number + 1 :]]
        assert not passes(story, *search_tree.build(story.after), changes), name


def test_an_update_to_what_was_there_proves_itself() -> None:
    """Inversion can't see it, so those who ask must refuse it: see proof.py."""
    root, blocks = whole(KEYS)
    assert mst.invert(root, blocks, [Change(KEYS[3], VALUE, VALUE)]) == root


@pytest.mark.parametrize(("rest", "shared"), [(KEYS[0], 0), (KEYS[4], 0), (b"", 24), (b"x", -1), (b"x", 999), (b"x", 30)])
def test_the_key_after_an_ops_key_must_follow_it(rest: bytes, shared: int) -> None:
    """Out of order, or with a prefix that is not all that they share."""
    block = encode({"l": None, "e": [entry(KEYS[2]), entry(rest, shared)]})
    assert outcome(cid_of(block), {cid_of(block): block}, [Change(KEYS[2], VALUE, None)]) == "bad_tree"


@pytest.mark.parametrize("above", [1, 2])
def test_keys_on_the_wrong_side_of_an_ops_key_are_seen_below_it(above: int) -> None:
    """The op's key on layer 2; before it, or after it, subtrees with one key from the other side."""
    middle = next(key for key in KEYS[50:] if mst_node.layer_of(key) == 2)
    place = KEYS.index(middle)
    low = [key for key in KEYS[place - 20 : place] if mst_node.layer_of(key) < above]
    high = [key for key in KEYS[place + 1 : place + 20] if mst_node.layer_of(key) < above]
    created = [Change(middle, VALUE, None)]
    for order in ([*low, middle], [middle, *high], [*low, middle, *high]):
        assert mst.invert(*whole(order), created) == whole([key for key in order if key != middle])[0]
        for place in range(len(order)):
            forged = [key for key in order if key != middle]
            forged.insert(place, middle)
            root, blocks = search_tree.build(dict.fromkeys(order, VALUE), order=forged)
            assert forged == order or outcome(root, blocks, created) == "bad_tree", forged


def test_a_key_on_another_layer_than_its_node_is_seen() -> None:
    for key in KEYS[40:60]:
        wrong = mst_node.layer_of(key) + 1
        root, blocks = search_tree.build(
            dict.fromkeys(KEYS, VALUE), layer=lambda one, key=key, wrong=wrong: wrong if one == key else mst_node.layer_of(one)
        )
        assert outcome(root, blocks, [Change(key, VALUE, None)]) == "bad_tree"
        assert outcome(root, blocks, [Change(key, OTHER, None)]) == "op_not_in_tree"


def test_a_record_with_the_cid_of_a_node_is_not_taken_for_the_node() -> None:
    """A node with one changed child is not encoded again, its child's CID is replaced: unless that stands there twice."""
    above = next(key for key in KEYS[50:] if mst_node.layer_of(key) == 1)
    low = [key for key in KEYS[KEYS.index(above) - 10 : KEYS.index(above)] if mst_node.layer_of(key) == 0]
    for key in low:
        child = search_tree.build(dict.fromkeys(low, VALUE))[0]
        root, blocks = search_tree.build({**dict.fromkeys(low, VALUE), above: child})
        before = search_tree.build({**dict.fromkeys(low, VALUE), above: child, key: OTHER})[0]
        assert mst.invert(root, blocks, [Change(key, VALUE, OTHER)]) == before


def test_a_key_alone_in_the_root_is_no_witness_for_itself() -> None:
    """The op's key stands above a tree whose layers don't fit: judged by that key alone, the root would be right."""
    key = next(key for key in HIGH if mst_node.layer_of(key) == 3)
    rest = [key for key in KEYS if mst_node.layer_of(key) < 2]
    root, blocks = search_tree.build(
        dict.fromkeys([*rest, key], VALUE), layer=lambda one: 2 if one == key else mst_node.layer_of(one)
    )
    before = whole(rest)[0]
    assert search_tree.invert(*search_tree.build(dict.fromkeys([*rest, key], VALUE)), [Change(key, VALUE, None)]) == before
    assert reason_of(root, blocks, [Change(key, VALUE, None)]) == "bad_tree"


def test_ops_that_the_tree_does_not_show_are_refused() -> None:
    root, blocks = whole(KEYS[:50])
    assert reason_of(root, blocks, [Change(KEYS[60], VALUE, None)]) == "op_not_in_tree"
    assert reason_of(root, blocks, [Change(KEYS[10], OTHER, None)]) == "op_not_in_tree"
    for key in KEYS[:50]:
        assert reason_of(root, blocks, [Change(key, None, VALUE)]) == "deleted_still_there"


def test_missing_nodes_are_told() -> None:
    root, blocks = whole(KEYS)
    created = [Change(KEYS[1], VALUE, None)]
    assert reason_of(root, {}, created) == "missing_tree_block"
    assert reason_of(root, {root: blocks[root]}, created) == "missing_tree_block"
    assert mst.invert(root, {}, []) == root


def entry(key: Any, shared: Any = 0, link: Any = None, **more: Any) -> dict[str, Any]:
    return {"p": shared, "k": key, "v": VALUE, "t": link, **more}


NO_NODES: list[Any] = [
    [],
    {},
    {"e": [], "l": 5},
    {"e": [], "l": VALUE[:10]},
    {"e": 5, "l": None},
    {"e": {"0": entry(KEYS[0])}, "l": None},
    {"e": [entry(KEYS[0])]},
    {"e": [entry(KEYS[0])], "l": None, "x": 1},
    {"e": [entry(KEYS[0])], "l": 5},
    {"e": [entry(KEYS[0])], "l": [VALUE]},
    {"e": [entry(KEYS[0])], "l": b"\x12\x20"},
    {"e": [entry(KEYS[2], x=1)], "l": None},
    {"e": [entry(KEYS[2], 0.0)], "l": None},
    {"e": [entry(KEYS[2], 1)], "l": None},
    {"e": [{}], "l": None},
    {"e": ["entry"], "l": None},
    {"e": [entry("text")], "l": None},
    {"e": [entry(KEYS[2]), entry(KEYS[0])], "l": None},
    {"e": [entry(KEYS[2]), entry(b"", 10)], "l": None},
    {"e": [entry(KEYS[2]), entry(b"x", -1)], "l": None},
    {"e": [entry(KEYS[2]), entry(b"x", 999)], "l": None},
    {"e": [entry(KEYS[2]), entry(KEYS[4])], "l": None},  # they share more than it says
    {"e": [entry(KEYS[0]), entry(KEYS[2])], "l": None},
    {"e": [entry(b"88bfafc7"), entry(KEYS[2])], "l": None},  # of layer 2
]


@pytest.mark.parametrize("node", NO_NODES)
def test_blocks_that_are_no_nodes_are_refused(node: Any) -> None:
    block = encode(node)
    changes = [Change(key, VALUE, None) for key in KEYS[:5]] + [Change(key + b"~", None, VALUE) for key in (b"", *KEYS[:5])]
    assert "bad_tree" in {outcome(cid_of(block), {cid_of(block): block}, [change]) for change in changes}


def test_a_chain_of_empty_nodes_ends_at_the_lowest_layer() -> None:
    block = encode({"l": None, "e": [{"p": 0, "k": KEYS[0], "v": VALUE, "t": None}]})
    blocks = {cid_of(block): block}
    for _ in range(5000):
        block = encode({"l": cid_of(block), "e": []})
        blocks[cid_of(block)] = block
    with pytest.raises(Rejected, match="bad_tree"):
        find(cid_of(block), blocks, KEYS[3])
