"""A Merkle search tree, kept whole in memory: nodes never change, so an edit shares all that it did not touch.

Source: https://atproto.com/specs/repository. A key's layer is the number of leading zero bits of its SHA-256, halved (fanout
4). Every child stands exactly one layer below its parent, by way of nodes without entries where need be; a root has entries
unless the tree is empty.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import pairwise

from relay_simulator.encoding import Value, cid_of, encode


def layer_of(key: bytes) -> int:
    """The layer that a key belongs to."""
    return (256 - int.from_bytes(sha256(key).digest(), "big").bit_length()) // 2


class Node:
    """One node: `children[i]` holds the keys before `keys[i]`, the last child those after all of them."""

    __slots__ = ("_block", "_cid", "children", "keys", "layer", "rev", "values")

    def __init__(
        self, layer: int, keys: tuple[bytes, ...], values: tuple[bytes, ...], children: "tuple[Node | None, ...]"
    ) -> None:
        self.layer = layer
        self.keys = keys
        self.values = values
        self.children = children
        self.rev = ""  # of the commit that brought it, where somebody notes that
        self._block: bytes | None = None
        self._cid: bytes | None = None

    @property
    def block(self) -> bytes:
        """The node as DAG-CBOR: `l`, and `e` with each key's shared prefix `p`, rest `k`, value `v`, right subtree `t`."""
        if self._block is None:
            entries: list[Value] = []
            before = b""
            for key, value, child in zip(self.keys, self.values, self.children[1:], strict=True):
                shared = shared_prefix(before, key)
                entries.append({"p": shared, "k": key[shared:], "v": value, "t": child.cid if child else None})
                before = key
            first = self.children[0]
            self._block = encode({"l": first.cid if first else None, "e": entries})
        return self._block

    @property
    def cid(self) -> bytes:
        """The CID of `block`."""
        if self._cid is None:
            self._cid = cid_of(self.block)
        return self._cid


EMPTY = Node(0, (), (), (None,))


def build(entries: Sequence[tuple[bytes, bytes]]) -> Node:
    """The tree of (key, value CID) pairs that are sorted by key without repetition."""
    if not entries:
        return EMPTY
    layers = [layer_of(key) for key, _ in entries]
    node = _build(entries, layers, 0, len(entries), max(layers))
    return node if node is not None else EMPTY


def _build(entries: Sequence[tuple[bytes, bytes]], layers: list[int], lo: int, hi: int, layer: int) -> Node | None:
    if lo == hi:
        return None
    own = [i for i in range(lo, hi) if layers[i] == layer]
    edges = [lo - 1, *own, hi]
    children = tuple(_build(entries, layers, left + 1, right, layer - 1) for left, right in pairwise(edges))
    return Node(layer, tuple(entries[i][0] for i in own), tuple(entries[i][1] for i in own), children)


def put(root: Node, key: bytes, value: bytes) -> Node:
    """The tree with `key` set to `value`, whether or not it was there."""
    return place(root, key, value, layer_of(key))


def place(root: Node, key: bytes, value: bytes, layer: int) -> Node:
    """As `put`, on this layer, which need not be the key's own: for trees that none may build."""
    return _put(root if root is not EMPTY else None, key, value, layer)


def _put(node: Node | None, key: bytes, value: bytes, layer: int) -> Node:
    if node is None:
        return Node(layer, (key,), (value,), (None, None))
    if layer > node.layer:
        left, right = _split(node, key)
        return Node(layer, (key,), (value,), (_raise(left, layer - 1), _raise(right, layer - 1)))
    at = bisect_left(node.keys, key)
    if layer == node.layer:
        if at < len(node.keys) and node.keys[at] == key:
            return Node(layer, node.keys, (*node.values[:at], value, *node.values[at + 1 :]), node.children)
        keys, values = (*node.keys[:at], key, *node.keys[at:]), (*node.values[:at], value, *node.values[at:])
        return Node(layer, keys, values, (*node.children[:at], *_split(node.children[at], key), *node.children[at + 1 :]))
    child = _raise(_put(node.children[at], key, value, layer), node.layer - 1)
    return Node(node.layer, node.keys, node.values, (*node.children[:at], child, *node.children[at + 1 :]))


def remove(root: Node, key: bytes) -> Node:
    """The tree without `key`. Raises KeyError where the key isn't in it."""
    node = _remove(root, key, layer_of(key))
    while node is not None and not node.keys:
        node = node.children[0]
    return node if node is not None else EMPTY


def _remove(node: Node | None, key: bytes, layer: int) -> Node | None:
    if node is None or layer > node.layer:
        raise KeyError(key)
    at = bisect_left(node.keys, key)
    if layer < node.layer:
        child = _remove(node.children[at], key, layer)
        return _node(node.layer, node.keys, node.values, (*node.children[:at], child, *node.children[at + 1 :]))
    if at == len(node.keys) or node.keys[at] != key:
        raise KeyError(key)
    joined = _join(node.children[at], node.children[at + 1])
    children = (*node.children[:at], joined, *node.children[at + 2 :])
    return _node(layer, (*node.keys[:at], *node.keys[at + 1 :]), (*node.values[:at], *node.values[at + 1 :]), children)


def find(root: Node, key: bytes) -> bytes | None:
    """The value of `key`, None where it isn't in the tree."""
    node: Node | None = root
    while node is not None:
        at = bisect_left(node.keys, key)
        if at < len(node.keys) and node.keys[at] == key:
            return node.values[at]
        node = node.children[at]
    return None


def proof(root: Node, key: bytes) -> Iterator[Node]:
    """The nodes that a commit which touched `key` must show, root first.

    They are the path to the key and, where it stands in the tree, the nodes beside it on either hand, down to the bottom:
    undoing its creation joins those. Where it doesn't stand (it was deleted), the path to where it stood, down to the bottom.
    """
    node: Node | None = root
    while node is not None:
        yield node
        at = bisect_left(node.keys, key)
        if at < len(node.keys) and node.keys[at] == key:
            left, right = node.children[at], node.children[at + 1]
            while left is not None:
                yield left
                left = left.children[-1]
            while right is not None:
                yield right
                right = right.children[0]
            return
        node = node.children[at]


def walk(root: Node) -> Iterator[tuple[Node, int | None]]:
    """Each node (None), then what is under it: the entries in key order as (their node, their place), nodes between them."""
    yield root, None
    for place, child in enumerate(root.children):
        if child is not None:
            yield from walk(child)
        if place < len(root.keys):
            yield root, place


def _node(layer: int, keys: tuple[bytes, ...], values: tuple[bytes, ...], children: tuple[Node | None, ...]) -> Node | None:
    return Node(layer, keys, values, children) if keys or children[0] is not None else None


def _raise(node: Node | None, layer: int) -> Node | None:
    while node is not None and node.layer < layer:
        node = Node(node.layer + 1, (), (), (node,))
    return node


def _split(node: Node | None, key: bytes) -> tuple[Node | None, Node | None]:
    if node is None:
        return None, None
    at = bisect_left(node.keys, key)
    left, right = _split(node.children[at], key)
    return (
        _node(node.layer, node.keys[:at], node.values[:at], (*node.children[:at], left)),
        _node(node.layer, node.keys[at:], node.values[at:], (right, *node.children[at + 1 :])),
    )


def _join(left: Node | None, right: Node | None) -> Node | None:
    if left is None or right is None:
        return left if right is None else right
    middle = _join(left.children[-1], right.children[0])
    children = (*left.children[:-1], middle, *right.children[1:])
    return Node(left.layer, left.keys + right.keys, left.values + right.values, children)


def shared_prefix(left: bytes, right: bytes) -> int:
    """How many bytes two keys have in common at their start."""
    length = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        length += 1
    return length
