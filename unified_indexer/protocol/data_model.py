"""Convert one record from DAG-CBOR to the protocol's JSON form, and check it.

Source: https://atproto.com/specs/data-model. A link becomes {"$link": "bafy…"}, a byte string {"$bytes": "…"} (base64 without
padding). Refused, each by name:
    record_too_large     over 1 MB
    bad_record           not strict DAG-CBOR, or over 100,000 values
    record_not_map       the top level is no map
    missing_type         the top level has no `$type`
    bad_type             a `$type` that is no text, or empty
    record_too_deep      nested deeper than 64
    float                the data model has none
    integer_range        outside 64 bits with sign
    reserved_key         a map with the key `$link` or `$bytes`, which the JSON form gives a meaning
    bad_link             a CID that has no text form
Not refused is a map whose `$type` is blob, but whose fields make none: it is a picture at most, and who reads it leaves it out.
NUL characters are removed from keys and texts, for no PostgreSQL text holds them. Keys that become equal thereby: the first in
DAG-CBOR's order stands, which is the shortest, the one with the fewest NULs.
"""

from base64 import b64encode
from typing import Any, cast

import cbor2
import libipld

from unified_indexer.errors import Rejected
from unified_indexer.protocol.car import CID_BYTES, DAG_CBOR_PREFIX, RAW_PREFIX
from unified_indexer.protocol.dag_cbor import decode

MAX_RECORD_BYTES = 2**20  # the specification's 1 MB
MAX_DEPTH = 64  # levels of maps and lists; real records have about 8, PostgreSQL's jsonb gives up in the thousands

_INT64 = 2**63
_CID_PREFIXES = (DAG_CBOR_PREFIX, RAW_PREFIX)
# The end of a 36-byte string's header, in any encoding, before a CID's prefix: bytes that look like a link, but are none.
_BYTES_LIKE_LINKS = (b"\x24" + DAG_CBOR_PREFIX, b"\x24" + RAW_PREFIX)
_encode_cid = libipld.encode_cid


class _AmbiguousError(Exception):
    """A byte string that may be a link or not: the fast decoder gives both as `bytes`."""


def to_json_form(block: bytes) -> dict[str, Any]:
    """A record block (DAG-CBOR) as plain JSON values. Raises Rejected with a reason of the list above."""
    if len(block) > MAX_RECORD_BYTES:
        raise Rejected("record_too_large", f"{len(block)} bytes, at most {MAX_RECORD_BYTES}")
    try:
        record = decode(block)
    except RecursionError:
        raise Rejected("record_too_deep", f"nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise Rejected("bad_record", str(error)[:200]) from None
    if type(record) is not dict:
        raise Rejected("record_not_map", f"a {type(record).__name__}")
    fields = cast("dict[str, Any]", record)
    try:
        _map(fields, [block], 1)
    except _AmbiguousError:
        fields = _exactly(block)
        _map(fields, None, 1)
    if "$type" not in fields:
        raise Rejected("missing_type", "the record has no $type")
    return fields


def _exactly(block: bytes) -> dict[str, Any]:
    """The record with links as CBORTag, kept apart from byte strings. `block` has passed the strict decoder.

    What that one accepts, this one accepts up to its own bound on depth (400), which counts tags as well.
    """
    try:
        return cast("dict[str, Any]", cbor2.loads(block))
    except cbor2.CBORDecodeError as error:
        raise Rejected("record_too_deep", str(error)[:200]) from None


def _map(fields: dict[str, Any], unsearched: list[bytes] | None, depth: int) -> None:
    """Brings a map into JSON form, in place.

    `unsearched` holds the block until the first link, which has it searched for byte strings that look like links: once, for
    25,000 links in 1 MB would else take 20 seconds. None where links come as CBORTag.
    """
    if depth > MAX_DEPTH:
        raise Rejected("record_too_deep", f"nested deeper than {MAX_DEPTH}")
    nul_in_key = False
    value: object
    for key, value in fields.items():
        if "\0" in key:
            nul_in_key = True
        if type(value) is str:
            if "\0" in value:
                fields[key] = value.replace("\0", "")
        elif type(value) is dict:
            _map(cast("dict[str, Any]", value), unsearched, depth + 1)
        elif type(value) is list:
            _list(cast("list[Any]", value), unsearched, depth + 1)
        elif type(value) is int:
            if not -_INT64 <= value < _INT64:
                raise Rejected("integer_range", f"{key[:100]!a}: {value}")
        elif type(value) is not bool and value is not None:
            fields[key] = _other(value, unsearched)
    if nul_in_key:
        _remove_nul(fields)
    if "$type" in fields:
        _check_type(fields)
    if "$link" in fields or "$bytes" in fields:
        raise Rejected("reserved_key", "a map with the key $link or $bytes")


def _list(values: list[Any], unsearched: list[bytes] | None, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Rejected("record_too_deep", f"nested deeper than {MAX_DEPTH}")
    value: object
    for i, value in enumerate(values):
        if type(value) is str:
            if "\0" in value:
                values[i] = value.replace("\0", "")
        elif type(value) is dict:
            _map(cast("dict[str, Any]", value), unsearched, depth + 1)
        elif type(value) is list:
            _list(cast("list[Any]", value), unsearched, depth + 1)
        elif type(value) is int:
            if not -_INT64 <= value < _INT64:
                raise Rejected("integer_range", f"in a list: {value}")
        elif type(value) is not bool and value is not None:
            values[i] = _other(value, unsearched)


def _other(value: object, unsearched: list[bytes] | None) -> dict[str, str]:
    """The JSON form of what is no text, container, integer, boolean or null: links and byte strings; floats are refused."""
    if type(value) is float:
        raise Rejected("float", repr(value))
    if unsearched is None:
        if isinstance(value, cbor2.CBORTag):
            return _link(cast("bytes", value.value)[1:])
        return {"$bytes": b64encode(cast("bytes", value)).decode().rstrip("=")}
    cid = cast("bytes", value)
    if len(cid) != CID_BYTES or not cid.startswith(_CID_PREFIXES) or (unsearched and _holds_lookalikes(unsearched.pop())):
        raise _AmbiguousError
    return {"$link": _encode_cid(cid)}


def _holds_lookalikes(block: bytes) -> bool:
    return any(mark in block for mark in _BYTES_LIKE_LINKS)


def _link(cid: bytes) -> dict[str, str]:
    try:
        return {"$link": _encode_cid(cid)}
    except ValueError as error:
        raise Rejected("bad_link", str(error)[:200]) from None


def _remove_nul(fields: dict[str, Any]) -> None:
    cleaned: dict[str, Any] = {}
    for key, value in fields.items():
        cleaned.setdefault(key.replace("\0", ""), value)
    fields.clear()
    fields.update(cleaned)


def _check_type(fields: dict[str, Any]) -> None:
    name: object = fields["$type"]
    if type(name) is not str or not name:
        raise Rejected("bad_type", "a $type that is no text, or empty")
