"""Another record in a commit. The honest commit comes after the forged one."""

from collections.abc import Iterator

from relay_simulator.encoding import cid_of, signed_commit
from relay_simulator.forge.edits import (
    blocks_of,
    commit_of,
    forged,
    op_of,
    root_of,
    signature_of,
    with_blocks,
    with_commit_block,
    with_ops,
)
from relay_simulator.forge.scene import Scene
from relay_simulator.forge.told import Told
from relay_simulator.repository import Draft


def changed_record(scene: Scene) -> Iterator[Told]:
    """One byte of the record is another, its CID is kept."""
    account = scene.victim()
    draft = scene.post(account)
    told = scene.commit(account, draft)
    cid, block = _record(draft)
    yield forged(told, with_blocks(told.payload, {cid: block[:-1] + bytes([block[-1] ^ 1])}))
    yield told


def swapped_record(scene: Scene) -> Iterator[Told]:
    """The op names another record, which the CAR holds; the tree names the account's."""
    account = scene.victim()
    draft = scene.post(account)
    told = scene.commit(account, draft)
    cid, block = _record(scene.post(account, draft.rkey))
    yield forged(told, with_ops(with_blocks(told.payload, {cid: block}), op_of(told.payload) | {"cid": cid}))
    yield told


def rehashed_tree(scene: Scene) -> Iterator[Told]:
    """Another record in a tree that is built anew for it; the commit block names that tree and keeps the signature."""
    account = scene.victim()
    draft, other = scene.post(account), scene.post(account)
    before, root = account.data, account.root
    honest = scene.commit(account, draft)
    rev = str(honest.payload["rev"])
    after = account.data, account.root
    account.data, account.root = before, root
    packed = scene.generator.repositories.pack(account, [other._replace(rkey=draft.rkey)], rev, keep=False)
    account.data, account.root = after
    payload = with_ops(honest.payload, *packed.ops) | {"commit": packed.root, "blocks": packed.blocks}
    block = signed_commit(account.did, rev, packed.data, signature_of(honest.payload))
    yield forged(honest, with_commit_block(payload, block))
    yield honest


def node_as_record(scene: Scene) -> Iterator[Told]:
    """The op names a node of the tree as its record."""
    account = scene.victim()
    told = scene.commit(account, scene.post(account))
    yield forged(told, with_ops(told.payload, op_of(told.payload) | {"cid": commit_of(told.payload)["data"]}))
    yield told


def false_block(scene: Scene) -> Iterator[Told]:
    """A node of the tree stands under the CID of another, which it links to: a way round in a circle."""
    account = scene.victim()
    told = scene.commit(account, scene.post(account))
    data = commit_of(told.payload)["data"]
    others = [cid for cid in blocks_of(told.payload) if cid not in (data, root_of(told.payload))]
    inner = scene.rng.choice(others)
    block = b"\xa2\x61e\x80\x61l\xd8\x2a\x58\x25\x00" + data  # a node without keys, whose one child is the root
    assert cid_of(block) != inner
    yield forged(told, with_blocks(told.payload, {inner: block}))
    yield told


def _record(draft: Draft) -> tuple[bytes, bytes]:
    if draft.cid is None or draft.block is None:
        raise ValueError(f"{draft.path} writes no record")
    return draft.cid, draft.block


KINDS = {
    "changed-record": changed_record,
    "swapped-record": swapped_record,
    "rehashed-tree": rehashed_tree,
    "node-as-record": node_as_record,
    "link-cycle": false_block,
}
