"""The plain case against the general one: whatever the blocks are, it says the same, or nothing."""

from collections.abc import Callable
from typing import Any

import libipld
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_simulator import tree
from testing import search_tree
from testing.frames import cid_of, encode
from unified_indexer.errors import Rejected
from unified_indexer.protocol.mst import PartialTree
from unified_indexer.protocol.mst_node import Change, layer_of
from unified_indexer.protocol.mst_plain import shows, undone

VALUE, OTHER = cid_of(b"value"), cid_of(b"other")
KEYS = sorted([*(f"app.bsky.feed.like/3k{n:03x}".encode() for n in range(150)), *map(b"a/%d".__mod__, range(50))])
LOW = [key for key in KEYS if layer_of(key) == 0]
HIGH = [key for key in KEYS if layer_of(key) > 1]
Blocks = dict[bytes, bytes]

ANYTHING = st.sampled_from([None, 0, 1, -1, 7, 10**6, True, "text", b"", b"a", VALUE, OTHER, [], {}, [None], {"p": 0}])
FIELDS = ["p", "k", "v", "t", "more"]


def shown(records: dict[bytes, bytes], key: bytes) -> tuple[bytes, Blocks]:
    root = tree.build(sorted(records.items()))
    return root.cid, {node.cid: node.block for node in tree.proof(root, key)}


def outcome(work: Callable[[], bytes | None]) -> bytes | str | None:
    try:
        return work()
    except Rejected as rejected:
        return rejected.reason


def generally(root: bytes, blocks: Blocks, change: Change) -> bytes | str | None:
    def work() -> bytes:
        partial = PartialTree(root, blocks)
        partial.undo(change)
        return partial.cid()

    return outcome(work)


def looked_up(root: bytes, blocks: Blocks, key: bytes) -> bytes | str | None:
    return outcome(lambda: PartialTree(root, blocks).find(key))


def agrees(root: bytes, blocks: Blocks, change: Change) -> None:
    before = undone(root, blocks, change)
    assert before is None or before == generally(root, blocks, change)
    assert not shows(root, blocks, change) or looked_up(root, blocks, change.key) == change.cid is not None


@st.composite
def trees(draw: st.DrawFn) -> tuple[bytes, Blocks, Change]:
    """A tree's root, the nodes that a commit carries, and the record that it created."""
    keys = draw(st.sets(st.sampled_from(KEYS), max_size=60))
    key = draw(st.sampled_from(LOW) | st.sampled_from(KEYS))
    return *shown(dict.fromkeys([*keys, key], VALUE), key), Change(key, VALUE, None)


def damaged(draw: Callable[[st.SearchStrategy[Any]], Any], block: bytes, cids: list[bytes]) -> bytes:
    """A node that is another in one place, or no node."""
    node: Any = libipld.decode_dag_cbor(block)
    entries = node["e"]
    anything = ANYTHING | st.sampled_from(cids) | st.sampled_from(KEYS) | st.integers(0, 30)
    kind = draw(st.sampled_from(["field", "field", "entry", "swap", "drop", "repeat", "whole", "bytes", "none"]))
    if kind == "field":
        node[draw(st.sampled_from(["l", "e", "x"]))] = draw(anything)
    elif kind == "whole":
        return encode(draw(anything))
    elif kind == "none":
        node = {"l": node["l"], "e": []}
    elif kind == "bytes":
        at = draw(st.integers(0, len(block) - 1))
        return block[:at] + bytes([draw(st.integers(0, 255))]) + block[at + 1 :]
    elif entries:
        at, other = draw(st.integers(0, len(entries) - 1)), draw(st.integers(0, len(entries) - 1))
        if kind == "entry":
            entries[at][draw(st.sampled_from(FIELDS))] = draw(anything)
        elif kind == "swap":
            entries[at], entries[other] = entries[other], entries[at]
        elif kind == "drop":
            del entries[at]
        else:
            entries.insert(at, entries[other])
    return encode(node)


@settings(max_examples=500, deadline=None)
@given(trees(), st.sampled_from(KEYS), st.data())
def test_of_a_damaged_tree_it_says_the_same_or_nothing(
    case: tuple[bytes, Blocks, Change], other: bytes, data: st.DataObject
) -> None:
    root, blocks, change = case
    for _ in range(data.draw(st.integers(1, 2))):
        cid = data.draw(st.sampled_from(sorted(blocks)))
        try:
            blocks[cid] = damaged(data.draw, blocks[cid], sorted(blocks))
        except (TypeError, ValueError, KeyError, AttributeError):  # damaged twice, it can't be read
            blocks[cid] = b"\xff"
    agrees(root, blocks, change)
    agrees(root, blocks, change._replace(key=other))
    agrees(root, blocks, change._replace(cid=OTHER))


@settings(max_examples=300, deadline=None)
@given(trees())
def test_a_record_on_the_lowest_layer_is_plain(case: tuple[bytes, Blocks, Change]) -> None:
    root, blocks, change = case
    assert shows(root, blocks, change)
    before = undone(root, blocks, change)
    assert (before is not None) == (layer_of(change.key) == 0 and len(blocks) > 1)
    assert before in (None, generally(root, blocks, change))


@settings(max_examples=100, deadline=None)
@given(trees(), st.data())
def test_what_is_not_plain_is_left_to_others(case: tuple[bytes, Blocks, Change], data: st.DataObject) -> None:
    root, blocks, change = case
    assert undone(root, blocks, change._replace(previous=OTHER)) is None
    assert undone(root, blocks, change._replace(cid=None, previous=VALUE)) is None
    assert not shows(root, blocks, change._replace(cid=None))
    assert not shows(root, blocks, change._replace(cid=OTHER))
    del blocks[data.draw(st.sampled_from(sorted(blocks)))]
    agrees(root, blocks, change)
    blocks.pop(root, None)
    assert undone(root, blocks, change) is None
    assert not shows(root, blocks, change)


def a_way(layers: int, size: int) -> tuple[bytes, Blocks, Change]:
    """A tree of so many nodes over each other, each of so many bytes; a record in the lowest."""
    high = next(key for key in HIGH if layer_of(key) == layers - 1)
    key = next(key for key in LOW if key > high)
    blocks: Blocks = {}
    below: bytes | None = None
    for layer in range(layers):
        entries = [{"p": 0, "k": key, "v": VALUE, "t": None}] if layer == 0 else []
        if layer == layers - 1:
            entries = [{"p": 0, "k": high, "v": VALUE, "t": below}]
        elif layer == 0:
            entries.append({"p": 0, "k": b"z" * size, "v": VALUE, "t": None})
        block = encode({"l": None if layer == layers - 1 else below, "e": entries})
        below = cid_of(block)
        blocks[below] = block
    assert below is not None
    return below, blocks, Change(key, VALUE, None)


def test_nodes_of_any_size_are_left_to_others() -> None:
    for size, is_plain in ((2**14, True), (2**15, False)):
        root, blocks, change = a_way(3, size)
        assert (undone(root, blocks, change) is not None) == is_plain
        assert shows(root, blocks, change) == is_plain
        agrees(root, blocks, change)


def test_a_record_with_the_cid_of_a_node_is_left_to_others() -> None:
    """Its parent can't have the child's CID replaced: that stands there twice."""
    above = next(key for key in KEYS[10:] if layer_of(key) == 1)
    low = [key for key in KEYS[KEYS.index(above) - 6 : KEYS.index(above)] if layer_of(key) == 0]
    child = tree.build(sorted(dict.fromkeys(low, VALUE).items())).cid
    for key in low:
        root, blocks = shown({**dict.fromkeys(low, VALUE), above: child}, key)
        assert child in blocks
        assert undone(root, blocks, Change(key, VALUE, None)) is None
        agrees(root, blocks, Change(key, VALUE, None))


def test_a_record_on_another_layer_than_its_keys_is_left_to_others() -> None:
    """With nothing beside it, which could tell: above the lowest layer, and under it."""
    high = next(key for key in HIGH if layer_of(key) == 2)
    for key in LOW[:20]:
        change = Change(key, VALUE, None)
        for wrong in (1, -1):
            root, blocks = search_tree.build({key: VALUE, high: VALUE}, layer={key: wrong, high: 2}.__getitem__)
            assert undone(root, blocks, change) is None
            assert generally(root, blocks, change) == "bad_tree"
            assert shows(root, blocks, change) == (looked_up(root, blocks, key) == VALUE) == (wrong == 1)
