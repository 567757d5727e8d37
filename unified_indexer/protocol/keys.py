"""The public keys by which accounts sign: from a DID document, a did:key or a Multikey to a key that is ready to verify.

Sources: https://atproto.com/specs/cryptography (curves, multikey, did:key) and /specs/did (which method of a document signs).
A signature is the 64 bytes of r and s, s in the lower half of the curve's order: its mirror would be another signature of the
same message, which anyone can make.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias, cast

import libipld
from atproto_core.did_doc import VerificationMethod
from coincurve import PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from unified_indexer.errors import Rejected
from unified_indexer.protocol import secp256k1

SIGNATURE_BYTES = 64

_K256_MULTICODEC, _P256_MULTICODEC = b"\xe7\x01", b"\x80\x24"
_K256_TYPE, _P256_TYPE = "EcdsaSecp256k1VerificationKey2019", "EcdsaSecp256r1VerificationKey2019"
_P256_HALF_ORDER = bytes.fromhex("7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8")
_POINT_SIZES = {b"\x02": 33, b"\x03": 33, b"\x04": 65}  # SEC 1: compressed, compressed, whole
_MAX_KEY_CHARACTERS = 128  # of base58: the longest key has 90
_ECDSA_SHA256 = ec.ECDSA(SHA256())


@dataclass(frozen=True, slots=True)
class K256Key:
    """A secp256k1 key, checked by libsecp256k1, which itself refuses an s in the upper half.

    `point` is whole: with both coordinates, 65 bytes. It is read at each use, in 0.2 µs; one that is compressed takes 5.
    """

    point: bytes

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made this signature of SHA-256(message)."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        return secp256k1.verifies(self.point, sha256(message).digest(), signature)


@dataclass(frozen=True, slots=True)
class P256Key:
    """A NIST P-256 key, checked by OpenSSL, which takes an s of either half."""

    point: ec.EllipticCurvePublicKey

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made this signature of SHA-256(message)."""
        if len(signature) != SIGNATURE_BYTES or signature[32:] > _P256_HALF_ORDER:
            return False
        try:
            self.point.verify(_der(signature), message, _ECDSA_SHA256)
        except InvalidSignature:
            return False
        return True


SigningKey: TypeAlias = K256Key | P256Key


def signing_key(did: str, document: Mapping[str, Any]) -> SigningKey:
    """The key by which an account signs, from its DID document: the first method named #atproto that the account controls.

    Raises Rejected: `no_signing_key`.
    """
    if document.get("id") != did:
        raise Rejected("no_signing_key", "the document is another DID's")
    methods: object = document.get("verificationMethod")
    for entry in cast("list[object]", methods) if isinstance(methods, list) else []:
        fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
        if fields.get("id") in ("#atproto", f"{did}#atproto"):
            try:
                method = VerificationMethod.model_validate(fields)
            except ValueError:
                raise Rejected("no_signing_key", "its method is not well-formed") from None
            return _key_of(did, method)
    raise Rejected("no_signing_key", "the document names none")


def parse_did_key(text: str) -> SigningKey:
    """The key of a did:key. Raises Rejected: `no_signing_key`."""
    if not text.startswith("did:key:"):
        raise Rejected("no_signing_key", "no did:key")
    return parse_multikey(text.removeprefix("did:key:"))


def did_key_bytes(text: str) -> bytes:
    """The 35 bytes that `read_key` takes, of a did:key; whether they are a point is not looked at. Raises Rejected:
    `no_signing_key`."""
    data = _base58(text.removeprefix("did:key:"))
    if not text.startswith("did:key:") or len(data) != 35 or data[:2] not in (_K256_MULTICODEC, _P256_MULTICODEC):
        raise Rejected("no_signing_key", "no did:key of a curve that is known")
    return data


def parse_multikey(text: str) -> SigningKey:
    """The key of a Multikey's text: zQ3sh… on k256, zDn… on p256, the point compressed. Raises Rejected: `no_signing_key`."""
    return read_key(_base58(text))


def read_key(data: bytes) -> SigningKey:
    """The key of a Multikey's 35 bytes: which curve, and the point compressed. Raises Rejected: `no_signing_key`."""
    curve, point = data[:2], data[2:]
    if len(point) == 33 and curve == _K256_MULTICODEC:
        return k256_key(point)
    if len(point) == 33 and curve == _P256_MULTICODEC:
        return p256_key(point)
    raise Rejected("no_signing_key", "of no curve that is known, or of another length")


def key_bytes(key: SigningKey) -> bytes:
    """The 35 bytes that `read_key` takes."""
    if isinstance(key, K256Key):
        return _K256_MULTICODEC + bytes((2 + key.point[-1] % 2,)) + key.point[1:33]
    return _P256_MULTICODEC + key.point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def k256_key(point: bytes) -> K256Key:
    """A secp256k1 key from its point. Raises Rejected: `no_signing_key`."""
    try:
        return K256Key(PublicKey(_checked_point(point)).format(compressed=False))
    except ValueError:
        raise Rejected("no_signing_key", "no point of secp256k1") from None


def p256_key(point: bytes) -> P256Key:
    """A P-256 key from its point. Raises Rejected: `no_signing_key`."""
    try:
        return P256Key(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _checked_point(point)))
    except ValueError:
        raise Rejected("no_signing_key", "no point of P-256") from None


def _key_of(did: str, method: VerificationMethod) -> SigningKey:
    text = method.public_key_multibase
    if method.controller != did or text is None:
        raise Rejected("no_signing_key", "another DID controls it, or it has no publicKeyMultibase")
    if method.type == "Multikey":
        return parse_multikey(text)
    if method.type == _K256_TYPE:
        return k256_key(_base58(text))
    if method.type == _P256_TYPE:
        return p256_key(_base58(text))
    raise Rejected("no_signing_key", f"of type {ascii(method.type)[:100]}")


def _base58(text: str) -> bytes:
    if not text.startswith("z") or len(text) > _MAX_KEY_CHARACTERS:
        raise Rejected("no_signing_key", "not base58 of multibase, or too long")
    try:
        return libipld.decode_multibase(text)[1]
    except ValueError:
        raise Rejected("no_signing_key", "not base58") from None


def _checked_point(point: bytes) -> bytes:
    """The bytes of a point as they are, if SEC 1 says so. libsecp256k1 also takes a hybrid form, which names no key."""
    if len(point) != _POINT_SIZES.get(point[:1]):
        raise Rejected("no_signing_key", f"a point of {len(point)} bytes")
    return point


def _der(signature: bytes) -> bytes:
    """r and s as two integers of ASN.1, as OpenSSL wants them."""
    r, s = signature[:32].lstrip(b"\0"), signature[32:].lstrip(b"\0")
    if r[:1] >= b"\x80" or not r:
        r = b"\0" + r
    if s[:1] >= b"\x80" or not s:
        s = b"\0" + s
    return bytes((0x30, len(r) + len(s) + 4, 2, len(r))) + r + bytes((2, len(s))) + s
