"""Whether a #commit is what its account wrote: form of the ops, commit block, tree, signature, in this order.

Sources: https://atproto.com/specs/sync (commit validation, operation inversion), /specs/repository, and the lexicon
com.atproto.sync.subscribeRepos. Only the commit block is signed: `ops`, `prev`, `prevData` and `since` are a relay's word until
the signed tree shows that they are so.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard, cast

from unified_indexer.errors import Rejected
from unified_indexer.protocol.car import CID_BYTES, DAG_CBOR_PREFIX
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.keys import SigningKey
from unified_indexer.protocol.mst import Change, PartialTree, invert
from unified_indexer.protocol.mst_node import EMPTY_TREE
from unified_indexer.protocol.mst_plain import shows
from unified_indexer.protocol.signature import SignedCommit, read_commit

_MAX_PATH_CHARACTERS = 1024  # a record path has 830 at most; each node that is looked through is compared with it
_ACTIONS = ("create", "update", "delete")


class Claim(NamedTuple):
    """What a #commit says of itself and has to be proven. CIDs are 36 raw bytes, None where the message has none."""

    did: str
    rev: str
    since: str | None
    commit: bytes
    prev_data: bytes | None
    changes: tuple[Change, ...]
    complete: bool  # it says all that inversion needs: each update and delete has `prev`


class Proof(NamedTuple):
    """What is proven of a commit that is not refused.

    `before` is the root of the tree that the ops start from, None where that is not shown. `failure` says why it is not, or not
    wholly. `unproven` are the numbers of the ops that the blocks don't show. `signed` is false while the key is unknown: then
    `commit_block` is what is to be checked when the key comes.
    """

    data: bytes
    before: bytes | None
    failure: Failure | None
    unproven: tuple[int, ...]
    signed: bool
    commit_block: bytes


def read_claim(payload: Mapping[str, Any]) -> Claim:
    """The claim of a #commit's payload whose envelope is sound (`frames.decode` gave a Commit).

    Raises Rejected: `bad_op`, `duplicate_path`, `delete_with_cid`, `create_with_prev`, `unchanged_update`.
    """
    changes: list[Change] = []
    complete = True
    for op in payload["ops"]:
        change = _change(op)
        complete = complete and (change.previous is not None or op["action"] == "create")
        changes.append(change)
    if len({change.key for change in changes}) < len(changes):
        raise Rejected(Failure.DUPLICATE_PATH)
    since, prev_data = payload.get("since"), payload.get("prevData")
    return Claim(
        payload["repo"],
        payload["rev"],
        since if type(since) is str and since else None,
        payload["commit"],
        prev_data if _is_cid(prev_data) else None,
        tuple(changes),
        complete,
    )


def prove(claim: Claim, blocks: Mapping[bytes, bytes], key: SigningKey | None, *, full: bool = True) -> Proof:
    """Proves a commit from its blocks, whose hashes are checked. `key` is None while the account's is not known.

    With `full` (VERIFY=full) the ops must be all that happened to the tree; otherwise each must be in it, no more.
    Raises Rejected with the name of a Failure whose effect is REFUSED.
    """
    block = blocks.get(claim.commit)
    if block is None:
        raise Rejected(Failure.MISSING_COMMIT_BLOCK)
    commit = read_commit(block)
    data = _checked_data(commit, claim.did, claim.rev)
    before, failure, unproven = _tree(claim, data, blocks, full)
    _check_signature(commit, key)
    return Proof(data, before, failure, unproven, key is not None, block)


def prove_sync(did: str, rev: str, block: bytes, key: SigningKey | None) -> bytes:
    """The root of the tree that a #sync's commit block names, once its fields and its signature are checked.

    Raises Rejected as `prove`.
    """
    commit = read_commit(block)
    data = _checked_data(commit, did, rev)
    _check_signature(commit, key)
    return data


def _change(op: object) -> Change:
    fields = cast("dict[str, Any]", op if type(op) is dict else {})
    path, action, cid, prev = fields.get("path"), fields.get("action"), fields.get("cid"), fields.get("prev")
    if type(path) is not str or len(path) > _MAX_PATH_CHARACTERS or action not in _ACTIONS:
        raise Rejected(Failure.BAD_OP, "no path, or one that is too long, or an unknown action")
    if action == "delete":
        if cid is not None:
            raise Rejected(Failure.DELETE_WITH_CID, ascii(path[:100]))
    elif not _is_cid(cid):
        raise Rejected(Failure.BAD_OP, f"{path[:100]!a} has no CID")
    elif action == "create" and prev is not None:
        raise Rejected(Failure.CREATE_WITH_PREV, ascii(path[:100]))
    elif cid == prev:
        raise Rejected(Failure.UNCHANGED_UPDATE, ascii(path[:100]))
    return Change(path.encode(), cid, prev if _is_cid(prev) else None)


def _checked_data(commit: SignedCommit, did: str, rev: str) -> bytes:
    if commit.did != did:
        raise Rejected(Failure.DID_MISMATCH)
    if commit.rev != rev:
        raise Rejected(Failure.REV_MISMATCH)
    if not _is_cid(commit.data):
        raise Rejected(Failure.BAD_COMMIT_BLOCK, "data is no link to a tree")
    return commit.data


def _check_signature(commit: SignedCommit, key: SigningKey | None) -> None:
    if key is not None and not commit.signed_by(key):
        raise Rejected(Failure.BAD_SIGNATURE)


def _tree(
    claim: Claim, data: bytes, blocks: Mapping[bytes, bytes], full: bool
) -> tuple[bytes | None, Failure | None, tuple[int, ...]]:
    """The tree of before, what is wrong with it, and the ops that are not proven."""
    begins = claim.prev_data is None and claim.since is None  # an account's first commit names no tree of before
    before = EMPTY_TREE if begins else claim.prev_data
    if full and before is not None and claim.complete:
        try:
            inverted = invert(data, blocks, claim.changes)
        except Rejected as rejected:
            if rejected.reason != Failure.MISSING_TREE_BLOCK:
                raise
            return None, Failure.MISSING_TREE_BLOCK, _unproven(claim, data, blocks)
        if inverted == before:
            return before, None, ()
        return None, Failure.LEGACY_COMMIT if begins else Failure.TREE_MISMATCH, ()
    unproven = _unproven(claim, data, blocks)
    if unproven:
        return None, Failure.MISSING_TREE_BLOCK, unproven
    return None, Failure.LEGACY_COMMIT if before is None or not claim.complete else None, ()


def _unproven(claim: Claim, data: bytes, blocks: Mapping[bytes, bytes]) -> tuple[int, ...]:
    """The numbers of the ops that the tree's blocks don't reach. Raises Rejected where they do, and show something else."""
    if len(claim.changes) == 1 and shows(data, blocks, claim.changes[0]):
        return ()
    missing: list[int] = []
    tree: PartialTree | None = None
    for number, change in enumerate(claim.changes):
        try:
            tree = tree or PartialTree(data, blocks, len(claim.changes))
            found = tree.find(change.key)
        except Rejected as rejected:
            if rejected.reason != Failure.MISSING_TREE_BLOCK:
                raise
            missing.append(number)
            continue
        if found != change.cid:
            raise Rejected(Failure.OP_NOT_IN_TREE if change.cid else Failure.DELETED_STILL_THERE, ascii(change.key[:100]))
    return tuple(missing)


def _is_cid(value: object) -> TypeGuard[bytes]:
    return type(value) is bytes and len(value) == CID_BYTES and value.startswith(DAG_CBOR_PREFIX)
