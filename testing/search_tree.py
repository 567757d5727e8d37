"""Merkle search trees, slow and plain, each node checked and built again: `unified_indexer.protocol.mst` is compared with it.

Sources: https://atproto.com/specs/repository (MST structure) and /specs/sync (operation inversion). A key's layer is the number
of leading zero bits of its SHA-256, halved. Undoing a commit's ops on the nodes that it sent must give the tree of before
(`prevData`); nodes outside the commit's reach stay as their CIDs.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, TypeAlias, cast

import libipld

from unified_indexer.errors import Rejected
from unified_indexer.protocol.car import CID_BYTES, DAG_CBOR_PREFIX
from unified_indexer.protocol.dag_cbor import decode
from unified_indexer.protocol.mst import Change

MAX_KEY_BYTES = 1024  # a record path has 830 at most; keys share prefixes, so that a block of 1 MB could hold 10 GB of them


Child: TypeAlias = "Node | bytes | None"  # bytes: the CID of a node that was not looked at


@dataclass(frozen=True, slots=True)
class Node:
    """`children[i]` holds the keys before `keys[i]`, the last child those after all of them."""

    layer: int
    keys: tuple[bytes, ...]
    values: tuple[bytes, ...]
    children: tuple[Child, ...]


EMPTY = Node(0, (), (), (None,))


def layer_of(key: bytes) -> int:
    """The layer that a key belongs to, 0 at the bottom."""
    return (256 - int.from_bytes(sha256(key).digest(), "big").bit_length()) // 2


def shared_prefix(left: bytes, right: bytes) -> int:
    """How many leading bytes two keys have in common."""
    limit = min(len(left), len(right))
    return next((i for i in range(limit) if left[i] != right[i]), limit)


def build(
    records: Mapping[bytes, bytes], *, order: Sequence[bytes] | None = None, layer: Callable[[bytes], int] = layer_of
) -> tuple[bytes, dict[bytes, bytes]]:
    """The tree of all records (key to CID): its root's CID, and every node's block by CID.

    With another order of the keys, or another layer for some, it is a tree that none may build: for forgeries.
    """
    blocks: dict[bytes, bytes] = {}
    keys = sorted(records) if order is None else order
    top = max(map(layer, keys), default=0)
    root = _whole(keys, records, top, layer) or EMPTY
    return _encode(root, blocks), blocks


def invert(root: bytes, blocks: Mapping[bytes, bytes], changes: Sequence[Change]) -> bytes:
    """The CID of the tree's root before `changes`, from the root after them and the nodes that the commit sent.

    Raises Rejected: `missing_tree_block` (the nodes don't reach), `bad_tree` (a block is no node), `op_not_in_tree` (the tree
    doesn't show what an op says).
    """
    tree = _load(root, blocks, None)
    for key, cid, previous in reversed(changes):
        if cid is not None:
            tree = _remove(tree, key, cid, blocks) or EMPTY
        if previous is not None:
            tree = _insert(tree, key, previous, layer_of(key), blocks)
    while not tree.keys and tree.children[0] is not None:  # a root has keys, unless the tree is empty
        tree = _look(tree.children[0], blocks, tree.layer - 1) or EMPTY
    return _encode(tree, {})


def _whole(keys: Sequence[bytes], records: Mapping[bytes, bytes], top: int, layer: Callable[[bytes], int]) -> Node | None:
    if not keys:
        return None
    own = [i for i, key in enumerate(keys) if layer(key) == top]
    edges = [-1, *own, len(keys)]
    children = tuple(_whole(keys[left + 1 : right], records, top - 1, layer) for left, right in pairwise(edges))
    return Node(top, tuple(keys[i] for i in own), tuple(records[keys[i]] for i in own), children)


def _encode(child: Child, blocks: dict[bytes, bytes]) -> bytes:
    """The CID of a node, its block and those of the nodes under it put into `blocks`."""
    if not isinstance(child, Node):
        return cast("bytes", child)
    links = [None if below is None else _encode(below, blocks) for below in child.children]
    entries: list[dict[str, Any]] = []
    before = b""
    for key, value, link in zip(child.keys, child.values, links[1:], strict=True):
        shared = shared_prefix(before, key)
        entries.append({"p": shared, "k": key[shared:], "v": value, "t": link})
        before = key
    block = libipld.encode_dag_cbor({"l": links[0], "e": entries})
    cid = DAG_CBOR_PREFIX + sha256(block).digest()
    blocks[cid] = block
    return cid


def _load(cid: bytes, blocks: Mapping[bytes, bytes], layer: int | None) -> Node:
    """The node of a CID. `layer` is the one where it must stand; None: wherever its keys belong."""
    block = blocks.get(cid)
    if block is None:
        raise Rejected("missing_tree_block", cid.hex())
    keys: list[bytes] = []
    values: list[bytes] = []
    try:
        fields: Any = decode(block)
        children: list[Child] = [fields["l"]]
        before = b""
        for entry in fields["e"]:
            if not 0 <= entry["p"] <= len(before):
                raise Rejected("bad_tree", "a prefix longer than the key before it")
            before = before[: entry["p"]] + entry["k"]
            if len(before) > MAX_KEY_BYTES:
                raise Rejected("bad_tree", f"a key of {len(before)} bytes")
            keys.append(before)
            values.append(entry["v"])
            children.append(entry["t"])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise Rejected("bad_tree", f"no node: {type(error).__name__}") from None
    if layer is None:
        layer = layer_of(keys[0]) if keys else 0
    if layer < 0:
        raise Rejected("bad_tree", "a node under the lowest layer")
    in_order = all(left < right for left, right in pairwise(keys))
    if not in_order or any(layer_of(key) != layer for key in keys):
        raise Rejected("bad_tree", "a node's keys are out of order or layer")
    if not all(child is None or _is_cid(child) for child in children) or not all(map(_is_cid, values)):
        raise Rejected("bad_tree", "a node's links are no CIDs")
    return Node(layer, tuple(keys), tuple(values), tuple(children))


def _is_cid(link: object) -> bool:
    return type(link) is bytes and len(link) == CID_BYTES and link.startswith(DAG_CBOR_PREFIX)


def _look(child: Child, blocks: Mapping[bytes, bytes], layer: int | None) -> Node | None:
    return _load(child, blocks, layer) if isinstance(child, bytes) else child


def _remove(node: Node, key: bytes, cid: bytes, blocks: Mapping[bytes, bytes]) -> Node | None:
    """The tree without `key`, None where nothing is left of it."""
    at = bisect_left(node.keys, key)
    if at < len(node.keys) and node.keys[at] == key and node.values[at] == cid:
        joined = _join(node.children[at], node.children[at + 1], node.layer - 1, blocks)
        children = (*node.children[:at], joined, *node.children[at + 2 :])
        return _unless_empty(
            node.layer, node.keys[:at] + node.keys[at + 1 :], node.values[:at] + node.values[at + 1 :], children
        )
    child = _look(node.children[at], blocks, node.layer - 1)
    if child is None or node.keys[at : at + 1] == (key,):
        raise Rejected("op_not_in_tree", f"{key[:100]!r} is not what the op wrote")
    children = (*node.children[:at], _remove(child, key, cid, blocks), *node.children[at + 1 :])
    return _unless_empty(node.layer, node.keys, node.values, children)


def _insert(node: Node, key: bytes, cid: bytes, layer: int, blocks: Mapping[bytes, bytes]) -> Node:
    """The tree with `key`, which must not be in it."""
    if node is EMPTY:
        return Node(layer, (key,), (cid,), (None, None))
    if layer > node.layer:
        left, right = _split(node, key, node.layer, blocks)
        return Node(layer, (key,), (cid,), (_raised(left, node.layer, layer - 1), _raised(right, node.layer, layer - 1)))
    at = bisect_left(node.keys, key)
    if node.keys[at : at + 1] == (key,):
        raise Rejected("deleted_still_there", f"{key[:100]!r}")
    if layer == node.layer:
        halves = _split(node.children[at], key, layer - 1, blocks)
        keys, values = (*node.keys[:at], key, *node.keys[at:]), (*node.values[:at], cid, *node.values[at:])
        return Node(layer, keys, values, (*node.children[:at], *halves, *node.children[at + 1 :]))
    below = _look(node.children[at], blocks, node.layer - 1)
    if below is None:
        child = _raised(Node(layer, (key,), (cid,), (None, None)), layer, node.layer - 1)
    else:
        child = _insert(below, key, cid, layer, blocks)
    return Node(node.layer, node.keys, node.values, (*node.children[:at], child, *node.children[at + 1 :]))


def _unless_empty(layer: int, keys: tuple[bytes, ...], values: tuple[bytes, ...], children: tuple[Child, ...]) -> Node | None:
    return Node(layer, keys, values, children) if keys or children[0] is not None else None


def _raised(child: Child, layer: int, to_layer: int) -> Child:
    """A child of a layer under as many nodes without keys as it takes to hang it below a higher one."""
    for above in range(layer + 1, to_layer + 1):
        child = None if child is None else Node(above, (), (), (child,))
    return child


def _split(child: Child, key: bytes, layer: int, blocks: Mapping[bytes, bytes]) -> tuple[Child, Child]:
    node = _look(child, blocks, layer)
    if node is None:
        return None, None
    at = bisect_left(node.keys, key)
    left, right = _split(node.children[at], key, layer - 1, blocks)
    return (
        _unless_empty(layer, node.keys[:at], node.values[:at], (*node.children[:at], left)),
        _unless_empty(layer, node.keys[at:], node.values[at:], (right, *node.children[at + 1 :])),
    )


def _join(left: Child, right: Child, layer: int, blocks: Mapping[bytes, bytes]) -> Child:
    before, after = _look(left, blocks, layer), _look(right, blocks, layer) if left is not None else None
    if before is None or after is None:
        return left if right is None else right
    middle = _join(before.children[-1], after.children[0], layer - 1, blocks)
    children = (*before.children[:-1], middle, *after.children[1:])
    return Node(layer, before.keys + after.keys, before.values + after.values, children)
