"""Whether a commit was signed by its account's key.

Source: https://atproto.com/specs/repository (commit objects) and /specs/cryptography. Signed is the commit without `sig`, as
DAG-CBOR in its canonical form: `did`, `version`, `data`, `rev` and `prev`, nothing of the message around.
"""

from typing import Any, NamedTuple, cast

import libipld

from unified_indexer.errors import Rejected
from unified_indexer.protocol.dag_cbor import decode
from unified_indexer.protocol.keys import SIGNATURE_BYTES, SigningKey

_REPO_VERSION = 3


class SignedCommit(NamedTuple):
    """A commit block: what it says, the bytes that were signed, and the signature."""

    did: object
    rev: object
    data: object
    unsigned: bytes
    signature: bytes

    def signed_by(self, key: SigningKey) -> bool:
        """Whether `key` made the signature."""
        return key.verifies(self.unsigned, self.signature)


def read_commit(block: bytes) -> SignedCommit:
    """What a commit block (DAG-CBOR) says. Whether its fields are right is for those to say who know what they must be.

    Raises Rejected: `bad_commit_block` (no map in DAG-CBOR), `unsupported_repo_version`, `bad_signature` (not 64 bytes).
    """
    try:
        value = decode(block)
    except (ValueError, RecursionError) as error:
        raise Rejected("bad_commit_block", str(error)[:200]) from None
    if type(value) is not dict:
        raise Rejected("bad_commit_block", "the commit is no map")
    commit = cast("dict[str, Any]", value)
    if commit.get("version") != _REPO_VERSION:
        raise Rejected("unsupported_repo_version")
    signature: object = commit.pop("sig", None)
    if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
        raise Rejected("bad_signature", f"not {SIGNATURE_BYTES} bytes")
    return SignedCommit(commit.get("did"), commit.get("rev"), commit.get("data"), libipld.encode_dag_cbor(commit), signature)
