"""#sync, #account and #identity that are not the account's word. Of these only a #sync is signed."""

from collections.abc import Iterator

from relay_simulator.encoding import Value, car, car_section, cid_of, encode, signed_commit, tid, time_text
from relay_simulator.forge.edits import signature_of, signed_by
from relay_simulator.forge.scene import Scene
from relay_simulator.forge.told import Told
from relay_simulator.repository import Account
from relay_simulator.truth import IdentityTruth

MINUTE = 60_000_000  # µs
YEAR = 365 * 24 * 60 * MINUTE
FLOOD = 100  # messages at once
OTHER_TREE = cid_of(b"a tree that never was")


def sync_ahead(scene: Scene) -> Iterator[Told]:
    """The account's tree at a rev that is a minute ahead, under an old signature."""
    account = scene.victim()
    told = scene.commit(account, scene.post(account))
    yield told
    rev = tid(scene.now + MINUTE, account.clock)
    yield _sync(scene, account, rev, signed_commit(account.did, rev, account.data, signature_of(told.payload)))
    yield scene.commit(account, scene.post(account))


def sync_far_ahead(scene: Scene) -> Iterator[Told]:
    """The account's tree at a rev of next year, signed by the account: its PDS means harm."""
    account = scene.victim()
    if account.signer is None:
        raise ValueError(f"{account.did} has no key")
    rev = tid(scene.now + YEAR, account.clock)
    yield _sync(scene, account, rev, signed_by(account.signer, account.did, rev, account.data))
    yield scene.commit(account, scene.post(account))


def sync_unsigned(scene: Scene) -> Iterator[Told]:
    """Another tree, and no signature."""
    account = scene.victim()
    rev = scene.rev(account)
    commit: dict[str, Value] = {"did": account.did, "rev": rev, "data": OTHER_TREE, "prev": None, "version": 3}
    yield _sync(scene, account, rev, encode(commit))
    yield scene.commit(account, scene.post(account))


def sync_own_key(scene: Scene) -> Iterator[Told]:
    """Another tree, signed by the forger."""
    account = scene.victim()
    rev = scene.rev(account)
    yield _sync(scene, account, rev, signed_by(scene.own_key, account.did, rev, OTHER_TREE))
    yield scene.commit(account, scene.post(account))


def false_deletion(scene: Scene) -> Iterator[Told]:
    """An account is told as deleted that is there."""
    account = scene.victim()
    yield scene.commit(account, scene.post(account))
    payload: dict[str, Value] = {"did": account.did, "active": False, "status": "deleted"}
    yield Told("#account", _timed(scene, payload), None, forged=True)
    yield scene.commit(account, scene.post(account))


def false_handle(scene: Scene) -> Iterator[Told]:
    """An account is told under the handle of another."""
    account = scene.victim()
    other = scene.victim(lambda other: other is not account)
    yield scene.commit(account, scene.post(account))
    yield scene.commit(other, scene.post(other))
    yield Told("#identity", _timed(scene, {"did": account.did, "handle": other.handle}), None, forged=True)


def identity_flood(scene: Scene) -> Iterator[Told]:
    """A hundred accounts are told anew, each as it is."""
    for _ in range(FLOOD):
        account = scene.victim()
        truth = IdentityTruth(0, account.did, time_text(scene.now), None)
        yield Told("#identity", _timed(scene, {"did": account.did}), truth, forged=True)


def _sync(scene: Scene, account: Account, rev: str, block: bytes) -> Told:
    root = cid_of(block)
    payload: dict[str, Value] = {"did": account.did, "rev": rev, "blocks": car(root, [car_section(root, block)])}
    return Told("#sync", _timed(scene, payload), None, forged=True)


def _timed(scene: Scene, payload: dict[str, Value]) -> dict[str, Value]:
    return payload | {"time": time_text(scene.now)}


KINDS = {
    "sync-ahead": sync_ahead,
    "sync-far-ahead": sync_far_ahead,
    "sync-unsigned": sync_unsigned,
    "sync-own-key": sync_own_key,
    "false-deletion": false_deletion,
    "false-handle": false_handle,
    "identity-flood": identity_flood,
}
