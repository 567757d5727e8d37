"""Identifiers and datetimes, checked by their specifications: https://atproto.com/specs/ did, nsid, record-key, tid,
at-uri-scheme, handle and lexicon (datetime).

The checks are predicates on `str`, cheap enough for every operation of the stream. Patterns say `[0-9]` and are used by
`fullmatch`: a backslash-d takes digits of all scripts, and `$` matches before a trailing newline.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

MAX_DID_CHARACTERS = 2048  # the specification's; what the database takes is less, see frames.MAX_DID_CHARACTERS
MAX_NSID_CHARACTERS = 317
MAX_HANDLE_CHARACTERS = 253
MAX_AT_URI_CHARACTERS = 8192
NO_HANDLE = "handle.invalid"  # stands for a handle that is not known to be the account's

_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC) + _MICROSECOND, datetime.max.replace(tzinfo=UTC) - _MICROSECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = 2**51  # microseconds, until 2041: divided, they lie within a quarter of one from where they were
_TID_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
_SORTABLE_TO_BASE32 = bytes.maketrans(_TID_DIGITS.encode(), b"0123456789abcdefghijklmnopqrstuv")

_did = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]").fullmatch
_nsid = re.compile(
    r"[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+"
    r"\.[a-zA-Z][a-zA-Z0-9]{0,62}"
).fullmatch
_record_key = re.compile(r"[a-zA-Z0-9._:~-]{1,512}").fullmatch
_tid = re.compile(r"[2-7a-j][2-7a-z]{12}").fullmatch  # the first digit has 4 bits: a TID's top bit is 0
_did_uri = re.compile(r"at://(did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-])/([^/]+)/([a-zA-Z0-9._:~-]{1,512})").fullmatch
_handle = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
).fullmatch
_datetime = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,20})?(?:Z|(?!-00:00)[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch


class AtUri(NamedTuple):
    """An at-URI's parts. `authority` is a DID or a handle; without a collection there is no rkey."""

    authority: str
    collection: str | None
    rkey: str | None


def is_did(text: str) -> bool:
    """Whether `text` is a DID of any method."""
    return _did(text) is not None and len(text) <= MAX_DID_CHARACTERS


def is_nsid(text: str) -> bool:
    """Whether `text` is an NSID, the name of a collection."""
    return len(text) <= MAX_NSID_CHARACTERS and _is_short_nsid(text)


@lru_cache(maxsize=4096)  # the stream has some hundred collections, and the pattern costs 1 µs
def _is_short_nsid(text: str) -> bool:
    return _nsid(text) is not None


def is_record_key(text: str) -> bool:
    """Whether `text` is a record key."""
    return _record_key(text) is not None and text != "." and text != ".."


def is_record_path(text: str) -> bool:
    """Whether `text` is a record's path in its repo: collection/rkey."""
    collection, _, rkey = text.partition("/")
    return is_nsid(collection) and is_record_key(rkey)


def is_tid(text: str) -> bool:
    """Whether `text` is a TID, the form of every `rev`. TIDs sort as text by their time."""
    return _tid(text) is not None


def is_handle(text: str) -> bool:
    """Whether `text` is a handle, by syntax alone."""
    return len(text) <= MAX_HANDLE_CHARACTERS and _handle(text) is not None


def parse_at_uri(text: str) -> AtUri:
    """The parts of an at-URI in the restricted form that records use: authority, collection, rkey, nothing after.

    Raises ValueError for anything else.
    """
    record = _did_uri(text) if len(text) <= MAX_DID_CHARACTERS else None
    if record is not None:  # as nearly all are, whole
        authority, collection, rkey = record.groups()
        if is_nsid(collection) and rkey != "." and rkey != "..":
            return AtUri(authority, collection, rkey)
    if not text.startswith("at://") or len(text) > MAX_AT_URI_CHARACTERS:
        raise ValueError("not an at-URI")
    parts = text[5:].split("/", 3)
    authority = parts[0]
    if not (is_did(authority) if authority.startswith("did:") else is_handle(authority)):
        raise ValueError("an at-URI's authority is a DID or a handle")
    if len(parts) == 1:
        return AtUri(authority, None, None)
    if not is_nsid(parts[1]):
        raise ValueError("an at-URI's collection is an NSID")
    if len(parts) == 2:
        return AtUri(authority, parts[1], None)
    if len(parts) == 4 or not is_record_key(parts[2]):
        raise ValueError("an at-URI ends with a record key")
    return AtUri(authority, parts[1], parts[2])


def parse_datetime(text: str) -> datetime | None:
    """The instant of a protocol datetime, in UTC, to the microsecond; None where the text is no such datetime.

    None stands also for what no calendar has (month 0, a leap second), and for instants outside the years 1 to 9999.
    Their first and last microsecond is moved by one: PostgreSQL's drivers take both for infinity.
    """
    if _datetime(text) is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
        instant = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
        return min(max(instant, _FIRST), _LAST)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1024)  # commits arrive in the order of their revs, or nearly
def _tid_second(head: str) -> datetime:
    return tid_time(head + "222222")


def tid_second(tid: str) -> datetime:
    """`tid_time` to the second (2**20 µs, rounded down), at a fraction of its price. `tid` has passed `is_tid`."""
    return _tid_second(tid[:7])


def first_tid(time: datetime) -> str:
    """The lowest TID of this instant (of 1970 or later)."""
    number = (time - _EPOCH) // _MICROSECOND << 10
    return "".join(_TID_DIGITS[number >> 5 * place & 31] for place in reversed(range(13)))


def tid_time(tid: str) -> datetime:
    """The instant in a TID, in UTC. `tid` has passed `is_tid`."""
    micros = int(tid.encode().translate(_SORTABLE_TO_BASE32), 32) >> 10
    if micros < _EXACT:
        return datetime.fromtimestamp(micros / 1_000_000, UTC)  # a third of the other's price
    return _EPOCH + timedelta(microseconds=micros)
