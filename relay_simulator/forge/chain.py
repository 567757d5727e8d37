"""Commits that are left out, and what hides that. What a reader gets of these commits is true, but not all there is."""

from collections.abc import Iterator
from typing import cast

from relay_simulator.forge.edits import ops_of
from relay_simulator.forge.ops import marked
from relay_simulator.forge.scene import Scene
from relay_simulator.forge.told import Told
from relay_simulator.records import Record


def stripped(scene: Scene) -> Iterator[Told]:
    """A commit without prevData, and its update without prev, as repositories sent them before Sync 1.1."""
    account = scene.victim()
    draft = scene.post(account)
    yield scene.commit(account, draft)
    told = scene.commit(account, scene.post(account, draft.rkey, "update"))
    payload = _without(told.payload, "prevData")
    payload["ops"] = [_without(cast("Record", op), "prev") for op in ops_of(payload)]
    yield marked(told._replace(payload=payload), {})


def withheld(scene: Scene) -> Iterator[Told]:
    """A commit is left out; the next one is as it was."""
    account = scene.victim()
    yield scene.commit(account, scene.post(account))
    scene.commit(account, scene.post(account))
    yield scene.commit(account, scene.post(account))._replace(forged=True)


def rewritten_prev_data(scene: Scene) -> Iterator[Told]:
    """A commit is left out; the next one says that it follows on the one before that."""
    account = scene.victim()
    first = scene.commit(account, scene.post(account))
    since, before = account.rev, account.data
    yield first
    scene.commit(account, scene.post(account))
    yield marked(scene.commit(account, scene.post(account)), {"since": since, "prevData": before})


def _without(fields: Record, name: str) -> Record:
    return {other: value for other, value in fields.items() if other != name}


KINDS = {"stripped": stripped, "withheld": withheld, "rewritten-prev-data": rewritten_prev_data}
