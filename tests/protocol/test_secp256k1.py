"""What is taken of coincurve that it does not promise: here it shows first if a new version is without it."""

from hashlib import sha256
from typing import Any

import pytest
from coincurve import PrivateKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from unified_indexer.protocol.secp256k1 import verifies

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRET: Any = PrivateKey(bytes(31) + b"\x07")
POINT: bytes = SECRET.public_key.format(compressed=False)
OTHER: bytes = PrivateKey(bytes(31) + b"\x08").public_key.format(compressed=False)
MESSAGE = b"message"
DIGEST = sha256(MESSAGE).digest()

numbers = st.one_of(
    st.integers(0, 2**256 - 1), st.sampled_from([0, 1, ORDER // 2, ORDER // 2 + 1, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1])
)


def signature_of(message: bytes) -> bytes:
    return SECRET.sign_recoverable(message)[:64]  # r and s; then the recovery id


def by_openssl(point: bytes, message: bytes, signature: bytes) -> bool:
    """What the other library says, which takes an s of either half."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), point)
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return s <= ORDER // 2


@given(
    message=st.binary(max_size=100), r=numbers, s=numbers, kind=st.sampled_from(["sound", "mirrored", "r", "s", "both", "bit"])
)
def test_it_says_what_the_library_of_python_says(message: bytes, r: int, s: int, kind: str) -> None:
    signature = signature_of(message)
    sound_r, sound_s = signature[:32], signature[32:]
    changed = {
        "sound": signature,
        "mirrored": sound_r + (ORDER - int.from_bytes(sound_s, "big")).to_bytes(32, "big"),
        "r": r.to_bytes(32, "big") + sound_s,
        "s": sound_r + s.to_bytes(32, "big"),
        "both": r.to_bytes(32, "big") + s.to_bytes(32, "big"),
        "bit": (int.from_bytes(signature, "big") ^ 1 << r % 512).to_bytes(64, "big"),
    }[kind]
    digest = sha256(message).digest()
    assert verifies(POINT, digest, changed) == by_openssl(POINT, message, changed) == (changed == signature)
    assert not verifies(OTHER, digest, changed)


@pytest.mark.parametrize("number", [ORDER, ORDER + 1, 2**256 - 1])
def test_what_cannot_be_read_is_not_verified(number: int) -> None:
    signature = signature_of(MESSAGE)
    too_large = number.to_bytes(32, "big")
    for unreadable in (too_large + signature[32:], signature[:32] + too_large, too_large * 2):
        assert not verifies(POINT, DIGEST, unreadable)
    for point in (b"", POINT[:-1], POINT[:-1] + bytes([POINT[-1] ^ 1]), bytes(65)):
        assert not verifies(point, DIGEST, signature)
    assert verifies(POINT, DIGEST, signature)
