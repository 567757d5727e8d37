"""Commits that another key signed, or none. The honest commit comes after the forged one."""

from collections.abc import Callable, Iterator
from functools import partial

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from relay_simulator import keys
from relay_simulator.encoding import encode
from relay_simulator.forge.edits import commit_of, forged, signature_of, signed_by, with_commit_block
from relay_simulator.forge.scene import Scene
from relay_simulator.forge.told import Told
from relay_simulator.repository import Account

K256_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def has_p256(account: Account) -> bool:
    """Whether the account's key is on the curve P-256."""
    return isinstance(account.signer, keys.P256Key)


def has_k256(account: Account) -> bool:
    """Whether the account's key is on the curve secp256k1."""
    return isinstance(account.signer, keys.K256Key)


def own_key(scene: Scene) -> Iterator[Told]:
    """The forger's own key has signed."""
    yield from _signed_with(scene, scene.victim(), scene.own_key)


def others_key(scene: Scene, suits: Callable[[Account], bool]) -> Iterator[Told]:
    """Another account's key has signed."""
    account, other = scene.victim(), scene.victim(suits)
    while other is account or other.signer is None:
        account = scene.victim()
    yield from _signed_with(scene, account, other.signer)


def high_s(scene: Scene, suits: Callable[[Account], bool], order: int) -> Iterator[Told]:
    """The other signature that fits: the same r, the order less s."""

    def mirrored(signature: bytes) -> bytes:
        return signature[:32] + (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")

    yield from _with_signature(scene, scene.victim(suits), mirrored)


def changed_signature(scene: Scene, change: Callable[[bytes], bytes]) -> Iterator[Told]:
    """The account's signature in another form."""
    yield from _with_signature(scene, scene.victim(), change)


def der(signature: bytes) -> bytes:
    """A signature as DER."""
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


def _signed_with(scene: Scene, account: Account, key: keys.Signer) -> Iterator[Told]:
    told = scene.commit(account, scene.post(account))
    block = signed_by(key, account.did, str(told.payload["rev"]), account.data)
    yield forged(told, with_commit_block(told.payload, block))
    yield told


def _with_signature(scene: Scene, account: Account, change: Callable[[bytes], bytes]) -> Iterator[Told]:
    told = scene.commit(account, scene.post(account))
    block = encode(commit_of(told.payload) | {"sig": change(signature_of(told.payload))})
    yield forged(told, with_commit_block(told.payload, block))
    yield told


KINDS = {
    "own-key": own_key,
    "others-key-k256": partial(others_key, suits=has_k256),
    "others-key-p256": partial(others_key, suits=has_p256),
    "high-s-k256": partial(high_s, suits=has_k256, order=K256_ORDER),
    "high-s-p256": partial(high_s, suits=has_p256, order=keys.P256_ORDER),
    "short-signature": partial(changed_signature, change=lambda signature: signature[:63]),
    "long-signature": partial(changed_signature, change=lambda signature: signature + b"\0"),
    "empty-signature": partial(changed_signature, change=lambda _: b""),
    "der-signature": partial(changed_signature, change=der),
}
