"""Commits of another account, another time or another root than the message says."""

from collections.abc import Iterator

from relay_simulator.encoding import cid_of, signed_commit
from relay_simulator.forge.edits import (
    blocks_of,
    commit_of,
    forged,
    packed,
    root_of,
    signature_of,
    signed_by,
    with_blocks,
    with_commit_block,
)
from relay_simulator.forge.scene import Scene
from relay_simulator.forge.told import Told
from relay_simulator.repository import Account


def wrapped_commit(scene: Scene) -> Iterator[Told]:
    """One account's commit in a message that names another."""
    account, other = _two(scene)
    told = scene.commit(account, scene.post(account))
    yield forged(told, {"repo": other.did})
    yield told


def wrapped_block(scene: Scene) -> Iterator[Told]:
    """One account's commit block in another's message."""
    account, other = _two(scene)
    told, others = scene.commit(account, scene.post(account)), scene.commit(other, scene.post(other))
    yield forged(told, with_commit_block(told.payload, blocks_of(others.payload)[root_of(others.payload)]))
    yield told
    yield others


def renamed_block(scene: Scene) -> Iterator[Told]:
    """One account's commit under another's name, in the message and in the commit block, whose signature is kept."""
    account, other = _two(scene)
    told = scene.commit(account, scene.post(account))
    block = signed_commit(other.did, str(told.payload["rev"]), account.data, signature_of(told.payload))
    yield forged(told, with_commit_block(told.payload, block) | {"repo": other.did})
    yield told


def raised_rev(scene: Scene) -> Iterator[Told]:
    """An old commit again, in a message that says a newer rev."""
    account, old, new = _old_and_new(scene)
    yield old
    yield new
    yield forged(old, {"rev": scene.rev(account)})


def raised_block_rev(scene: Scene) -> Iterator[Told]:
    """An old commit again with a newer rev, in the commit block too, whose signature is kept."""
    account, old, new = _old_and_new(scene)
    yield old
    yield new
    rev = scene.rev(account)
    block = signed_commit(account.did, rev, commit_of(old.payload)["data"], signature_of(old.payload))
    yield forged(old, with_commit_block(old.payload, block) | {"rev": rev})


def replayed(scene: Scene) -> Iterator[Told]:
    """An old commit again, as it was, after a newer one."""
    _, old, new = _old_and_new(scene)
    yield old
    yield new
    yield forged(old, {})


def other_root(scene: Scene) -> Iterator[Told]:
    """The CAR's root is a commit block of the forger's, `commit` is the account's."""
    told, block = _with_own_block(scene)
    blocks = {cid_of(block): block} | blocks_of(told.payload)
    yield forged(told, {"blocks": packed(blocks, cid_of(block))})
    yield told


def two_roots(scene: Scene) -> Iterator[Told]:
    """The CAR has two roots, the first of which is a commit block of the forger's; `commit` is the account's."""
    told, block = _with_own_block(scene)
    blocks = {cid_of(block): block} | blocks_of(told.payload)
    yield forged(told, {"blocks": packed(blocks, cid_of(block), root_of(told.payload))})
    yield told


def other_commit(scene: Scene) -> Iterator[Told]:
    """`commit` is a commit block of the forger's, the CAR's root is the account's."""
    told, block = _with_own_block(scene)
    yield forged(told, with_blocks(told.payload, {cid_of(block): block}) | {"commit": cid_of(block)})
    yield told


def _two(scene: Scene) -> tuple[Account, Account]:
    """Two accounts; the next commit of the first is newer than what the second has."""
    account = scene.victim()
    other = scene.victim(lambda other: other is not account)
    account.last_micros = max(account.last_micros, other.last_micros)
    return account, other


def _old_and_new(scene: Scene) -> tuple[Account, Told, Told]:
    account = scene.victim()
    return account, scene.commit(account, scene.post(account)), scene.commit(account, scene.post(account))


def _with_own_block(scene: Scene) -> tuple[Told, bytes]:
    """A commit, and a block for the same tree and rev that the forger signs."""
    account = scene.victim()
    told = scene.commit(account, scene.post(account))
    return told, signed_by(scene.own_key, account.did, str(told.payload["rev"]), account.data)


KINDS = {
    "wrapped-commit": wrapped_commit,
    "wrapped-block": wrapped_block,
    "renamed-block": renamed_block,
    "raised-rev": raised_rev,
    "raised-block-rev": raised_block_rev,
    "replayed": replayed,
    "other-root": other_root,
    "two-roots": two_roots,
    "other-commit": other_commit,
}
