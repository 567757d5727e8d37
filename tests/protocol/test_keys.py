import base64
from typing import Any

import libipld
import pytest
from atproto_crypto.verify import verify_signature
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_simulator import keys
from testing.frames import DID, needs_vectors, vector
from unified_indexer.errors import Rejected
from unified_indexer.protocol.keys import (
    K256Key,
    P256Key,
    SigningKey,
    k256_key,
    p256_key,
    parse_did_key,
    parse_multikey,
    signing_key,
)

K256, P256 = keys.signer(1, 0), keys.signer(1, 15)
K256_TYPE, P256_TYPE = "EcdsaSecp256k1VerificationKey2019", "EcdsaSecp256r1VerificationKey2019"
POINTS = {signer.multibase: libipld.decode_multibase(signer.multibase)[1][2:] for signer in (K256, P256)}


def whole_point(point: bytes) -> bytes:
    """A k256 point with both coordinates."""
    return k256_key(point).point


def text_of(data: bytes) -> str:
    return libipld.encode_multibase("z", data)


def method(**fields: Any) -> dict[str, Any]:
    return {
        "id": f"{DID}#atproto",
        "type": "Multikey",
        "controller": DID,
        "publicKeyMultibase": K256.multibase,
    } | fields


def document(*methods: Any) -> dict[str, Any]:
    return {"id": DID, "verificationMethod": list(methods)}


def says(key: SigningKey, signer: keys.Signer) -> bool:
    return key.verifies(b"message", signer.sign(b"message"))


def reason_of(text: str) -> str:
    with pytest.raises(Rejected) as caught:
        parse_multikey(text)
    return caught.value.reason


@pytest.mark.parametrize("signer", [K256, P256])
def test_a_key_is_read_from_a_multikey_a_did_key_and_a_document(signer: keys.Signer) -> None:
    text = signer.multibase
    for key in (
        parse_multikey(text),
        parse_did_key(f"did:key:{text}"),
        signing_key(DID, document(method(publicKeyMultibase=text))),
        signing_key(DID, document(method(publicKeyMultibase=text, id="#atproto"))),
    ):
        assert type(key) is (K256Key if signer is K256 else P256Key)
        assert says(key, signer)
        assert not key.verifies(b"another", signer.sign(b"message"))
        assert not says(key, keys.signer(1, 16 if signer is K256 else 31))
        for signature in (b"", signer.sign(b"message") + b"\0", signer.sign(b"message")[:-1]):
            assert not key.verifies(b"message", signature)


def test_the_legacy_types_name_the_curve_themselves() -> None:
    k256, p256 = POINTS[K256.multibase], POINTS[P256.multibase]
    for kind, point, signer in ((K256_TYPE, k256, K256), (K256_TYPE, whole_point(k256), K256), (P256_TYPE, p256, P256)):
        assert says(signing_key(DID, document(method(type=kind, publicKeyMultibase=text_of(point)))), signer)
    with pytest.raises(Rejected, match="no_signing_key"):
        signing_key(DID, document(method(type=K256_TYPE, publicKeyMultibase=text_of(p256[:5]))))


@needs_vectors
def test_official_did_keys() -> None:
    for curve, kind in (("K256", K256Key), ("P256", P256Key)):
        cases = vector(f"crypto/w3c_didkey_{curve}.json")
        assert cases
        for case in cases:
            assert type(parse_did_key(case["publicDidKey"])) is kind
            if curve == "K256":
                secret: Any = PrivateKey(bytes.fromhex(case["privateKeyBytesHex"]))
                assert text_of(b"\xe7\x01" + secret.public_key.format()) == case["publicDidKey"].removeprefix("did:key:")


@needs_vectors
def test_official_signatures() -> None:
    cases = vector("crypto/signature-fixtures.json")
    assert len(cases) == 6
    for case in cases:
        message, signature = (base64.b64decode(case[name] + "==") for name in ("messageBase64", "signatureBase64"))
        assert parse_did_key(case["publicKeyDid"]).verifies(message, signature) == case["validSignature"], case["comment"]
        legacy = document(method(type=case["didDocSuite"], publicKeyMultibase=case["publicKeyMultibase"]))
        assert signing_key(DID, legacy).verifies(message, signature) == case["validSignature"], case["comment"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "z",
        "zzzz",
        "z0OIl",
        "m" + base64.b64encode(b"\xe7\x01" + POINTS[K256.multibase]).decode(),
        K256.multibase[:-3],
        K256.multibase + "1" * 1000,
        text_of(b"\xed\x01" + bytes(32)),
        text_of(b"\xe7\x01" + bytes(33)),
        text_of(b"\xe7\x01\x02" + b"\xff" * 32),
        text_of(b"\x80\x24\x02" + b"\xff" * 32),
        text_of(b"\xe7\x01" + whole_point(POINTS[K256.multibase])),
    ],
)
def test_what_is_no_multikey_is_refused(text: str) -> None:
    assert reason_of(text) == "no_signing_key"
    for whole in (text, f"did:key:{text}", f"did:plc:{text}"):
        with pytest.raises(Rejected, match="no_signing_key"):
            parse_did_key(whole)


def test_a_point_of_hybrid_form_is_no_key() -> None:
    whole = whole_point(POINTS[K256.multibase])
    assert says(k256_key(whole), K256)
    hybrid = bytes([6 + whole[-1] % 2]) + whole[1:]
    for read in (k256_key, p256_key):
        for point in (hybrid, b"", whole[:-1], b"\x05" + whole[1:]):
            with pytest.raises(Rejected, match="no_signing_key"):
                read(point)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"id": DID},
        {"id": DID, "verificationMethod": "text"},
        document(),
        document("text", 5),
        document(method(id="#other")),
        document(method(id="did:plc:other#atproto")),
        document(method(controller="did:plc:other")),
        document(method(controller=None)),
        document(method(type="Ed25519VerificationKey2020")),
        document(method(type=["Multikey"])),
        document(method(publicKeyMultibase=None)),
        document(method(publicKeyMultibase="zzz")),
        document(method(controller="did:plc:other"), method()),  # the first one counts
        {**document(method()), "id": "did:plc:other"},
    ],
)
def test_documents_without_a_key_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="no_signing_key"):
        signing_key(DID, wrong)


def test_of_two_keys_the_first_counts() -> None:
    other = method(publicKeyMultibase=P256.multibase)
    assert says(signing_key(DID, document(method(id="#other", publicKeyMultibase="zz"), method(), other)), K256)
    assert says(signing_key(DID, document(other, method())), P256)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 511), st.sampled_from([K256, P256]))
def test_it_judges_as_the_sdk_does(message: bytes, bit: int, signer: keys.Signer) -> None:
    key = parse_multikey(signer.multibase)
    signature = bytearray(signer.sign(message))
    assert key.verifies(message, bytes(signature))
    assert verify_signature(f"did:key:{signer.multibase}", message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not key.verifies(message, bytes(signature))


@pytest.mark.parametrize("signer", [K256, P256])
def test_extreme_numbers_are_no_signature_and_no_error(signer: keys.Signer) -> None:
    key = parse_multikey(signer.multibase)
    parts = [bytes(32), bytes(31) + b"\1", b"\x7f" + bytes(31), b"\x80" + bytes(31), b"\xff" * 32]
    assert not any(key.verifies(b"message", r + s) for r in parts for s in parts)


@pytest.mark.parametrize("signer", [K256, P256])
def test_a_signature_of_another_length_is_none(signer: keys.Signer) -> None:
    """Also where the numbers in it are the right ones."""
    key, right = parse_multikey(signer.multibase), signer.sign(b"message")
    assert key.verifies(b"message", right)
    for wrong in (b"", right[:63], right + b"\0", right[:32] + b"\0" + right[32:]):
        assert not key.verifies(b"message", wrong)
