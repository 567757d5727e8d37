"""Trees that no honest PDS builds, signed by the account's own key. The honest commit of the same ops comes afterwards."""

from collections.abc import Iterator
from typing import Any, cast

import libipld

from relay_simulator import tree
from relay_simulator.encoding import cid_of, encode, to_json
from relay_simulator.forge.edits import Blocks, blocks_of, forged, packed, root_of, signed_by
from relay_simulator.forge.scene import Scene, tree_of
from relay_simulator.forge.told import Told
from relay_simulator.records import POST
from relay_simulator.repository import Account, Draft

_HEADS = 20_000  # lists in lists, each of which says that it holds a million


def misplaced_key(scene: Scene) -> Iterator[Told]:
    """The new key stands on another layer than its own, below the root."""
    account = scene.victim(lambda account: tree_of(account).layer > 0)
    before, draft = tree_of(account), scene.post(account)
    key = draft.path.encode()
    layer = scene.rng.choice([layer for layer in range(before.layer) if layer != tree.layer_of(key)] or [before.layer])
    told = scene.commit(account, draft)
    yield _with_tree(account, told, tree.place(before, key, draft.cid or b"", layer), key)
    yield told


def misplaced_root(scene: Scene) -> Iterator[Told]:
    """The new key stands alone in the root, above all others, where it doesn't belong."""
    account = scene.victim()
    before, draft = tree_of(account), scene.post(account)
    while tree.layer_of(draft.path.encode()) > before.layer:
        draft = scene.post(account)
    key = draft.path.encode()
    told = scene.commit(account, draft)
    yield _with_tree(account, told, tree.place(before, key, draft.cid or b"", before.layer + 1), key)
    yield told


def unordered_keys(scene: Scene) -> Iterator[Told]:
    """In the root the new key stands before a smaller one."""
    account = scene.victim()
    smaller, larger = (scene.post(account, rkey) for rkey in _root_keys(account, scene))
    yield scene.commit(account, smaller)
    told = scene.commit(account, larger)
    root, key = tree_of(account), larger.path.encode()
    at = root.keys.index(key)
    order = [*range(at - 1), at, at - 1, *range(at + 1, len(root.keys))]
    swapped = tree.Node(root.layer, tuple(root.keys[i] for i in order), tuple(root.values[i] for i in order), root.children)
    yield _with_root(account, told, swapped.block, key)
    yield told


def long_prefix(scene: Scene) -> Iterator[Told]:
    """The key after the new one in the root says that it shares more with it than there is."""
    account = scene.victim()
    smaller, larger = (scene.post(account, rkey) for rkey in _root_keys(account, scene))
    yield scene.commit(account, larger)
    told = scene.commit(account, smaller)
    root, key = tree_of(account), smaller.path.encode()
    node = cast("dict[str, Any]", libipld.decode_dag_cbor(root.block))
    node["e"][root.keys.index(key) + 1]["p"] = 2 * len(key)
    yield _with_root(account, told, encode(node), key)
    yield told


def nested_heads(scene: Scene) -> Iterator[Told]:
    """The root of the tree is a block of lists in lists, each of which says that it holds a million."""
    account = scene.victim()
    told = scene.commit(account, scene.post(account))
    bomb = b"\xa2\x61e" + b"\x9a\x00\x0f\x42\x40" * _HEADS
    yield _sealed(account, told, cid_of(bomb), {cid_of(bomb): bomb})
    yield told


def record_as_node(scene: Scene) -> Iterator[Told]:
    """The root of the tree is the new record itself."""
    account = scene.victim()
    draft = scene.post(account)
    told = scene.commit(account, draft)
    yield _sealed(account, told, draft.cid or b"", {})
    yield told


def signed_node_as_record(scene: Scene) -> Iterator[Told]:
    """The record is a node of the tree. In the tree it is one as good as any; what it says is no record."""
    account = scene.victim()
    block = tree_of(account).block
    rkey = account.next_tid(scene.now)
    draft = Draft("create", POST, rkey, to_json(libipld.decode_dag_cbor(block)), cid_of(block), block)
    yield scene.commit(account, draft)._replace(forged=True)


def _root_keys(account: Account, scene: Scene) -> tuple[str, str]:
    """Two new keys for posts that belong into the root of the account's tree, the smaller one first."""
    found: list[str] = []
    while len(found) < 2:
        rkey = account.next_tid(scene.now)
        if tree.layer_of(f"{POST}/{rkey}".encode()) == tree_of(account).layer:
            found.append(rkey)
    return found[0], found[1]


def _with_tree(account: Account, told: Told, root: tree.Node, key: bytes) -> Told:
    return _sealed(account, told, root.cid, {node.cid: node.block for node in tree.proof(root, key)})


def _with_root(account: Account, told: Told, block: bytes, key: bytes) -> Told:
    """The commit with another block for the root of the account's tree, over the same nodes."""
    below = {node.cid: node.block for node in tree.proof(tree_of(account), key)}
    return _sealed(account, told, cid_of(block), below | {cid_of(block): block})


def _sealed(account: Account, told: Told, data: bytes, nodes: Blocks) -> Told:
    """The commit over another tree, signed by the account."""
    if account.signer is None:
        raise ValueError(f"{account.did} has no key")
    block = signed_by(account.signer, account.did, str(told.payload["rev"]), data)
    others = {cid: other for cid, other in blocks_of(told.payload).items() if cid != root_of(told.payload)}
    blocks = packed({cid_of(block): block} | others | nodes, cid_of(block))
    return forged(told, {"commit": cid_of(block), "blocks": blocks})


KINDS = {
    "misplaced-key": misplaced_key,
    "misplaced-root": misplaced_root,
    "unordered-keys": unordered_keys,
    "long-prefix": long_prefix,
    "nested-heads": nested_heads,
    "record-as-node": record_as_node,
    "signed-node-as-record": signed_node_as_record,
}
