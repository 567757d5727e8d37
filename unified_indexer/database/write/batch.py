"""Turn commits into the arguments of one call of the stored procedure: pure, by the record types."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import libipld

from unified_indexer import json
from unified_indexer.database.write.parameters import Arrays
from unified_indexer.errors import Rejected
from unified_indexer.protocol.data_model import to_json_form
from unified_indexer.protocol.events import Account, Commit, Identity, RecordOp, RepoEvent, Sync, Unusable, Verdict
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.syntax import NO_HANDLE
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import EVERY_OTHER, RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row
from unified_indexer.selection import EVERYTHING, Selection

KIND_REFUSED = -1  # `kind` of an operation that is kept instead of applied: its rest is {"path", "reason", "detail"}
MESSAGE = -2  # `kind` of what an #account or #identity says, in its rest
KINDS: dict[str, tuple[int, RecordType]] = {t.collection: (t.kind, t) for t in RECORD_TYPES}
"""By collection: `kind` of putting such a record (deleting one is the next number), and its type."""
OTHER = KINDS[EVERY_OTHER]

# Numbers of locks, 30 bits of a hash: strangers share none in practice. The server's table of locks holds those that are taken,
# at most some 1,600 of one commit (200 operations at 8 places), and 6,400 by default.
BUCKETS = 2**30

# A path is a key of dead_letters, and an index entry is 2,704 bytes at most; a longer one is named by its hash.
MAX_PATH_BYTES = 1024

LONG = 10_000  # characters of JSON, of which a tsvector takes 1 ms (measured); the posts of people have 300 letters


@dataclass(slots=True)
class Batch(Arrays):
    """Commits as the arguments of a call, one after the other.

    `refused` names the reason of each operation that is kept, by its commit's place in the batch: it counts only if the commit
    is new.
    """

    refused: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    _meets: set[str] = field(default_factory=set[str])  # of the commit that is being added
    _long: bool = False  # whether a record of that commit is LONG

    def put(self, kind: int, uri: str, cid: str, row: Row, time: datetime | None) -> None:
        """Add the creation or update of a record."""
        self._meets.update(row.meets)
        self.kind.append(kind)
        self.uri.append(uri)
        self.cid.append(cid)
        self.subject.append(row.subject)
        self.subject_cid.append(row.subject_cid)
        self.created_at.append(row.created_at or time)
        rest = None if row.rest is None else json.dumps(row.rest)
        if rest is not None and len(rest) > LONG:
            self._long = True
        self.rest.append(rest)

    def mark(self, kind: int, uri: str | None, rest: dict[str, Any] | None = None) -> None:
        """Add an operation without a row: a deletion, a refused operation, a message."""
        self.kind.append(kind)
        self.uri.append(uri)
        self.cid.append(None)
        self.subject.append(None)
        self.subject_cid.append(None)
        self.created_at.append(None)
        self.rest.append(None if rest is None else json.dumps(rest))

    def close(
        self,
        did: str,
        *,
        user: bool | None,
        time: datetime | None,
        rev: str | None = None,
        since: str | None = None,
        data: str | None = None,
        seq: int | None = None,
        frame: bytes | None = None,
        filtered: bool = False,
        proof: Verdict | None = None,
        doubt: str | None = None,
    ) -> None:
        """Ends a commit: the operations added since the last one are its own. `user`: whether the account needs its row; None
        for a #sync, which does not say what was written. `filtered`: some of what it wrote was left out. `rev`: None for a
        message. `doubt`: of what is refused, why nobody answers for it; otherwise `proof` has it."""
        self.bucket_lo.append(len(self.buckets) + 1)
        if self._meets:
            self.buckets += sorted(set(map(bucket, self._meets)))
            self._meets.clear()
        self.bucket_hi.append(len(self.buckets))
        self.lo.append(self.hi[-1] + 1 if self.hi else 1)
        self.hi.append(len(self.kind))
        self.long.append(self._long)
        self._long = False
        self.did.append(did)
        self.rev.append(rev)
        self.since.append(since)
        self.data.append(data)
        if proof is None:
            self.before.append(None)
            self.doubt.append(doubt)
            self.inductive.append(False)
            self.unproven.append(None)
        else:
            self.before.append("" if proof.before is None else libipld.encode_cid(proof.before))
            self.doubt.append(proof.doubt)
            self.inductive.append(proof.inductive)
            self.unproven.append(proof.unproven)
        self.seq.append(seq)
        self.at.append(time)
        self.user.append(user)
        self.filtered.append(filtered)
        self.frame.append(frame)

    def refuse(self, path: str, reason: str, detail: str) -> None:
        """Add an operation that is kept with its reason, in the transaction of its siblings."""
        if len(path.encode()) > MAX_PATH_BYTES:
            path = hashlib.sha256(path.encode()).hexdigest()
        self.refused.append((len(self.did), reason))
        self.mark(KIND_REFUSED, None, {"path": path, "reason": reason, "detail": detail})


def bucket(meet: str) -> int:
    """The number of the lock for a place where records of several repos meet; the same as `unified_worker.bucket` in SQL."""
    return int.from_bytes(hashlib.sha256(meet.encode()).digest()[:4], "big") % BUCKETS


def build(events: Sequence[RepoEvent], *, selection: Selection = EVERYTHING, with_frames: bool = False) -> Batch:
    """Build the batch of these events, in their order, of what `selection` takes. Frames are included only if something is
    kept, or if all are asked for."""
    batch = Batch()
    for event in events:
        first = len(batch.kind)
        rev: str | None = ""
        since, data, user, keeps, filtered, proof, doubt = None, None, False, with_frames, False, None, None
        match event:
            case Commit(repo=did):
                rev, since, data = event.rev, event.since, None if event.data is None else libipld.encode_cid(event.data)
                proof = event.proof
                if proof is not None and proof.doubt is Failure.STALE:
                    data = None  # nothing of it was proven
                if selection.takes_account(did):
                    user, filtered = add_ops(batch, event, selection)
                    keeps = keeps or KIND_REFUSED in batch.kind[first:]
                else:
                    filtered = True
            case Sync(did=did):
                rev, data, user, proof = event.rev, libipld.encode_cid(event.data), None, event.proof
            case Identity(did=did, handle=None):
                rev = None
                batch.mark(MESSAGE, None, {})
            case Identity(did=did, handle=handle):
                rev = None
                batch.mark(MESSAGE, None, {"handle": None if handle == NO_HANDLE else handle})
            case Account(did=did):
                rev = None
                batch.mark(MESSAGE, None, {"active": event.active, "status": event.status})
            case Unusable(did=did) if did and not selection.takes_account(did):
                rev, filtered, doubt = event.rev or "", True, _doubt(event)
            case Unusable(did=did):
                # A path is one repo's: without the DID it would be any repo's that names the same. And who can't be shown to
                # be the account must not replace its letters.
                for path in (event.paths if did and event.marks else ()) or (hashlib.sha256(event.frame).hexdigest(),):
                    batch.refuse(path, event.reason, event.detail)
                rev, keeps, doubt = event.rev or "", True, _doubt(event)
        batch.close(
            did or "",
            user=user,
            time=event.time,
            rev=rev,
            since=since,
            data=data,
            seq=event.seq,
            frame=event.frame if keeps else None,
            filtered=filtered,
            proof=proof,
            doubt=doubt,
        )
    return batch


def _doubt(event: Unusable) -> str | None:
    """Why nothing shows that its account wrote it, where that was asked for."""
    return None if event.marks else event.reason


def add_ops(batch: Batch, commit: Commit, selection: Selection) -> tuple[bool, bool]:
    """Add a commit's operations; return whether one of them writes a record, so that the account must have a row, and
    whether one was left out."""
    writes = filtered = False
    for op in last_ops(commit):
        if not selection.takes_collection(op.collection):
            filtered = True
            continue
        try:
            writes |= add_op(batch, commit, op)
        except Rejected as refusal:
            batch.refuse(f"{op.collection}/{op.rkey}", refusal.reason, refusal.detail)
    for op in commit.refused:
        if op.path and not selection.takes_collection(op.path.partition("/")[0]):
            filtered = True
            continue
        # Operations without a path are of different records, so that one must not close another's letter.
        batch.refuse(op.path or hashlib.sha256(commit.frame).hexdigest(), op.reason, op.detail)
    if commit.too_big:
        batch.refuse(hashlib.sha256(commit.frame).hexdigest(), "too_big", "the commit came without its blocks")
    return writes, filtered


def last_ops(commit: Commit) -> Sequence[RecordOp]:
    """The commit's operations without those that a later one on the same path overrides.

    Nobody could see what they wrote, but what follows from each would have to be worked out. One that is refused undoes
    nothing.
    """
    if len({(op.collection, op.rkey) for op in commit.ops}) == len(commit.ops):
        return commit.ops
    done: set[tuple[str, str]] = set()
    ops: list[RecordOp] = []
    for op in reversed(commit.ops):
        path = op.collection, op.rkey
        if path in done:
            continue
        ops.append(op)
        try:
            add_op(Batch(), commit, op)
        except Rejected:
            continue
        done.add(path)
    return ops[::-1]


def add_op(batch: Batch, commit: Commit, op: RecordOp) -> bool:
    """Add one operation; return whether it writes a record. Raises Rejected if it is unusable."""
    kind, record_type = KINDS.get(op.collection, OTHER)
    known = record_type.rkey is None or op.rkey == record_type.rkey
    uri = f"at://{commit.repo}/{op.collection}/{op.rkey}"
    if op.block is None or op.cid is None:
        if known:
            batch.mark(kind + 1, uri)
        return False
    if not known:
        raise Rejected("bad_rkey", f"{op.rkey} is not {record_type.rkey}")
    row = row_of(record_type, to_json_form(op.block), RecordAddress(commit.repo, op.rkey, uri), op.collection)
    batch.put(kind, uri, libipld.encode_cid(op.cid), row, commit.time)
    return True


def row_of(record_type: RecordType, record: Record, at: RecordAddress, collection: str) -> Row:
    """The row of a record, which must be of its collection's $type."""
    if record.get("$type") != collection:
        raise Rejected("wrong_type", f"$type is not {collection}")
    return record_type.row(record, at)
