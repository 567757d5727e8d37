import json
from typing import Any

import libipld
import pytest
from coincurve import PrivateKey

from testing.frames import DATA, DID, REV, cid_of, encode, needs_recorded, recorded
from unified_indexer.errors import Rejected
from unified_indexer.protocol import car
from unified_indexer.protocol.keys import k256_key, signing_key
from unified_indexer.protocol.signature import read_commit

SECRET: Any = PrivateKey(bytes(31) + b"\x07")
KEY = k256_key(SECRET.public_key.format())
FIELDS: dict[str, Any] = {"did": DID, "rev": REV, "version": 3, "prev": None, "data": cid_of(b"tree")}


def signed(fields: dict[str, Any]) -> bytes:
    return encode({**fields, "sig": SECRET.sign_recoverable(encode(fields))[:64]})  # r and s; then the recovery id


def reason_of(block: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        read_commit(block)
    return caught.value.reason


def test_a_commit_is_verified_by_its_accounts_key() -> None:
    commit = read_commit(signed(FIELDS))
    assert (commit.did, commit.rev, commit.data) == (DID, REV, FIELDS["data"])
    assert commit.unsigned == encode(FIELDS)
    assert commit.signed_by(KEY)
    other: Any = PrivateKey(bytes(31) + b"\x08")
    assert not commit.signed_by(k256_key(other.public_key.format()))
    assert read_commit(signed({**FIELDS, "prev": cid_of(b"before"), "more": [1, "x"]})).signed_by(KEY)


@pytest.mark.parametrize("change", [{"did": "did:plc:other"}, {"rev": "3mptbypluud2b"}, {"prev": cid_of(b"x")}, {"more": 1}])
def test_all_that_is_signed_counts(change: dict[str, Any]) -> None:
    sound: Any = libipld.decode_dag_cbor(signed(FIELDS))
    assert not read_commit(encode({**sound, **change})).signed_by(KEY)
    assert not read_commit(encode({**sound, "data": cid_of(b"another tree")})).signed_by(KEY)


@pytest.mark.parametrize("block", [b"", b"\xff", encode([1]), b"\x81" * 100_000])
def test_what_is_no_commit_is_refused(block: bytes) -> None:
    assert reason_of(block) == "bad_commit_block"


@pytest.mark.parametrize("version", [2, "3", None])
def test_another_version_is_refused(version: object) -> None:
    assert reason_of(signed({**FIELDS, "version": version})) == "unsupported_repo_version"


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(65), "text", None, cid_of(b"x")])
def test_what_is_no_signature_is_refused(signature: object) -> None:
    assert reason_of(encode({**FIELDS, "sig": signature})) == "bad_signature"
    assert reason_of(encode(FIELDS)) == "bad_signature"


@needs_recorded
def test_recorded_commits_verify_and_a_flipped_bit_does_not() -> None:
    documents = json.loads((DATA / "real_frames/did_docs.json").read_text())
    frames = recorded("real_frames/frames.bin")
    assert len(frames) == 100
    for n, frame in enumerate(frames):
        fields: Any = libipld.decode_dag_cbor_multi(frame)[1]
        block = car.split(fields["blocks"])[1][fields["commit"]]
        key = signing_key(fields["repo"], documents[fields["repo"]])
        assert read_commit(block).signed_by(key)
        commit: Any = libipld.decode_dag_cbor(block)
        commit["sig"] = commit["sig"][: n % 64] + bytes([commit["sig"][n % 64] ^ 1]) + commit["sig"][n % 64 + 1 :]
        assert not read_commit(encode(commit)).signed_by(key)
