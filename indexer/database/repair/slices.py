"""Records of a repo in key order, as what the database compares and writes: pure, by the record types."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple, Protocol

import libipld

from indexer import json
from indexer.database.functions.repair import by_cid
from indexer.database.write.batch import KIND_REFUSED, KINDS, MAX_PATH_BYTES, OTHER, Batch, row_of
from indexer.errors import Rejected
from indexer.protocol.commits import MAX_URI_CHARACTERS
from indexer.protocol.data_model import to_json_form
from indexer.protocol.syntax import is_record_path, is_tid, tid_time
from indexer.records.base.record_type import RecordType
from indexer.records.base.values import RecordAddress, Row
from indexer.selection import Selection

EARLIEST = datetime(2022, 1, 1, tzinfo=UTC)  # before the network: a key with an earlier time tells none
WRITTEN_AT_ONCE = 50  # operations: whose locks others may have to wait for until the transaction ends


class Stored(Protocol):
    """A record of a repo. `path`: collection/rkey. `cid`: 36 raw bytes; `block`: its DAG-CBOR, whose hash is checked."""

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
    """A record that can be written. `came`: when its commit came, as far as is known. `quiet`: it notifies nobody."""

    kind: int
    type: RecordType
    path: str
    uri: str
    cid: str
    row: Row
    came: datetime
    quiet: bool


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
    collection, _, rkey = record.path.partition("/")
    uri, cid = f"at://{terms.did}/{record.path}", libipld.encode_cid(record.cid)
    kind, record_type = KINDS.get(collection, OTHER)
    try:
        if not is_record_path(record.path):
            raise Rejected("bad_path", "not collection/rkey")
        if len(uri) > MAX_URI_CHARACTERS:
            raise Rejected("uri_too_long", f"more than {MAX_URI_CHARACTERS} characters")
        if record_type.rkey not in (None, rkey):
            raise Rejected("bad_rkey", f"{rkey} is not {record_type.rkey}")
        row = row_of(record_type, to_json_form(record.block), RecordAddress(terms.did, rkey, uri), collection)
    except Rejected as refusal:
        return Refusal(name_of(record.path), cid, refusal.reason, refusal.detail)
    keyed = tid_time(rkey) if is_tid(rkey) else None
    if keyed is not None and keyed < EARLIEST:
        keyed = None
    said = min((time for time in (row.created_at, keyed) if time is not None), default=terms.at)
    quiet = terms.tell_after is None or said <= terms.tell_after
    return Put(kind, record_type, record.path, uri, cid, row, _came(row.created_at, keyed, terms.at), quiet)


def _came(created_at: datetime | None, keyed: datetime | None, at: datetime) -> datetime:
    """When a record's commit came: as its key tells, which clients make as they write; not after the repo's newest."""
    if keyed is not None:
        return min(keyed, at)
    return created_at if created_at is not None and created_at <= at else at


def name_of(path: str) -> str:
    """By what path a dead letter names a record."""
    return path if len(path.encode()) <= MAX_PATH_BYTES else sha256(path.encode()).hexdigest()


def comparison(piece: Slice, terms: Terms) -> list[object]:
    """The arguments of `repair_compare`, after the rev."""
    put: Callable[[Put], tuple[object, ...]] = _compared
    rows = [
        (KIND_REFUSED, f"at://{terms.did}/{one.path}", *[None] * 5) if isinstance(one, Refusal) else put(one)
        for one in piece.records
    ]
    refused = [one.path for one in piece.records if isinstance(one, Refusal)]
    return [
        _kinds(piece, terms),
        piece.first,
        piece.end,
        refused,
        *([list(column) for column in zip(*rows, strict=True)] or [[]] * 7),
    ]


def _compared(put: Put) -> tuple[object, ...]:
    row = put.row
    if by_cid(put.type):
        return put.kind, put.uri, put.cid, None, None, None, None
    rest = None if row.rest is None else json.dumps(row.rest)
    return put.kind, put.uri, put.cid, row.subject, row.subject_cid, row.created_at, rest


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


def writing(did: str, changes: Sequence[Put | Gone]) -> list[object]:
    """The arguments of `repair_write`, after the rev."""
    batch = Batch()
    for change in changes:
        if isinstance(change, Gone):
            batch.mark(change.kind, change.uri)
        else:
            batch.put(change.kind, change.uri, change.cid, change.row, change.came)
    batch.close(did, user=None, time=None)
    return [
        *(batch.buckets, batch.kind, batch.uri, batch.cid, batch.subject, batch.subject_cid, batch.created_at, batch.rest),
        [change.came if isinstance(change, Put) else None for change in changes],
        [change.quiet if isinstance(change, Put) else None for change in changes],
    ]
