"""What a record type is: the one value that each file of `records/` gives, and the checks that its fields need.

A `RecordType` says where a collection's records go (table, columns, indexes), how a record becomes a row (a pure function), and
what follows from the row (`effects`). Dispatch, the SQL that writes and deletes, the account wipe, the schema of an empty
database and the check of an existing one all derive from it.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

from indexer.errors import Rejected
from indexer.protocol.syntax import AtUri, is_did, parse_at_uri, parse_datetime
from indexer.records.base.effects import MAX_URI_CHARS, Effect

# The narrowest columns that an existing database has; the same on both databases, so that the rows don't depend on which of the
# two was met. (URIs: effects.MAX_URI_CHARS.)
MAX_DID_CHARS = 255
MAX_CID_CHARS = 255

MAX_RULES = 100  # of a gate; the lexicons say 5

# PostgreSQL refuses a tsvector over 1 MB; the first 100 kB of a text say what it is about.
MAX_SEARCH_BYTES = 100_000

EVERY_OTHER = "*"
"""The collection of the one record type that takes what no other type is for."""

Record = dict[str, Any]
"""A record in the protocol's JSON form, without NULs (`protocol.data_model.to_json_form`)."""


class Place(NamedTuple):
    """Where a record stands: its account, its key, its at-uri."""

    did: str
    rkey: str
    uri: str


class Row(NamedTuple):
    """A record as SQL gets it: what all types share as typed values, the rest as one JSON object.

    `created_at` is None where the record's createdAt is absent or unusable: then the commit's time stands in. `meets`: the
    URIs (or DIDs) at which records of several repos meet, so that one must wait for the other: whatever the row's effects
    count or look up of another repo's (see `RecordType.meets`).
    """

    subject: str | None
    subject_cid: str | None
    created_at: datetime | None
    rest: dict[str, Any] | None
    meets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column that the worker writes.

    `type` is its type in a schema of our own (with its constraints); `value` the SQL expression that fills it, over the
    variables of `database/sql.py`: p_did, p_rev, p_seq, p_at, v_uri, v_cid, v_subject, v_subject_cid, v_created_at, v_rest, and
    `{schema}`, where the record tables live (a brace of SQL's own is doubled).
    `updated`: the expression for a row that is there already, where it is another: `t` is that row.
    `cleared`: what deleting the record sets it to, where deleting leaves the row (`RecordType.row_stays`).
    `optional`: an existing table may lack it. An application's table stays without it, and nobody writes it there. A table that
    an earlier version of ours made gains it at the first start of a version with one more step in `database/migrations.py`.
    `needed`: for an optional column that effects depend on: the SQL value that counts where nothing else is known. Where the
    table lacks the column, `unified_worker.kept_values` keeps what differs from that. Never read such a column itself: the
    function `unified_worker.<table>_<column>(<key>)` gives its value on every database. (Not for types with a unique key.)
    `ahead`: a tsvector, which is slow to make of a long text and looks at nobody else's rows: it is made before the locks are
    taken.
    """

    name: str
    type: str
    value: str
    updated: str | None = None
    cleared: str | None = None
    optional: bool = False
    ahead: bool = False
    needed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordType:
    """One record type: its collection's NSID, its table, and how a record becomes a row of it.

    `row` raises Rejected for an unusable record. `key` is the primary key's column. `unique`: the columns of the unique index
    by which duplicates are told (design: the oldest created_at, then uri, holds; the others wait). `rkey`: the only record key
    that is meaningful. `row_stays`: deleting the record clears columns instead of deleting the row. `other_columns`: columns
    that others fill, needed only when the table is ours to create.

    `effects`: what follows from a row. `meets`: SQL expressions over a row `t`, equal to the `meets` of the Row it came from.
    `cid`: where the columns have no CID, the expression that still finds it while `r` is the row. `shows`: the column that
    shows the count of that name in post_aggregations. `functions`: SQL functions that the effects call. `returning`: what
    of a written row goes into which variable. `record_uri`: the expression for the URI of the record that the row `t` is of.
    `share`: of the live network's operations, as far as it is worth a word: what is frequent is looked for first.
    `timed`: `unified_worker.commit_times` keeps when the record's last commit came, since others are judged by it and the
    table has no column for it.
    `rivals`: what different accounts write competes for one unique key, so the earliest commit holds it, whatever a record says
    of its own age.
    """

    collection: str
    table: str
    row: Callable[[Record, Place], Row]
    columns: tuple[Column, ...]
    indexes: tuple[str, ...] = ()
    other_columns: tuple[str, ...] = ()
    key: str = "uri"
    unique: tuple[str, ...] = ()
    rkey: str | None = None
    row_stays: bool = False
    effects: tuple[Effect, ...] = ()
    meets: tuple[str, ...] = ()
    cid: str = "NULL"
    shows: str | None = None
    functions: tuple[str, ...] = ()
    returning: str = ""
    record_uri: str = "t.uri"
    share: float = 0.0
    timed: bool = False
    rivals: bool = False

    @property
    def author(self) -> str | None:
        """The column that holds the DID of the account that wrote the record; None where only the key tells it."""
        return next((column.name for column in self.columns if column.value == "p_did"), None)

    @property
    def filled(self) -> str:
        """The condition on a row `t` that a record is in it, where deleting the record leaves the row."""
        return " OR ".join(f"t.{column.name} IS NOT NULL" for column in self.columns if column.cleared == "NULL")

    @property
    def shared(self) -> bool:
        """Whether records of several accounts compete for one unique key: then they meet there."""
        return bool(self.unique and self.meets) and self.author not in self.unique

    @property
    def kind(self) -> int:
        """The number, in SQL, of putting such a record; deleting one is the next. 0 to 32,766: a smallint.

        It depends on nothing but the collection: workers of two relays share one database's functions, also while one of them
        is of a version that has more types.
        """
        return 2 * (int.from_bytes(hashlib.sha256(self.collection.encode()).digest()[:2], "big") >> 2)


# Text that is looked up and never sorted for people: compared by its bytes, which is faster than by a language's rules, and
# indexes outlive a change of those.
KEY = 'text COLLATE "C"'

URI = Column(name="uri", type=f"{KEY} PRIMARY KEY", value="v_uri")
OF_POST = Column(
    name="post_uri",
    type=f"{KEY} PRIMARY KEY",
    value="'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5)",
)
CID = Column(name="cid", type="text NOT NULL", value="v_cid")
LIKE_COUNT = Column(
    name="like_count",
    type="integer NOT NULL DEFAULT 0",
    value="coalesce((SELECT a.like_count FROM {schema}.post_aggregations AS a WHERE a.post_uri = v_uri), 0)",
)
CREATED_AT = Column(name="created_at", type="timestamptz NOT NULL", value="v_created_at")
INDEXED_AT = Column(name="indexed_at", type="timestamptz NOT NULL DEFAULT now()", value="now()")
COMMIT = (
    Column(name="commit_time", type="timestamptz", value="p_at"),
    Column(name="commit_seq", type="text", value="p_seq::text"),
    Column(name="commit_rev", type="text", value="p_rev"),
)


JSON_KINDS = {str: "a string", list: "an array", dict: "an object"}
CID_TEXT = re.compile(rf"[a-zA-Z0-9+=]{{8,{MAX_CID_CHARS}}}")  # the protocol's syntax


def created_at(record: Record) -> datetime | None:
    """`createdAt` as an instant, None where it is absent or unusable (it is whatever the client wrote)."""
    value = record.get("createdAt")
    return parse_datetime(value) if isinstance(value, str) else None


def wrong_type(field: str, expected: str) -> Rejected:
    """The refusal of a field that is not what its lexicon says."""
    return Rejected("wrong_type", f"{field} is not {expected}")


def required_text(record: Record, field: str) -> str:
    """A field that must be there and be a string."""
    if field not in record:
        raise Rejected("missing_field", field)
    value = record[field]
    if not isinstance(value, str):
        raise wrong_type(field, "a string")
    return value


def required(record: Record, field: str, kind: type) -> Any:
    """A field that must be there and be a `kind` (list or dict)."""
    if field not in record:
        raise Rejected("missing_field", field)
    value = record[field]
    if not isinstance(value, kind):
        raise wrong_type(field, JSON_KINDS[kind])
    return value


def optional(record: Record, field: str, kind: type) -> Any:
    """A field that decides what the record means: absent (or null, which is the same), else a `kind` (list or dict)."""
    value = record.get(field)
    if value is not None and not isinstance(value, kind):
        raise wrong_type(field, JSON_KINDS[kind])
    return value


def ornament(record: Record, field: str, kind: type) -> Any:
    """A field that adds to a record: a `kind` (str, list or dict). Anything else is left out, and the record stays."""
    value = record.get(field)
    return value if isinstance(value, kind) else None


def texts(record: Record, field: str) -> list[str] | None:
    """The strings of an array that adds to a record; None where the field is no array. Anything else in it is left out."""
    match record.get(field):
        case [*values]:
            return [value for value in cast("list[object]", values) if isinstance(value, str)]
        case _:
            return None


def strong_ref(record: Record, field: str, *, handles: bool = False) -> tuple[str, str]:
    """(uri, cid) of a required com.atproto.repo.strongRef: an at-uri of a record, and a CID as text.

    `handles`: the at-uri may name its account by a handle, which is kept as written and counts for nothing.
    """
    if field not in record:
        raise Rejected("missing_field", field)
    value = record[field]
    if not isinstance(value, dict):
        raise wrong_type(field, "an object")
    ref = cast("Record", value)
    uri, cid = required_text(ref, "uri"), required_text(ref, "cid")
    check_record_uri(uri, f"{field}.uri", handles=handles)
    if len(cid) > MAX_CID_CHARS:
        raise Rejected("cid_too_long", f"{field}.cid")
    return uri, cid


def check_record_uri(uri: str, field: str, *, handles: bool = False) -> AtUri:
    """The parts of an at-uri of one record (at://did/collection/rkey). Refuses any other, and one longer than the columns."""
    if len(uri) > MAX_URI_CHARS:
        raise Rejected("uri_too_long", field)
    try:
        parts = parse_at_uri(uri)
    except ValueError as error:
        raise Rejected("bad_uri", f"{field}: {error}") from None
    if parts.collection is None or parts.rkey is None or not (handles or parts.authority.startswith("did:")):
        raise Rejected("bad_uri", f"{field} names no record by its DID")
    if len(parts.authority) > MAX_DID_CHARS:
        raise Rejected("did_too_long", field)
    return parts


def required_record(record: Record, field: str, collection: str) -> AtUri:
    """The parts of a field that must be the at-uri of a record of this collection."""
    parts = check_record_uri(required_text(record, field), field)
    if parts.collection != collection:
        raise Rejected("bad_uri", f"{field} names no {collection}")
    return parts


def rules(record: Record, field: str) -> list[Any] | None:
    """A gate's rules, where it has any: each reply or quote is judged by all of them."""
    found: list[Any] | None = optional(record, field, list)
    if found is not None and len(found) > MAX_RULES:
        raise Rejected("too_many_rules", f"{len(found)} in {field}, at most {MAX_RULES}")
    return found


def own_post(record: Record, at: Place) -> str:
    """The field `post` of a gate, which is of its own account's post of its own key (app.bsky.feed.threadgate, postgate)."""
    post = required_text(record, "post")
    check_record_uri(post, "post")
    if post != f"at://{at.did}/app.bsky.feed.post/{at.rkey}":
        raise Rejected("gate_of_another_post", post)
    return post


def required_limited(record: Record, field: str, most: int) -> str:
    """A field that must be there and be a string of at most so many characters, which is what its column takes."""
    value = required_text(record, field)
    if len(value) > most:
        raise Rejected(f"{field}_too_long", f"{len(value)} characters, at most {most}")
    return value


def required_did(record: Record, field: str) -> str:
    """A field that must be a DID, no longer than the columns."""
    did = required_text(record, field)
    if len(did) > MAX_DID_CHARS:
        raise Rejected("did_too_long", field)
    if not is_did(did):
        raise Rejected("bad_did", field)
    return did


def blob_cid(record: Record, field: str) -> str | None:
    """The CID, as text, of a blob, of the form before 2023 too ({cid, mimeType}); None for anything else, which is left out."""
    match record.get(field):
        case {"ref": {"$link": str(cid)}}:
            return cid
        case {"cid": str(cid), "mimeType": str()} if CID_TEXT.fullmatch(cid):
            return cid
        case _:
            return None


def search_text(text: str) -> str:
    """As much of a text as goes into a search vector."""
    if len(text) <= MAX_SEARCH_BYTES // 4:  # no character takes more than four bytes
        return text
    return text.encode()[:MAX_SEARCH_BYTES].decode(errors="ignore")
