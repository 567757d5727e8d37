"""A node of a Merkle search tree in memory, as decoded: its entries are edited in place, and keys are never put together.

Source: https://atproto.com/specs/repository (MST structure). An entry's key shares its first `p` bytes with the key before it.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

import libipld

from unified_indexer.errors import Rejected
from unified_indexer.protocol.car import DAG_CBOR_PREFIX
from unified_indexer.protocol.dag_cbor import decode

MOST_REPLACED = 2**20  # bytes of a node, times the CIDs that are replaced in it: beyond that, it is encoded
EMPTY_TREE = DAG_CBOR_PREFIX + sha256(b"\xa2\x61e\x80\x61l\xf6").digest()  # the CID of {"e": [], "l": None}

# What comes of reading a block as a node that is none.
NOT_A_NODE = (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError, RecursionError)

_number = int.from_bytes  # big-endian
_decode: Callable[[bytes], Any] = decode


class Change(NamedTuple):
    """One op as the tree sees it: the record's CID after it (None: deleted) and before it (None: created)."""

    key: bytes
    cid: bytes | None
    previous: bytes | None


Entry: TypeAlias = dict[str, Any]  # as decoded: p, the length that its key shares with the one before; k, the rest; v; t
Child: TypeAlias = "Node | bytes | None"  # bytes: the CID of a node that was not looked at


class Node:
    """A node that was looked at. `children` are `first` and then each entry's `t`: a looked-at one stands there as a Node.

    `block` are its bytes of before, None once an entry is another or a child came or went; `looked_at`: which CIDs in `block`
    are those of children that were looked at.
    """

    __slots__ = ("block", "entries", "first", "looked_at")

    def __init__(self, first: Child, entries: list[Entry], block: bytes | None = None) -> None:
        self.first = first
        self.entries = entries
        self.block = block
        self.looked_at: tuple[tuple[bytes, Node], ...] = ()

    def child(self, at: int) -> Child:
        """The child before the entry of this number; after the last one, that number is their count."""
        return self.entries[at - 1]["t"] if at else self.first

    def set_child(self, at: int, child: Child) -> None:
        """Puts a child in the place of another."""
        if at:
            self.entries[at - 1]["t"] = child
        else:
            self.first = child


def layer_of(key: bytes) -> int:
    """The layer that a key belongs to, 0 at the bottom."""
    return (256 - int.from_bytes(sha256(key).digest(), "big").bit_length()) // 2


def shared_prefix(left: bytes, right: bytes) -> int:
    """How many leading bytes two keys have in common."""
    size = len(left)
    if size > len(right):
        size = len(right)
        left = left[:size]
    elif size < len(right):
        right = right[:size]
    return size - ((_number(left) ^ _number(right)).bit_length() + 7 >> 3)


def read_node(block: bytes) -> Node:
    """The node that a block holds, its entries not yet looked at."""
    fields = _decode(block)
    first: Child = fields["l"]
    entries: list[Entry] = fields["e"]
    if len(fields) != 2 or type(entries) is not list or (entries and entries[0]["p"] != 0):
        raise Rejected("bad_tree", "not two fields, or a first key that shares a prefix")
    return Node(first, entries, block)


def first_of(root: Node) -> tuple[bytes, int]:
    """The first key of a root and its layer, which is the root's."""
    if root.entries:
        return root.entries[0]["k"], layer_of(root.entries[0]["k"])
    if root.first is not None:
        raise Rejected("bad_tree", "a root without keys")
    return b"", 0


def place_of(entries: list[Entry], key: bytes) -> tuple[int, bool, int]:
    """Where a key stands among a node's entries, or would: before that number. Whether it does. What the key before it shares.

    Found by the prefixes that the entries share, without putting their keys together.
    """
    before = 0
    at = 0
    wanted = key  # from where the key before it leaves it
    for entry in entries:
        shared = entry["p"]
        if shared <= before:
            rest = entry["k"]
            if shared < before:  # it leaves the key of before, and with it `key`, at this byte: so it comes after `key`
                if rest[0] <= key[shared]:
                    raise Rejected("bad_tree", "keys out of order, or a shared prefix that is longer than it says")
                return at, False, before
            if rest >= wanted:
                return at, rest == wanted, before
            if rest[0] == wanted[0]:
                before += shared_prefix(rest, wanted)
                wanted = key[before:]
        at += 1
    return at, False, before


def absent(place: tuple[int, bool, int], key: bytes) -> tuple[int, int]:
    """The place for a key that must not be there, and what the key before it shares; `place` is what `place_of` found."""
    at, found, before = place
    if found:
        raise Rejected("deleted_still_there", f"{key[:100]!r}")
    return at, before


def close_gap(entry: Entry, key: bytes, before: int) -> None:
    """A key goes that stood before this entry. The one before that shares `before` bytes with it."""
    shared, rest = entry["p"], entry["k"]
    if not 0 <= shared <= len(key) or rest[:1] <= key[shared : shared + 1]:
        raise Rejected("bad_tree", "keys out of order, or a shared prefix that is not all they share")
    if before < shared:
        entry["p"], entry["k"] = before, key[before:shared] + rest


def make_gap(entry: Entry, key: bytes, before: int) -> None:
    """A key comes between this entry and the one before, which shares `before` bytes with it."""
    if entry["p"] == before:
        common = shared_prefix(entry["k"], key[before:])
        entry["p"], entry["k"] = before + common, entry["k"][common:]


def unless_empty(node: Node) -> Node | None:
    return node if node.entries or node.first is not None else None


def raised(child: Child, layer: int, to_layer: int) -> Child:
    """A child of a layer under as many nodes without keys as it takes to hang it below a higher one."""
    for _ in range(layer, to_layer):
        child = None if child is None else Node(child, [])
    return child


def cid_of(node: Node) -> bytes:
    """A node's CID. Where children alone changed, their CIDs are replaced in its bytes: that is faster than to encode it."""
    block = node.block
    if block is not None and len(block) * len(node.looked_at) <= MOST_REPLACED:
        for old, child in node.looked_at:
            new = cid_of(child)
            if new != old:
                if block.count(old) != 1:  # some other part of the node looks like the child's CID
                    break
                block = block.replace(old, new)
        else:
            return DAG_CBOR_PREFIX + sha256(block).digest()
    for entry in node.entries:
        below = entry["t"]
        if type(below) is Node:
            entry["t"] = cid_of(below)
    first = cid_of(node.first) if type(node.first) is Node else node.first
    return DAG_CBOR_PREFIX + sha256(libipld.encode_dag_cbor({"l": first, "e": node.entries})).digest()
