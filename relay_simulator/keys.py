"""Accounts' signing keys: secp256k1 and P-256, low-S signatures of 64 bytes; DIDs and DID documents.

Source: https://atproto.com/specs/cryptography. Everything follows from a seed and a number; signatures are deterministic too
(RFC 6979), so that equal arguments give equal bytes.
"""

from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, cast

from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_P256_SHARE = 16  # one account in so many has a P-256 key: the network's are nearly all secp256k1, and both must be met


class Signer(Protocol):
    """A private key."""

    def sign(self, message: bytes) -> bytes:
        """The signature of SHA-256(message): r and s, 32 bytes each, s in the lower half of the order."""
        ...

    @property
    def multibase(self) -> str:
        """The public key as a DID document's `publicKeyMultibase`, and as a did:key after 'did:key:'."""
        ...


class _Recoverable(Protocol):
    """The one method of coincurve's private key that is used, typed as its own annotations don't quite say."""

    def sign_recoverable(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class K256Key:
    """A secp256k1 key."""

    key: PrivateKey

    def sign(self, message: bytes) -> bytes:
        return cast("_Recoverable", self.key).sign_recoverable(message)[:64]  # r, s (kept low), and a recovery byte

    @property
    def multibase(self) -> str:
        return "z" + base58(b"\xe7\x01" + self.key.public_key.format(compressed=True))


@dataclass(frozen=True, slots=True)
class P256Key:
    """A NIST P-256 key."""

    key: ec.EllipticCurvePrivateKey

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))
        s = min(s, P256_ORDER - s)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    @property
    def multibase(self) -> str:
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        return "z" + base58(b"\x80\x24" + point)


def signer(seed: int, number: int, which: int | str = 0) -> Signer:
    """A key of the account with this number: its first, its next, … or one of another use. A digest is a valid secret but for
    a chance of 2^-32 (P-256), then it raises.
    """
    secret = sha256((f"key {seed} {number} {which}" if which else f"key {seed} {number}").encode()).digest()
    if number % _P256_SHARE == _P256_SHARE - 1:
        return P256Key(ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1()))
    return K256Key(PrivateKey(secret))


def did(seed: int, number: int, web_ports: Sequence[int] = ()) -> str:
    """The DID of the account with this number: of did:plc's form, 24 base32 characters; the first accounts have a did:web
    each, of a host at one of these ports of this machine.
    """
    if number < len(web_ports):
        return f"did:web:localhost%3A{web_ports[number]}"
    return "did:plc:" + b32encode(sha256(f"did {seed} {number}".encode()).digest()[:15]).decode().lower()


def did_document(name: str, handle: str, key: Signer, pds: str = "https://pds.simulator.test") -> dict[str, object]:
    """A DID document as the PLC directory gives it."""
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": name,
        "alsoKnownAs": [f"at://{handle}"],
        "verificationMethod": [
            {"id": f"{name}#atproto", "type": "Multikey", "controller": name, "publicKeyMultibase": key.multibase}
        ],
        "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds}],
    }


def base58(data: bytes) -> str:
    """Base58 in Bitcoin's alphabet."""
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return _BASE58[0] * (len(data) - len(data.lstrip(b"\0"))) + digits
