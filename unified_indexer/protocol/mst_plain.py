"""The plain case of a search tree: one record, on a way that is shown from the root, and nothing wrong anywhere on it.

Nearly every commit creates one record, and three keys of four belong to the lowest layer. For these, no node needs to be kept
as an object, and none to be changed but the one that holds the record: that takes two thirds of `mst.PartialTree`'s time.

It answers only what `PartialTree` would, after the same checks. In every other case it says nothing, and not why: `PartialTree`
is asked then, which has a name for what is wrong.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import libipld

from unified_indexer.errors import Rejected
from unified_indexer.protocol.car import DAG_CBOR_PREFIX
from unified_indexer.protocol.dag_cbor import decode
from unified_indexer.protocol.mst_node import NOT_A_NODE, Change, Entry, close_gap, layer_of, place_of

_MAX_NODE_BYTES = 2**15  # an entry has some hundred: what is larger is not plain
_decode: Callable[[bytes], Any] = decode

_Step = tuple[bytes, dict[str, Any], int, bytes]  # a node's bytes, its fields, the place taken, the child's CID there


class _Found(NamedTuple):
    """Where a record is: the nodes above; its node's fields, its place there; what the key before shares; the node's layer."""

    way: list[_Step]
    fields: dict[str, Any]
    at: int
    before: int
    layer: int


def shows(root: bytes, blocks: Mapping[bytes, bytes], change: Change) -> bool:
    """Whether the tree plainly holds the record that an op wrote."""
    if change.cid is None:
        return False
    try:
        found = _find(root, blocks, change.key)
        return found is not None and found.fields["e"][found.at]["v"] == change.cid
    except (*NOT_A_NODE, Rejected):
        return False


def undone(root: bytes, blocks: Mapping[bytes, bytes], change: Change) -> bytes | None:
    """The CID of the tree's root before an op, if it plainly created a record on the lowest layer, below the root."""
    if change.cid is None or change.previous is not None or layer_of(change.key) > 0:
        return None
    try:
        found = _find(root, blocks, change.key)
        return None if found is None else _without(found, change.key, change.cid)
    except (*NOT_A_NODE, Rejected):
        return None


def _find(root: bytes, blocks: Mapping[bytes, bytes], key: bytes) -> _Found | None:
    """The way to a key. Raises one of NOT_A_NODE, or Rejected, or gives None, where it is not plain."""
    way: list[_Step] = []
    cid = root
    layer = None
    while True:
        block = blocks[cid]
        if len(block) > _MAX_NODE_BYTES:
            return None
        fields: dict[str, Any] = _decode(block)
        first: Any = fields["l"]
        entries: list[Entry] = fields["e"]
        if len(fields) != 2 or type(entries) is not list or (entries[0]["p"] != 0 if entries else first is None):
            return None
        if layer is None:
            layer = layer_of(entries[0]["k"])
        elif layer < 0:
            return None
        at, is_there, before = place_of(entries, key)
        if is_there:
            return _Found(way, fields, at, before, layer)
        child = entries[at - 1]["t"] if at else first
        way.append((block, fields, at, child))
        cid = child
        layer -= 1


def _without(found: _Found, key: bytes, cid: bytes) -> bytes | None:
    """The root's CID once a record is gone from its node, where nothing hangs on either side of it."""
    way, fields, at, before, layer = found
    entries: list[Entry] = fields["e"]
    entry = entries[at]
    left = entries[at - 1]["t"] if at else fields["l"]
    if not way or layer != 0 or entry["v"] != cid or len(entry) != 4 or type(entry["p"]) is not int:
        return None
    if left is not None or entry["t"] is not None:
        return None
    if at + 1 < len(entries):
        close_gap(entries[at + 1], key, before)
    del entries[at]
    below = _cid_of(fields) if entries else None
    for block, above, place, child in reversed(way):
        if below is not None:
            if block.count(child) != 1:  # some other part of the node looks like the child's CID
                return None
            below = DAG_CBOR_PREFIX + sha256(block.replace(child, below)).digest()
            continue
        if place:
            above["e"][place - 1]["t"] = None
        else:
            above["l"] = None
        if above["e"]:
            below = _cid_of(above)
    return below


def _cid_of(fields: dict[str, Any]) -> bytes:
    return DAG_CBOR_PREFIX + sha256(libipld.encode_dag_cbor(fields)).digest()
