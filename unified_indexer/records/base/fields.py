"""Read the fields of a record as its lexicon defines them, or refuse it with a named reason."""

import re
from datetime import datetime
from typing import Any, cast

from unified_indexer.errors import Rejected
from unified_indexer.protocol.syntax import AtUri, is_did, parse_at_uri, parse_datetime
from unified_indexer.records.base.values import MAX_CID_CHARS, MAX_DID_CHARS, MAX_URI_CHARS, Record

JSON_KINDS = {str: "a string", list: "an array", dict: "an object"}
CID_TEXT = re.compile(rf"[a-zA-Z0-9+=]{{8,{MAX_CID_CHARS}}}")  # the protocol's syntax


def created_at(record: Record) -> datetime | None:
    """`createdAt` as an instant, None if it is absent or unusable (clients write anything)."""
    value = record.get("createdAt")
    return parse_datetime(value) if isinstance(value, str) else None


def wrong_type(field: str, expected: str) -> Rejected:
    """The refusal of a field whose type is not that of its lexicon."""
    return Rejected("wrong_type", f"{field} is not {expected}")


def required_text(record: Record, field: str) -> str:
    """A field that must be present and be a string."""
    if field not in record:
        raise Rejected("missing_field", field)
    value = record[field]
    if not isinstance(value, str):
        raise wrong_type(field, "a string")
    return value


def required(record: Record, field: str, kind: type) -> Any:
    """A field that must be present and be a `kind` (list or dict)."""
    if field not in record:
        raise Rejected("missing_field", field)
    value = record[field]
    if not isinstance(value, kind):
        raise wrong_type(field, JSON_KINDS[kind])
    return value


def optional(record: Record, field: str, kind: type) -> Any:
    """A field that decides what the record means: absent (or null, which is the same), otherwise a `kind` (list or dict)."""
    value = record.get(field)
    if value is not None and not isinstance(value, kind):
        raise wrong_type(field, JSON_KINDS[kind])
    return value


def ornament(record: Record, field: str, kind: type) -> Any:
    """A field that only adds to a record: a `kind` (str, list or dict). Any other value is left out, and the record stays."""
    value = record.get(field)
    return value if isinstance(value, kind) else None


def texts(record: Record, field: str) -> list[str] | None:
    """The strings of an array that only adds to a record; None if the field is not an array. Other items are left out."""
    match record.get(field):
        case [*values]:
            return [value for value in cast("list[object]", values) if isinstance(value, str)]
        case _:
            return None


def strong_ref(record: Record, field: str, *, handles: bool = False) -> tuple[str, str]:
    """(uri, cid) of a required com.atproto.repo.strongRef: the at-uri of a record, and a CID as text.

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


def required_limited(record: Record, field: str, most: int) -> str:
    """A field that must be present and be a string of at most this many characters, the width of its column."""
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
    """The CID of a blob as text, also in the form before 2023 ({cid, mimeType}). None for anything else, which is left out."""
    match record.get(field):
        case {"ref": {"$link": str(cid)}}:
            return cid
        case {"cid": str(cid), "mimeType": str()} if CID_TEXT.fullmatch(cid):
            return cid
        case _:
            return None
