"""Whether a commit was signed by its account's key.

Source: https://atproto.com/specs/repository (commit objects) and /specs/cryptography: the commit without `sig`, as DAG-CBOR,
hashed with SHA-256 and signed with ECDSA on k256 or p256; r and s as 64 bytes, s in the lower half.
"""

from typing import Any, cast

import libipld
from atproto_core.did_doc import DidDocument
from atproto_core.exceptions import AtProtocolError
from atproto_crypto.verify import verify_signature

from indexer.errors import Rejected
from indexer.protocol.dag_cbor import decode

_SIGNATURE_BYTES = 64


def signing_key(did_document: dict[str, Any]) -> str:
    """The did:key by which an account signs, from its DID document. Raises Rejected: `no_signing_key`."""
    try:
        key = DidDocument.from_dict(did_document).get_did_key()
    except (AtProtocolError, ValueError) as error:
        raise Rejected("no_signing_key", type(error).__name__) from None
    if key is None:
        raise Rejected("no_signing_key", "the document names none that is known")
    return key


def verify_commit(commit_block: bytes, did_key: str) -> bool:
    """Whether a commit block (DAG-CBOR) bears a signature by `did_key`.

    Raises Rejected: `bad_commit_block` (not a map in DAG-CBOR), `no_signing_key` (`did_key` is no key).
    """
    try:
        value = decode(commit_block)
    except (ValueError, RecursionError) as error:
        raise Rejected("bad_commit_block", str(error)[:200]) from None
    if not isinstance(value, dict):
        raise Rejected("bad_commit_block", "the commit is no map")
    commit = cast("dict[str, Any]", value)
    signature: object = commit.pop("sig", None)
    return isinstance(signature, bytes) and verify(libipld.encode_dag_cbor(commit), signature, did_key)


def verify(message: bytes, signature: bytes, did_key: str) -> bool:
    """Whether `signature` (64 bytes) is `did_key`'s of `message`. Raises Rejected: `no_signing_key`."""
    if len(signature) != _SIGNATURE_BYTES:
        return False
    try:
        return verify_signature(did_key, message, signature)
    except (AtProtocolError, ValueError) as error:
        raise Rejected("no_signing_key", type(error).__name__) from None
