"""Accounts that are not there, and keys that are no more."""

from collections.abc import Iterator

from relay_simulator import keys
from relay_simulator.forge.edits import forged, signed_by, with_commit_block
from relay_simulator.forge.scene import Scene
from relay_simulator.forge.told import Told
from relay_simulator.repository import Account


def old_key(scene: Scene) -> Iterator[Told]:
    """The key has signed that the account had at first, and has no more (`Settings.changes`)."""

    def first_of(account: Account) -> keys.Signer:
        return keys.signer(scene.seed, account.number)

    def has_another(account: Account) -> bool:
        return account.signer is not None and account.signer.multibase != first_of(account).multibase

    account = scene.victim(has_another)
    first = first_of(account)
    told = scene.commit(account, scene.post(account))
    block = signed_by(first, account.did, str(told.payload["rev"]), account.data)
    yield forged(told, with_commit_block(told.payload, block))
    yield told


def unknown_did(scene: Scene) -> Iterator[Told]:
    """A commit of an account that no directory knows, good in itself."""
    account = scene.stranger()
    yield forged(scene.commit(account, scene.post(account)), {})


KINDS = {"old-key": old_key, "unknown-did": unknown_did}
