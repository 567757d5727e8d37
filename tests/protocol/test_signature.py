import base64
import json
from typing import Any

import libipld
import pytest
from coincurve import PrivateKey

from indexer.errors import Rejected
from indexer.protocol import car
from indexer.protocol.signature import signing_key, verify, verify_commit
from testing.frames import DATA, DID, REV, cid_of, encode, needs_recorded, needs_vectors, recorded, vector

KEY: Any = PrivateKey(bytes(31) + b"\x07")
DID_KEY = "did:key:" + libipld.encode_multibase("z", b"\xe7\x01" + KEY.public_key.format())
DOCUMENT: dict[str, Any] = {
    "id": DID,
    "verificationMethod": [
        {"id": f"{DID}#atproto", "type": "Multikey", "controller": DID, "publicKeyMultibase": DID_KEY.removeprefix("did:key:")}
    ],
}


def signed_commit() -> bytes:
    unsigned = {"did": DID, "rev": REV, "version": 3, "prev": None, "data": cid_of(b"tree")}
    return encode({**unsigned, "sig": KEY.sign_recoverable(encode(unsigned))[:64]})  # r and s; then the recovery id


def test_a_commit_is_verified_by_its_accounts_key() -> None:
    assert signing_key(DOCUMENT) == DID_KEY
    commit = signed_commit()
    assert verify_commit(commit, DID_KEY)
    other = "did:key:" + libipld.encode_multibase("z", b"\xe7\x01" + PrivateKey(bytes(31) + b"\x08").public_key.format())
    assert not verify_commit(commit, other)
    assert not verify_commit(commit.replace(REV.encode(), b"3mptbypluud2b"), DID_KEY)
    fields: Any = libipld.decode_dag_cbor(commit)
    for signature in (b"", bytes(64), fields["sig"] + b"\0", "text"):
        assert not verify_commit(encode({**fields, "sig": signature}), DID_KEY)
    del fields["sig"]
    assert not verify_commit(encode(fields), DID_KEY)


@pytest.mark.parametrize("block", [b"", b"\xff", encode([1]), b"\x81" * 100_000])
def test_what_is_no_commit_is_refused(block: bytes) -> None:
    with pytest.raises(Rejected, match="bad_commit_block"):
        verify_commit(block, DID_KEY)


@pytest.mark.parametrize("key", ["", "did:key:", "did:key:zzzz", "did:plc:abc", "did:key:z0", DID_KEY[:-3]])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(Rejected, match="no_signing_key"):
        verify_commit(signed_commit(), key)


@pytest.mark.parametrize(
    "document", [{}, {"id": DID}, {"id": DID, "verificationMethod": []}, {"id": DID, "verificationMethod": [{"id": 5}]}]
)
def test_documents_without_a_key_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="no_signing_key"):
        signing_key(document)


@needs_vectors
def test_official_signatures() -> None:
    for case in vector("crypto/signature-fixtures.json"):
        message, signature = (base64.b64decode(case[name] + "==") for name in ("messageBase64", "signatureBase64"))
        assert verify(message, signature, case["publicKeyDid"]) == case["validSignature"], case["comment"]


@needs_recorded
def test_recorded_commits_verify_and_a_flipped_bit_does_not() -> None:
    documents = json.loads((DATA / "real_frames/did_docs.json").read_text())
    frames = recorded("real_frames/frames.bin")
    assert len(frames) == 100
    for n, frame in enumerate(frames):
        fields: Any = libipld.decode_dag_cbor_multi(frame)[1]
        block = car.split(fields["blocks"])[1][fields["commit"]]
        key = signing_key(documents[fields["repo"]])
        assert verify_commit(block, key)
        commit: Any = libipld.decode_dag_cbor(block)
        commit["sig"] = commit["sig"][: n % 64] + bytes([commit["sig"][n % 64] ^ 1]) + commit["sig"][n % 64 + 1 :]
        assert not verify_commit(encode(commit), key)
