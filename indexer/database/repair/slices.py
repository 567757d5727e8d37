"""Records of a repo in key order, as what the database compares and writes: pure, by the record types."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import libipld

from indexer import json
from indexer.database.functions.repair import by_cid
from indexer.database.write.batch import KIND_REFUSED, KINDS, OTHER, Batch, row_of
from indexer.errors import Rejected
from indexer.protocol.data_model import to_json_form
from indexer.protocol.syntax import is_tid, tid_time
from indexer.records.base.record_type import RecordType
from indexer.records.base.values import RecordAddress, Row
from indexer.selection import Selection

EARLIEST = datetime(2022, 1, 1, tzinfo=UTC)  # before the network: a key with an earlier time tells none
BY_CID = frozenset(kind for kind, record_type in (*KINDS.values(), OTHER) if by_cid(record_type))
"""The kinds that are compared by CIDs alone."""
WRITTEN_AT_ONCE = 50  # operations: others may have to wait for their locks until the transaction ends


class Stored(Protocol):
    """A record of a repo. `path`: collection/rkey, short enough for a URI. `cid`: 36 raw bytes; `block`: its DAG-CBOR, whose
    hash is checked."""

    @property
    def path(self) -> str: ...
    @property
    def cid(self) -> bytes: ...
    @property
    def block(self) -> bytes: ...


class Refusal(NamedTuple):
    """Why a record can't be written."""

    path: str
    cid: str
    reason: str
    detail: str


class Put(NamedTuple):
    """A record that can be written; `row` is None while nobody needed it. `cid`: 36 raw bytes; `block`: as in Stored."""

    kind: int
    type: RecordType
    path: str
    uri: str
    cid: bytes
    block: bytes
    row: Row | None = None


class Gone(NamedTuple):
    """A row whose record the repo does not have any more."""

    kind: int
    uri: str


class Terms(NamedTuple):
    """What counts for all records of a repo that is being repaired. `did`: whose it is. `selection`: what is indexed.

    `at`: the time of its newest commit, UTC. `tell_after`: a record that is younger notifies whom it concerns; None: none does.
    """

    did: str
    selection: Selection
    at: datetime
    tell_after: datetime | None


class Slice(NamedTuple):
    """The records of a repo from the URI `first` to before `end`, in order; `filtered`: some were left out by COLLECTIONS."""

    first: str
    end: str
    records: Sequence[Put | Refusal]
    filtered: bool


def slices(parts: Iterable[Sequence[Stored]], terms: Terms) -> Iterator[Slice]:
    """The parts of a repo, as slices that together hold every URI that the account can have. A repo without records has one."""
    prefix = f"at://{terms.did}/"
    waiting: Sequence[Stored] = ()
    first = prefix
    for part in parts:
        if not part:
            continue
        if waiting:
            end = prefix + part[0].path
            yield _slice(first, end, waiting, terms)
            first = end
        waiting = part
    yield _slice(first, f"at://{terms.did}0", waiting, terms)  # '0' is the character after '/'


def _slice(first: str, end: str, records: Sequence[Stored], terms: Terms) -> Slice:
    read = [_read(record, terms) for record in records if terms.selection.takes_collection(record.path.partition("/")[0])]
    return Slice(first, end, read, len(read) < len(records))


def _read(record: Stored, terms: Terms) -> Put | Refusal:
    """The record, as far as it is needed to compare it."""
    path = record.path
    kind, record_type = KINDS.get(path[: path.index("/")], OTHER)
    put = Put(kind, record_type, path, f"at://{terms.did}/{path}", record.cid, record.block)
    return put if kind in BY_CID else with_row(put, terms)


def with_row(put: Put, terms: Terms) -> Put | Refusal:
    """The record with its row, or why it can't be written."""
    collection, _, rkey = put.path.partition("/")
    try:
        if put.type.rkey not in (None, rkey):
            raise Rejected("bad_rkey", f"{rkey} is not {put.type.rkey}")
        return put._replace(row=row_of(put.type, to_json_form(put.block), RecordAddress(terms.did, rkey, put.uri), collection))
    except Rejected as refusal:
        return Refusal(put.path, libipld.encode_cid(put.cid), refusal.reason, refusal.detail)


class Dates(NamedTuple):
    """When a record's commit came, as far as is known, and whether it notifies nobody."""

    came: datetime
    quiet: bool


def dates(path: str, created_at: datetime | None, terms: Terms) -> Dates:
    """As a record's key tells, which clients make as they write; not after the repo's newest commit. Without such a key as
    the record says, if that is past."""
    rkey = path.partition("/")[2]
    keyed = tid_time(rkey) if is_tid(rkey) else None
    if keyed is not None and keyed < EARLIEST:
        keyed = None
    said = min((time for time in (created_at, keyed) if time is not None), default=terms.at)
    quiet = terms.tell_after is None or said <= terms.tell_after
    return Dates(min(keyed or created_at or terms.at, terms.at), quiet)


def comparison(piece: Slice, terms: Terms) -> list[object]:
    """The arguments of `repair_compare`, after the rev."""
    rows = [_compared(one, terms) for one in piece.records]
    refused = [one.path for one in piece.records if isinstance(one, Refusal)]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 7
    return [_kinds(piece, terms), piece.first, piece.end, refused, *columns]


def _compared(one: Put | Refusal, terms: Terms) -> tuple[object, ...]:
    if isinstance(one, Refusal):
        return KIND_REFUSED, f"at://{terms.did}/{one.path}", one.cid, None, None, None, None
    row, cid = one.row, libipld.encode_cid(one.cid)
    if row is None:
        return one.kind, one.uri, cid, None, None, None, None
    rest = None if row.rest is None else json.dumps(row.rest)
    return one.kind, one.uri, cid, row.subject, row.subject_cid, row.created_at, rest


def _kinds(piece: Slice, terms: Terms) -> list[int]:
    """The types that may have rows within the slice's URIs."""
    found = [OTHER[0]]
    for collection, (kind, record_type) in KINDS.items():
        rows = f"at://{terms.did}/{collection}"
        if record_type is OTHER[1] or not terms.selection.takes_collection(collection):
            continue
        if f"{rows}/" < piece.end and f"{rows}0" > piece.first:
            found.append(kind)
    return found


def writing(changes: Sequence[Put | Gone], terms: Terms) -> list[object]:
    """The arguments of `repair_write`, after the rev. The records have their rows."""
    batch = Batch()
    came: list[datetime | None] = []
    quiet: list[bool | None] = []
    for change in changes:
        if isinstance(change, Gone):
            batch.mark(change.kind, change.uri)
            came.append(None)
            quiet.append(None)
        elif change.row is not None:
            date = dates(change.path, change.row.created_at, terms)
            batch.put(change.kind, change.uri, libipld.encode_cid(change.cid), change.row, date.came)
            came.append(date.came)
            quiet.append(date.quiet)
    batch.close(terms.did, user=None, time=None)
    arrays = (batch.kind, batch.uri, batch.cid, batch.subject, batch.subject_cid, batch.created_at, batch.rest)
    return [batch.buckets, *arrays, came, quiet]
