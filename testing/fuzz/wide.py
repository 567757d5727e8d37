"""Trees whose nodes have more entries than any honest one, with many ops behind them: whoever looks each op up passes them all.

A node has some four entries; who makes one of thousands chose its keys, or does not care whether it is a search tree.
"""

from itertools import count, islice
from typing import Any, NamedTuple

from relay_simulator.encoding import cid_of, encode
from testing.fuzz.bombs import commit
from unified_indexer.protocol.mst_node import Change, layer_of, shared_prefix

Entry = dict[str, Any]
LINK = cid_of(b"x")


class Wide(NamedTuple):
    """A root, its nodes by CID, and the ops that it shows."""

    root: bytes
    blocks: dict[bytes, bytes]
    changes: list[Change]

    @property
    def ops(self) -> list[Any]:
        """As in a #commit."""
        return [{"action": "create", "path": change.key.decode(), "cid": change.cid} for change in self.changes]

    def frame(self) -> bytes:
        """A #commit that nobody has signed."""
        return commit(list(self.blocks.values()), self.ops, data=self.root, prevData=LINK)


def keys_of(layer: int, number: int, prefix: bytes = b"zz.bsky.feed.like/3l") -> list[bytes]:
    """So many keys of a layer, in order."""
    return list(islice((key for key in (prefix + b"%011d" % n for n in count()) if layer_of(key) == layer), number))


def behind(entries: int, levels: int = 1, ops: int = 200) -> Wide:
    """All ops are in the lowest node, behind so many entries, and so many entries lead to it from each node above."""
    keys, blocks = keys_of(0, ops), dict[bytes, bytes]()
    nodes = _filler(entries) + _listed(keys)
    for level in range(1, levels + 1):
        below = _add(blocks, nodes)
        nodes = _filler(entries)
        nodes[-1] |= {"v": LINK, "t": below}
        if level == levels:
            nodes.insert(0, {"p": 0, "k": keys_of(levels, 1, b"a")[0], "v": LINK, "t": None})
            nodes[1] = {"p": 0, "k": b"b"}
    return Wide(_add(blocks, nodes), blocks, [Change(key, LINK, None) for key in keys])


def beside(size: int, ops: int = 200) -> Wide:
    """Some ops are each in a node of its own below the root, which has a key of this size besides."""
    above, below = keys_of(1, ops), keys_of(0, 40 * ops)
    blocks, nodes, changes = dict[bytes, bytes](), list[Entry](), list[Change]()
    before = b""
    for left, right in zip(above, [*above[1:], b"zz/"], strict=True):
        inside = [key for key in below if left < key < right][:2]
        child = _add(blocks, _listed(inside)) if inside else None
        shared = shared_prefix(before, left)
        nodes.append({"p": shared, "k": left[shared:], "v": LINK, "t": child})
        before = left
        if len(inside) > 1:
            changes.append(Change(inside[0], LINK, None))
    nodes.append({"p": 2, "k": b"z" * size, "v": LINK, "t": None})
    return Wide(_add(blocks, nodes), blocks, changes)


def _filler(entries: int) -> list[Entry]:
    """As short as entries can be: nothing but a place is needed of those that are passed by."""
    return [{"p": 0, "k": b"b"}, *({"p": 1, "k": b"b"} for _ in range(entries))]


def _listed(keys: list[bytes]) -> list[Entry]:
    entries, before = list[Entry](), b""
    for key in keys:
        shared = shared_prefix(before, key)
        entries.append({"p": shared, "k": key[shared:], "v": LINK, "t": None})
        before = key
    return entries


def _add(blocks: dict[bytes, bytes], entries: list[Entry]) -> bytes:
    node: dict[str, Any] = {"l": None, "e": entries}
    block = encode(node)
    cid = cid_of(block)
    blocks[cid] = block
    return cid
