"""Records of a repo in key order, as what the database compares and writes: pure, by the record types."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import libipld

from unified_indexer.database.functions.repair import by_cid
from unified_indexer.database.functions.sets import in_sets, looks
from unified_indexer.database.write.batch import KINDS, OTHER, row_of
from unified_indexer.errors import Rejected
from unified_indexer.protocol.data_model import to_json_form
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import RecordAddress, Row
from unified_indexer.selection import Selection

BY_CID = frozenset(kind for kind, record_type in (*KINDS.values(), OTHER) if by_cid(record_type))
"""The kinds that are compared by CIDs alone."""
IN_SETS = frozenset(kind for kind, record_type in (*KINDS.values(), OTHER) if in_sets(record_type))
LOOKING = frozenset(kind for kind, record_type in KINDS.values() if looks(record_type))
"""The kinds of which a set is made, where all is new; and those of them that have to do with others' rows."""


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


class Part(NamedTuple):
    """A slice of a repo that is being repaired. `number`: of the claim. `rev`: letters up to it are closed; None: none are.
    `new`: as in Begun."""

    number: int
    rev: str | None
    piece: Slice
    terms: Terms
    new: bool = False


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
    """The records, as far as they are needed to compare them."""
    prefix = f"at://{terms.did}/"
    read: list[Put | Refusal] = []
    collection, (kind, record_type), taken, by_cids = "", OTHER, False, False
    for record in records:
        path = record.path
        name, _, rkey = path.partition("/")
        if name != collection:  # those of one collection come together
            collection, (kind, record_type) = name, KINDS.get(name, OTHER)
            taken, by_cids = terms.selection.takes_collection(name), kind in BY_CID
        if not taken:
            continue
        uri = prefix + path
        if by_cids:
            read.append(Put(kind, record_type, path, uri, record.cid, record.block))
        else:
            read.append(_with_row(kind, record_type, path, RecordAddress(terms.did, rkey, uri), record.cid, record.block, name))
    return Slice(first, end, read, len(read) < len(records))


def with_row(put: Put, terms: Terms) -> Put | Refusal:
    """The record with its row, or why it can't be written."""
    collection, _, rkey = put.path.partition("/")
    return _with_row(put.kind, put.type, put.path, RecordAddress(terms.did, rkey, put.uri), put.cid, put.block, collection)


def _with_row(
    kind: int, record_type: RecordType, path: str, at: RecordAddress, cid: bytes, block: bytes, collection: str
) -> Put | Refusal:
    try:
        if record_type.rkey not in (None, at.rkey):
            raise Rejected("bad_rkey", f"{at.rkey} is not {record_type.rkey}")
        row = row_of(record_type, to_json_form(block), at, collection)
    except Rejected as refusal:
        return Refusal(path, libipld.encode_cid(cid), refusal.reason, refusal.detail)
    return Put(kind, record_type, path, at.uri, cid, block, row)
