"""Ops that are left out, made up or told otherwise: in no message are they signed, the tree alone shows them.

Where all that the message says is in the signed tree, a reader may take it (`truth`), but cannot have all.
"""

from collections.abc import Iterator

from relay_simulator.encoding import cid_of, cid_text
from relay_simulator.forge.edits import forged, op_of, ops_of, with_blocks, with_nodes, with_ops
from relay_simulator.forge.scene import Scene, tree_of
from relay_simulator.forge.told import Told
from relay_simulator.records import Record
from relay_simulator.repository import Account, Draft
from relay_simulator.truth import CommitTruth, OpTruth

OTHER = cid_of(b"a record that never was")


def hidden_op(scene: Scene) -> Iterator[Told]:
    """One of two new records is not told."""
    account = scene.victim()
    told = scene.commit(account, scene.post(account), scene.post(account))
    yield marked(told, with_ops(told.payload, *ops_of(told.payload)[:1]), truths_of(told)[:1])


def added_op(scene: Scene) -> Iterator[Told]:
    """A record of before is told as new once more."""
    account, old, told = _old_and_next(scene)
    yield old.told
    payload = with_nodes(told.payload, tree_of(account), old.draft.path)
    if old.draft.cid is not None and old.draft.block is not None:
        payload = with_blocks(payload, {old.draft.cid: old.draft.block})
    yield marked(told, with_ops(payload, *ops_of(payload), old.draft.op()), (*truths_of(told), old.draft.truth()))


def false_delete(scene: Scene) -> Iterator[Told]:
    """A record is told as deleted that is still there."""
    account, old, told = _old_and_next(scene)
    yield old.told
    payload = with_nodes(told.payload, tree_of(account), old.draft.path)
    delete: Record = {"action": "delete", "path": old.draft.path, "cid": None, "prev": old.draft.cid}
    yield forged(told, with_ops(payload, *ops_of(payload), delete))
    yield told


def false_update(scene: Scene) -> Iterator[Told]:
    """A new record is told as the update of one that never was."""
    account = scene.victim()
    told = scene.commit(account, scene.post(account))
    payload = with_ops(told.payload, op_of(told.payload) | {"action": "update", "prev": OTHER})
    yield marked(told, payload, tuple(op._replace(action="update") for op in truths_of(told)))


def unchanged_update(scene: Scene) -> Iterator[Told]:
    """A record of before is told as updated, from itself to itself."""
    account, old, told = _old_and_next(scene)
    yield old.told
    payload = with_nodes(told.payload, tree_of(account), old.draft.path)
    update: Record = {"action": "update", "path": old.draft.path, "cid": old.draft.cid, "prev": old.draft.cid}
    yield forged(told, with_ops(payload, *ops_of(payload), update))
    yield told


def doubled_path(scene: Scene) -> Iterator[Told]:
    """One op is told twice."""
    account = scene.victim()
    told = scene.commit(account, scene.post(account))
    yield forged(told, with_ops(told.payload, *2 * ops_of(told.payload)))
    yield told


def marked(told: Told, payload: Record, ops: tuple[OpTruth, ...] | None = None) -> Told:
    """The commit with these fields, of which a reader may take these ops; without any, the commit's own."""
    if not isinstance(told.truth, CommitTruth):
        raise TypeError("only commits have ops")
    payload = told.payload | payload
    since, before = payload["since"], payload.get("prevData")
    truth = told.truth._replace(
        ops=told.truth.ops if ops is None else ops,
        sound=False,
        since=since if isinstance(since, str) else None,
        prev_data=cid_text(before) if isinstance(before, bytes) else None,
    )
    return Told(told.name, payload, truth, forged=True)


def truths_of(told: Told) -> tuple[OpTruth, ...]:
    """What a commit's ops are."""
    return told.truth.ops if isinstance(told.truth, CommitTruth) else ()


class _Old:
    """A record that an account has written in a commit of its own."""

    def __init__(self, draft: Draft, told: Told) -> None:
        self.draft = draft
        self.told = told


def _old_and_next(scene: Scene) -> tuple[Account, _Old, Told]:
    account = scene.victim()
    draft = scene.post(account)
    old = _Old(draft, scene.commit(account, draft))
    return account, old, scene.commit(account, scene.post(account))


KINDS = {
    "hidden-op": hidden_op,
    "added-op": added_op,
    "false-delete": false_delete,
    "false-update": false_update,
    "unchanged-update": unchanged_update,
    "doubled-path": doubled_path,
}
