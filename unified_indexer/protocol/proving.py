"""What may be applied of a #commit or #sync: what its account's key proves, or nothing, and why."""

from collections.abc import Callable, Iterable

from unified_indexer.errors import Rejected
from unified_indexer.protocol.chain import verdict
from unified_indexer.protocol.events import Commit, RecordOp, RefusedOp, RepoEvent, Sync, Unusable, Verdict
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.keys import SigningKey
from unified_indexer.protocol.proof import Claim, prove, prove_sync
from unified_indexer.protocol.signature import read_commit
from unified_indexer.protocol.syntax import is_record_path

Provable = Commit | Sync


def did_of(event: RepoEvent) -> str:
    """Whose event it is; empty where that is not known."""
    return event.repo if isinstance(event, Commit) else event.did or ""


def proven(
    event: Provable, key: SigningKey | None, *, full: bool, former: Callable[[], Iterable[SigningKey]] = tuple
) -> Provable | Unusable:
    """The event with its proof, or what its refusal leaves of it. `key` is None while the account's is not known.

    `full`: the ops of a commit must be all that happened to its tree, otherwise each must be in it. A commit needs its claim
    and its blocks (`frames.decode(claims=True)`); those ops that the blocks don't show are refused one by one. `former`: other
    keys that the account had when it wrote this, which are asked for where `key` has not signed it.
    """
    found = _proven(event, key, full)
    if isinstance(found, Unusable) and found.reason == Failure.BAD_SIGNATURE:
        for other in former():
            if not is_anothers(event, other):
                return _proven(event, other, full)
    return found


def _proven(event: Provable, key: SigningKey | None, full: bool) -> Provable | Unusable:
    try:
        if isinstance(event, Sync):
            prove_sync(event.did, event.rev, event.commit_block, key)
            return event._replace(proof=Verdict(unproven=event.commit_block if key is None else None))
        claim = event.claim
        assert claim is not None
        proof = prove(claim, event.blocks, key, full=full)
    except Rejected as rejected:
        return refused(event, rejected.reason, rejected.detail)
    ops, siblings = event.ops, event.refused
    if proof.unproven:
        ops, siblings = _without(event, {claim.changes[number].key.decode() for number in proof.unproven})
    # Three times as fast as _replace.
    return Commit(*event[:7], ops, siblings, event.frame, claim, {}, verdict(claim, proof))


def is_anothers(event: Provable, key: SigningKey) -> bool:
    """Whether the event has a signature that `key` did not make, so that another key may have."""
    if isinstance(event, Sync):
        block = event.commit_block
    else:
        block = None if event.claim is None else event.blocks.get(event.claim.commit)
    try:
        return block is not None and not read_commit(block).signed_by(key)
    except Rejected:
        return False


def is_unproven(event: Provable) -> bool:
    """Whether it is to be applied without its account's key."""
    return event.proof is not None and event.proof.unproven is not None


def assumed_stale(event: Provable) -> Provable:
    """The event without what only a newer one would need: nothing is proven, so nothing of it may be applied."""
    stale = Verdict(doubt=Failure.STALE)
    return (
        event._replace(proof=stale) if isinstance(event, Sync) else event._replace(ops=(), refused=(), blocks={}, proof=stale)
    )


def refused(event: Provable, reason: str, detail: str = "") -> Unusable:
    """What is kept of an event that is not what its account signed: it says nothing about the repo."""
    claim: Claim | None = None if isinstance(event, Sync) else event.claim
    changed = () if claim is None else (change.key.decode() for change in claim.changes)
    paths = tuple(path for path in changed if is_record_path(path))
    return Unusable(event.seq, did_of(event), event.rev, event.time, paths, reason, detail, event.frame, marks=False)


def _without(commit: Commit, unseen: set[str]) -> tuple[tuple[RecordOp, ...], tuple[RefusedOp, ...]]:
    """The ops without those on these paths, which are refused besides the others."""
    usable: list[RecordOp] = []
    refusals = list(commit.refused)
    for op in commit.ops:
        path = f"{op.collection}/{op.rkey}"
        if path in unseen:
            refusals.append(RefusedOp(path, Failure.MISSING_TREE_BLOCK, "the tree's blocks don't show it"))
        else:
            usable.append(op)
    return tuple(usable), tuple(refusals)
