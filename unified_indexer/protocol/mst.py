"""Merkle search trees, as far as the blocks of one commit show them: look a record up, undo the commit's ops.

Sources: https://atproto.com/specs/repository (MST structure) and /specs/sync (operation inversion). A key's layer is the number
of leading zero bits of its SHA-256, halved. Undoing all ops of a commit must give the tree of before it (`prevData`).

What is checked, and why it is enough: the tree of before was proven by the commit before. Undoing changes nodes only around an
op's key; every other byte is part of the tree of before. So order, shared prefixes and layers are checked around the keys of
the ops alone, and the layer of the root by a key that stays. No key but these is ever put together from its parts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from unified_indexer.errors import Rejected
from unified_indexer.protocol.car import CID_BYTES
from unified_indexer.protocol.mst_node import (
    EMPTY_TREE,
    NOT_A_NODE,
    Change,
    Child,
    Entry,
    Node,
    absent,
    cid_of,
    close_gap,
    first_of,
    layer_of,
    make_gap,
    place_of,
    raised,
    read_node,
    shared_prefix,
    unless_empty,
)
from unified_indexer.protocol.mst_plain import undone

_TIMES_READ = 3  # a node is read once, some twice; not the largest 200 times
_SPARE_BYTES = 2**18  # what may be read besides: a small node next to many ops is read for each
# How many entries may be passed by in nodes that were read, once each has been passed by: for any commit, and more for each op.
# A layer has some four entries by an op's way, and a tree of millions of records a dozen layers.
_SPARE_ENTRIES = 2_000
_ENTRIES_PER_OP = 150
_ROOT = 256  # above every layer: where a root is read, since its layer is not yet known


class PartialTree:
    """The tree under a root's CID, read from the blocks at hand as it is needed.

    All methods raise Rejected: `missing_tree_block` (the blocks don't reach), `bad_tree` (a block is no node, or the tree isn't
    built as a search tree is), `op_not_in_tree` (the tree lacks what an op wrote), `deleted_still_there` (it holds what an op
    deleted).

    What it may take is bounded by the blocks' bytes and the number of ops, not by one times the other.
    """

    def __init__(self, root: bytes, blocks: Mapping[bytes, bytes], ops: int = 1) -> None:
        self._blocks = blocks
        self._unread = _SPARE_BYTES + _TIMES_READ * sum(map(len, blocks.values()))
        self._unpassed = _SPARE_ENTRIES + _ENTRIES_PER_OP * ops
        try:
            self._root = self._load(root, _ROOT)
            self._first_key, self._first_layer = first_of(self._root)
        except NOT_A_NODE as error:
            raise _no_node(error) from None
        self._layer = self._first_layer

    def find(self, key: bytes) -> bytes | None:
        """The CID of a record, None where the tree doesn't hold the key."""
        node: Node | None = self._root
        layer = self._layer
        try:
            while node is not None:
                at, found, _ = self._place(node.entries, key)
                if found:
                    return node.entries[at]["v"]
                layer -= 1
                node = self._look(node, at, layer)
        except NOT_A_NODE as error:
            raise _no_node(error) from None
        return None

    def undo(self, change: Change) -> None:
        """Makes the tree what it was before this op. Ops are undone last first."""
        key, cid, previous = change
        try:
            if cid is None:
                if previous is not None:
                    self._insert(key, previous)
            elif previous is None:
                self._remove(key, cid)
            else:
                self._replace(key, cid, previous)
        except NOT_A_NODE as error:
            raise _no_node(error) from None

    def cid(self) -> bytes:
        """The CID of the tree's root as it is now."""
        try:
            while not self._root.entries:  # a root has keys, unless the tree is empty
                self._layer -= 1
                below = self._look(self._root, 0, self._layer)
                if below is None:
                    return EMPTY_TREE
                self._root = below
            # Asked again, after the ops are undone: a key that an op wrote is no witness for itself.
            if self._root.entries[0]["k"] != self._first_key:
                self._first_key, self._first_layer = first_of(self._root)
            if self._first_layer != self._layer:
                raise Rejected("bad_tree", "the root's keys are of another layer than its place")
            return cid_of(self._root)
        except NOT_A_NODE as error:
            raise _no_node(error) from None

    def _load(self, cid: bytes, layer: int) -> Node:
        """The node of a CID, at the layer where it must stand."""
        block = self._blocks.get(cid)
        if block is None:
            raise Rejected("missing_tree_block" if len(cid) == CID_BYTES else "bad_tree", cid.hex())
        if layer < 0:
            raise Rejected("bad_tree", "a node under the lowest layer")
        self._unread -= len(block)
        if self._unread < 0:
            raise Rejected("bad_tree", "one node in many places")
        node = read_node(block)
        if node.first is None and not node.entries and layer != _ROOT:
            raise Rejected("bad_tree", "a node with nothing in it")
        self._unpassed += len(node.entries)
        return node

    def _place(self, entries: list[Entry], key: bytes) -> tuple[int, bool, int]:
        """`place_of`, within bounds."""
        place = place_of(entries, key)
        self._unpassed -= place[0]
        if self._unpassed < 0:
            raise Rejected("bad_tree", "too many entries between an op's record and the root")
        return place

    def _look(self, node: Node, at: int, layer: int) -> Node | None:
        """A node's child, read where it was not."""
        child: Any = node.entries[at - 1]["t"] if at else node.first
        if child is None or type(child) is Node:
            return child
        below = self._load(child, layer)
        if at:
            node.entries[at - 1]["t"] = below
        else:
            node.first = below
        node.looked_at += ((child, below),)
        return below

    def _found(self, key: bytes, cid: bytes) -> tuple[list[tuple[Node, int]], int, int]:
        """The way to a record that an op wrote: its nodes and the places taken; its layer; what the key before it shares."""
        node, layer, way = self._root, self._layer, list[tuple[Node, int]]()
        while True:
            at, found, before = self._place(node.entries, key)
            way.append((node, at))
            if found:
                if node.entries[at]["v"] != cid:
                    raise Rejected("op_not_in_tree", f"{key[:100]!r} is another record")
                return way, layer, before
            layer -= 1
            below = self._look(node, at, layer)
            if below is None:
                raise Rejected("op_not_in_tree", f"{key[:100]!r} is absent")
            node = below

    def _replace(self, key: bytes, cid: bytes, previous: bytes) -> None:
        (*_, (node, at)), _, _ = self._found(key, cid)
        node.entries[at]["v"] = previous
        node.block = None

    def _remove(self, key: bytes, cid: bytes) -> None:
        way, layer, before = self._found(key, cid)
        if layer_of(key) != layer:
            raise Rejected("bad_tree", f"{key[:100]!r} is on layer {layer}")
        node, at = way.pop()
        entries = node.entries
        if len(entries[at]) != 4 or type(entries[at]["p"]) is not int:
            raise Rejected("bad_tree", "an entry of other fields than four")
        if at + 1 < len(entries):
            close_gap(entries[at + 1], key, before)
        joined = self._join(node.child(at), entries[at]["t"], key, layer - 1)
        del entries[at]
        node.set_child(at, joined)
        node.block = None
        while not node.entries and node.first is None and way:
            node, at = way.pop()
            node.set_child(at, None)
            node.block = None

    def _join(self, left: Child, right: Child, key: bytes, layer: int) -> Child:
        """One child in the place of the two on either side of a key that goes."""
        if left is None or right is None:
            if left is not None:
                self._check_side(left, key, layer, before=True)
            elif right is not None:
                self._check_side(right, key, layer, before=False)
            return left if right is None else right
        before = self._load(left, layer) if type(left) is bytes else cast("Node", left)
        after = self._load(right, layer) if type(right) is bytes else cast("Node", right)
        end, found, shared = self._place(before.entries, key)
        if found or end < len(before.entries):
            raise Rejected("bad_tree", "keys out of order")
        if after.entries:
            entry = after.entries[0]
            first = entry["k"]
            if first <= key:
                raise Rejected("bad_tree", "keys out of order")
            shared = min(shared, shared_prefix(first, key))
            entry["p"], entry["k"] = shared, first[shared:]
        before.set_child(end, self._join(before.child(end), after.first, key, layer - 1))
        self._unpassed -= len(after.entries)
        before.entries += after.entries
        before.block = None
        return before

    def _check_side(self, child: Child, key: bytes, layer: int, *, before: bool) -> None:
        """A child on one side of a key that goes: as far as its nodes are shown, all its keys must be on that side."""
        while child is not None and (type(child) is Node or child in self._blocks):
            node = child if type(child) is Node else self._load(cast("bytes", child), layer)
            layer -= 1
            at, found, _ = self._place(node.entries, key)
            if found or at != (len(node.entries) if before else 0):
                raise Rejected("bad_tree", "keys out of order")
            child = node.child(at)

    def _insert(self, key: bytes, cid: bytes) -> None:
        layer = layer_of(key)
        if layer > self._layer or not (self._root.entries or self._root.first):
            left, right = (raised(half, self._layer, layer - 1) for half in self._split(self._root, key, self._layer))
            self._root, self._layer = Node(left, [{"p": 0, "k": key, "v": cid, "t": right}]), layer
            return
        node = self._root
        at, before = absent(self._place(node.entries, key), key)
        for above in range(self._layer, layer, -1):
            below = self._look(node, at, above - 1)
            if below is None:
                node.set_child(at, raised(Node(None, [{"p": 0, "k": key, "v": cid, "t": None}]), layer, above - 1))
                node.block = None
                return
            node = below
            at, before = absent(self._place(node.entries, key), key)
        left, right = self._split(node.child(at), key, layer - 1)
        node.set_child(at, left)
        if at < len(node.entries):
            make_gap(node.entries[at], key, before)
        node.entries.insert(at, {"p": before, "k": key[before:], "v": cid, "t": right})
        node.block = None

    def _split(self, child: Child, key: bytes, layer: int) -> tuple[Child, Child]:
        """What of a child comes before a key that is to stand above it, and what after."""
        if child is None:
            return None, None
        node = self._load(child, layer) if type(child) is bytes else cast("Node", child)
        at, _ = absent(self._place(node.entries, key), key)
        left, right = self._split(node.child(at), key, layer - 1)
        self._unpassed -= len(node.entries) - at
        after = Node(right, node.entries[at:])
        if after.entries:
            entry = after.entries[0]
            entry["k"] = key[: entry["p"]] + entry["k"]
            entry["p"] = 0
        del node.entries[at:]
        node.set_child(at, left)
        node.block = None
        return unless_empty(node), unless_empty(after)


def _no_node(error: Exception) -> Rejected:
    return Rejected("bad_tree", f"no node: {type(error).__name__}")


def invert(root: bytes, blocks: Mapping[bytes, bytes], changes: Sequence[Change]) -> bytes:
    """The CID of the tree's root before `changes`, from the root after them and the nodes that the commit sent."""
    if not changes:  # a commit without ops need not send any
        return root
    if len(changes) == 1 and (before := undone(root, blocks, changes[0])) is not None:
        return before
    tree = PartialTree(root, blocks, len(changes))
    for change in reversed(changes):
        tree.undo(change)
    return tree.cid()
