"""Slices and changes as the arguments of calls: pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import libipld

from unified_indexer import json
from unified_indexer.database.repair.slices import IN_SETS, LOOKING, Gone, Part, Put, Refusal, Terms
from unified_indexer.database.write.batch import KIND_REFUSED, KINDS, OTHER, Batch
from unified_indexer.protocol.syntax import is_tid, tid_time

EARLIEST = datetime(2022, 1, 1, tzinfo=UTC)  # before the network: a key with an earlier time tells none


class Dates(NamedTuple):
    """When a record's commit came, as far as is known, and whether it notifies nobody."""

    came: datetime
    quiet: bool


def dates(path: str, created_at: datetime | None, terms: Terms) -> Dates:
    """As a record's key tells, which clients make as they write; not after the repo's newest commit. Without such a key as
    the record says, if that is past."""
    rkey = path.partition("/")[2]
    came = tid_time(rkey) if is_tid(rkey) else None
    if came is None or came < EARLIEST:
        came = created_at or terms.at
    said = created_at if created_at is not None and created_at < came else came
    quiet = terms.tell_after is None or said <= terms.tell_after
    return Dates(came if came <= terms.at else terms.at, quiet)


def comparison(parts: Sequence[Part]) -> list[object]:
    """The arguments of `repair_compare`."""
    rows = [_compared(one, part.terms) for part in parts for one in part.piece.records]
    slices = [(part.terms.did, part.number, part.rev, part.piece.first, part.piece.end) for part in parts]
    kinds = sorted({kind for part in parts for kind in _kinds(part)})
    return [*_columns(slices, 5), kinds, *_columns(rows, 7)]


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[Sequence[object]]:
    """The columns. One without values is empty: `unnest` fills it up, and each null would cost as much as a text to send."""
    columns = list(zip(*rows, strict=True)) or [()] * width
    return [() if column.count(None) == len(column) else column for column in columns]


def _compared(one: Put | Refusal, terms: Terms) -> tuple[object, ...]:
    if isinstance(one, Refusal):
        return KIND_REFUSED, f"at://{terms.did}/{one.path}", one.cid, None, None, None, None
    row, cid = one.row, libipld.encode_cid(one.cid)
    if row is None:
        return one.kind, one.uri, cid, None, None, None, None
    rest = None if row.rest is None else json.dumps(row.rest)
    return one.kind, one.uri, cid, row.subject, row.subject_cid, row.created_at, rest


def _kinds(part: Part) -> list[int]:
    """The types that may have rows within the slice's URIs."""
    found = [OTHER[0]]
    for collection, (kind, record_type) in KINDS.items():
        rows = f"at://{part.terms.did}/{collection}"
        if record_type is OTHER[1] or not part.terms.selection.takes_collection(collection):
            continue
        if f"{rows}/" < part.piece.end and f"{rows}0" > part.piece.first:
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


class New(NamedTuple):
    """A record that is to be written in a set. `of`: the place of its part, from 0; `values`: its element of each array."""

    of: int
    put: Put
    values: tuple[object, ...]


def new(of: int, put: Put, terms: Terms) -> New | None:
    """The record as one of a set; None where it has to be written on its own. It has its row."""
    row = put.row
    if row is None or put.kind not in IN_SETS:
        return None
    came, quiet = dates(put.path, row.created_at, terms)
    if put.type.returning and not quiet:
        return None  # whom it notifies depends on what others say of it
    rest = None if row.rest is None else json.dumps(row.rest)
    cid = libipld.encode_cid(put.cid)
    created_at = row.created_at or came
    told = None if quiet else False  # most are quiet, and columns without values cost nothing
    return New(of, put, (of + 1, put.kind, put.uri, cid, row.subject, row.subject_cid, created_at, rest, came, told))


def setting(parts: Sequence[Part], records: Sequence[New]) -> list[object]:
    """The arguments of `repair_set`."""
    repos: list[Any] = _columns([(part.terms.did, part.number, part.rev) for part in parts], 3)
    looks = any(record.put.kind in LOOKING for record in records)
    return [*repos, looks, *_columns([record.values for record in records], 10)]
