"""Repositories as they stood at each commit of the stream, for hosts that serve them whole."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple, TypeAlias, cast

import libipld

from relay_simulator import tree
from relay_simulator.encoding import Value, cid_of, cid_text, to_json
from relay_simulator.truth import OpTruth

BlockOrder: TypeAlias = Literal["pds", "preorder", "random"]
Block: TypeAlias = tuple[bytes, bytes]
"""A CID and what it is of."""


class RepoTruth(NamedTuple):
    """A whole repository at one commit. `records` are in key order, each as the operation that would create it."""

    did: str
    rev: str
    commit: str
    data: str
    records: tuple[OpTruth, ...]


class Born(NamedTuple):
    """The block of a record that the stream brought, and the rev of the commit that did."""

    rev: str
    block: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit, whose block is `block`. `born` are records of the stream by CID, `old` those of before."""

    did: str
    rev: str
    block: bytes
    root: tree.Node
    born: dict[bytes, Born]
    old: dict[bytes, bytes]

    @property
    def commit(self) -> bytes:
        """The commit's CID."""
        return cid_of(self.block)

    def blocks(self, order: BlockOrder = "pds") -> list[Block]:
        """All blocks, each once.

        'pds': by the rev that brought them, the newest first, then by CID, as the PDS of atproto reads its table.
        'preorder': the commit, then each node before what is under it. 'random': the commit may be anywhere.
        """
        found = {self.commit: Born(self.rev, self.block)}
        for node, entry in tree.walk(self.root):
            if entry is None:
                found[node.cid] = Born(node.rev, node.block)
            else:
                found[node.values[entry]] = self._born(node.values[entry])
        blocks = [(cid, block) for cid, (_, block) in found.items()]
        if order == "pds":
            blocks.sort(key=lambda block: (found[block[0]].rev, block[0]), reverse=True)
        elif order == "random":
            Random(f"blocks {self.did} {self.rev}").shuffle(blocks)
        return blocks

    def truth(self) -> RepoTruth:
        """What is in it."""
        records = tuple(
            record_truth(node.keys[entry], node.values[entry], self._born(node.values[entry]).block)
            for node, entry in tree.walk(self.root)
            if entry is not None
        )
        return RepoTruth(self.did, self.rev, cid_text(self.commit), cid_text(self.root.cid), records)

    def _born(self, cid: bytes) -> Born:
        return self.born.get(cid) or Born("", self.old[cid])


class Archive:
    """What a generator that is given it has kept. `forget` what is not asked for any more."""

    def __init__(self) -> None:
        self._snapshots: dict[str, Snapshot] = {}
        self._born: dict[bytes, Born] = {}

    def keep(self, did: str, rev: str, block: bytes, root: tree.Node, old: dict[bytes, bytes], new: Iterable[Block]) -> None:
        """The repository stands at this commit from now on, which brought the blocks of these records."""
        for cid, content in new:
            self._born.setdefault(cid, Born(rev, content))
        snapshot = Snapshot(did, rev, block, root, self._born, old)
        self._snapshots[cid_text(snapshot.commit)] = snapshot

    def __len__(self) -> int:
        return len(self._snapshots)

    def at(self, commit: str) -> Snapshot:
        """The repository at the commit of this CID. Raises KeyError where the stream's generator was not given this archive."""
        return self._snapshots[commit]

    def forget(self, commit: str) -> None:
        """Nobody will ask for this one."""
        self._snapshots.pop(commit, None)


def record_truth(key: bytes, cid: bytes, block: bytes) -> OpTruth:
    """A record of a tree, from its own bytes."""
    collection, _, rkey = key.decode().partition("/")
    try:
        record = to_json(cast("Value", libipld.decode_dag_cbor(block)))
    except ValueError:
        return OpTruth("create", collection, rkey, cid_text(cid), None, len(block), "undecodable")
    return OpTruth("create", collection, rkey, cid_text(cid), record, len(block), None)
