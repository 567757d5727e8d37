"""Commits as the arguments of one call of the stored procedure: pure, by the record types."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import libipld

from indexer import json
from indexer.errors import Rejected
from indexer.protocol.data_model import to_json_form
from indexer.protocol.events import Commit, RecordOp, RefusedOp, RepoEvent, Sync, Unusable
from indexer.record_type import Record, RecordType, Row
from indexer.records import RECORD_TYPES

REFUSED = -1  # `kind` of an operation that is kept instead of applied: its rest is {"path", "reason", "detail"}
KINDS: dict[str, tuple[int, RecordType]] = {t.collection: (t.kind, t) for t in RECORD_TYPES}
"""By collection: `kind` of putting such a record (deleting one is the next number), and its type."""

# A path is a key of dead_letters, and an index entry is 2,704 bytes at most; a longer one is named by its hash.
MAX_PATH_BYTES = 1024


@dataclass(slots=True)
class Batch:
    """The arrays of `unified_worker.apply_commits`. The first nine hold one element a commit, the others one an operation;
    `lo..hi` (1-based, inclusive) says which operations are a commit's.

    `refused` names the reason of each operation that is kept, by its commit's place in the batch: it counts only if the commit
    is new. `unstored` counts operations of collections that have no record type.
    """

    did: list[str] = field(default_factory=list[str])
    rev: list[str | None] = field(default_factory=list[str | None])
    data: list[str | None] = field(default_factory=list[str | None])
    seq: list[int | None] = field(default_factory=list[int | None])
    at: list[datetime | None] = field(default_factory=list[datetime | None])
    user: list[bool | None] = field(default_factory=list[bool | None])
    frame: list[bytes | None] = field(default_factory=list[bytes | None])
    lo: list[int] = field(default_factory=list[int])
    hi: list[int] = field(default_factory=list[int])
    kind: list[int] = field(default_factory=list[int])
    uri: list[str | None] = field(default_factory=list[str | None])
    cid: list[str | None] = field(default_factory=list[str | None])
    subject: list[str | None] = field(default_factory=list[str | None])
    subject_cid: list[str | None] = field(default_factory=list[str | None])
    created_at: list[datetime | None] = field(default_factory=list[datetime | None])
    rest: list[str | None] = field(default_factory=list[str | None])
    refused: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    unstored: int = 0

    def commits(self) -> tuple[list[Any], ...]:
        """The arrays with one element a commit, in the procedure's order."""
        return (self.did, self.rev, self.data, self.seq, self.at, self.user, self.frame, self.lo, self.hi)

    def operations(self) -> tuple[list[Any], ...]:
        """The arrays with one element an operation, in the procedure's order."""
        return (self.kind, self.uri, self.cid, self.subject, self.subject_cid, self.created_at, self.rest)

    def put(self, kind: int, uri: str, cid: str, row: Row, time: datetime | None) -> None:
        """Adds the creation or update of a record."""
        self.kind.append(kind)
        self.uri.append(uri)
        self.cid.append(cid)
        self.subject.append(row.subject)
        self.subject_cid.append(row.subject_cid)
        self.created_at.append(row.created_at or time)
        self.rest.append(None if row.rest is None else json.dumps(row.rest))

    def mark(self, kind: int, uri: str | None, rest: dict[str, str] | None = None) -> None:
        """Adds an operation without a row: a deletion, or one that is refused."""
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
        data: str | None = None,
        seq: int | None = None,
        frame: bytes | None = None,
    ) -> None:
        """Ends a commit: the operations added since the last one are its own. `user`: whether the account needs its row; None
        for a #sync, which does not say what was written."""
        self.lo.append(self.hi[-1] + 1 if self.hi else 1)
        self.hi.append(len(self.kind))
        self.did.append(did)
        self.rev.append(rev)
        self.data.append(data)
        self.seq.append(seq)
        self.at.append(time)
        self.user.append(user)
        self.frame.append(frame)

    def refuse(self, path: str, reason: str, detail: str) -> None:
        """Adds an operation that is kept with its reason, in the transaction of its siblings."""
        if len(path.encode()) > MAX_PATH_BYTES:
            path = hashlib.sha256(path.encode()).hexdigest()
        self.refused.append((len(self.did), reason))
        self.mark(REFUSED, None, {"path": path, "reason": reason, "detail": detail})


def build(events: Sequence[RepoEvent], *, with_frames: bool = False) -> Batch:
    """The batch of these commits, in their order. Frames go along only where something is kept, or where all are asked for."""
    batch = Batch()
    for event in events:
        first = len(batch.kind)
        match event:
            case Commit(seq=seq, repo=did, rev=rev, time=time, frame=frame):
                user = add_ops(batch, event)
                data = None if event.data is None else libipld.encode_cid(event.data)
                keeps = with_frames or REFUSED in batch.kind[first:]
            case Sync(seq=seq, did=did, rev=rev, time=time, frame=frame):
                user, data, keeps = None, libipld.encode_cid(event.data), with_frames
            case Unusable(seq=seq, did=did, rev=rev, time=time, frame=frame):
                # A path is one repo's: without the DID it would be any repo's that names the same.
                for path in (event.paths if did else ()) or (hashlib.sha256(frame).hexdigest(),):
                    batch.refuse(path, event.reason, event.detail)
                user, data, keeps = False, None, True
        batch.close(did or "", user=user, time=time, rev=rev or "", data=data, seq=seq, frame=frame if keeps else None)
    return batch


def add_ops(batch: Batch, commit: Commit) -> bool:
    """Adds a commit's operations; returns whether one of them writes a record, so that the account must have a row."""
    writes = False
    for op in commit.ops:
        try:
            writes |= add_op(batch, commit, op)
        except Rejected as refusal:
            batch.refuse(f"{op.collection}/{op.rkey}", refusal.reason, refusal.detail)
    refused = commit.refused
    if commit.too_big:
        refused = (
            *refused,
            RefusedOp(hashlib.sha256(commit.frame).hexdigest(), "too_big", "the commit came without its blocks"),
        )
    for op in refused:
        # Operations without a path are of different records, so that one must not close another's letter.
        batch.refuse(op.path or hashlib.sha256(commit.frame).hexdigest(), op.reason, op.detail)
    return writes


def add_op(batch: Batch, commit: Commit, op: RecordOp) -> bool:
    """Adds one operation, if its collection has a type; returns whether it writes a record. Rejected where it can't be used."""
    found = KINDS.get(op.collection)
    if found is None:
        batch.unstored += 1
        return False
    kind, record_type = found
    known = record_type.rkey is None or op.rkey == record_type.rkey
    uri = f"at://{commit.repo}/{op.collection}/{op.rkey}"
    if op.block is None or op.cid is None:
        if known:
            batch.mark(kind + 1, uri)
        return False
    if not known:
        raise Rejected("bad_rkey", f"{op.rkey} is not {record_type.rkey}")
    row = row_of(record_type, to_json_form(op.block))
    batch.put(kind, uri, libipld.encode_cid(op.cid), row, commit.time)
    return True


def row_of(record_type: RecordType, record: Record) -> Row:
    """The row of a record, which must say that it is of this type."""
    if record.get("$type") != record_type.collection:
        raise Rejected("wrong_type", f"$type is not {record_type.collection}")
    return record_type.row(record)
