"""What the protocol's values mean, as far as the model must know: datetimes, TIDs, identifiers, the data model."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from relay_simulator.truth import Json

MAX_LEVELS = 64
MAX_URI = 512  # characters, as all of the following: what the columns of an existing database take
MAX_DID = 255
MAX_CID = 255
MAX_HANDLE = 253

_TID_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
_DID = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HANDLE = re.compile(rf"(?:{_LABEL}\.)+[a-zA-Z](?:[a-zA-Z0-9-]{{0,61}}[a-zA-Z0-9])?")
_RECORD_URI = re.compile(r"at://([^/]+)/([a-zA-Z][a-zA-Z0-9-]*(?:\.[a-zA-Z0-9-]+)+\.[a-zA-Z][a-zA-Z0-9]*)/([a-zA-Z0-9._:~-]+)")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,20}))?(?:(Z)|([+-])([0-9]{2}):([0-9]{2}))"
)


class Refused(Exception):
    """An operation that gives no row; the message is the reason."""


class RecordUri(NamedTuple):
    """The parts of at://did/collection/rkey."""

    did: str
    collection: str
    rkey: str


def record_uri(uri: Any) -> RecordUri | None:
    """The parts of a URI that names one record by its DID, and fits the columns; None for anything else."""
    found = _RECORD_URI.fullmatch(uri) if isinstance(uri, str) and len(uri) <= MAX_URI else None
    if found is None or not is_did(found[1]) or found[3] in (".", ".."):
        return None
    return RecordUri(*found.groups())


def authority(uri: str) -> str:
    """The DID of a record's URI."""
    return uri.split("/")[2]


def is_did(value: Any) -> bool:
    """Whether it is a DID that fits the columns."""
    return isinstance(value, str) and len(value) <= MAX_DID and _DID.fullmatch(value) is not None


def is_handle(value: Any) -> bool:
    """Whether it is a handle, by syntax alone."""
    return isinstance(value, str) and len(value) <= MAX_HANDLE and _HANDLE.fullmatch(value) is not None


def instant(text: str) -> datetime | None:
    """The instant of a protocol datetime, None for anything else."""
    found = _TIME.fullmatch(text)
    if found is None or text.endswith("-00:00"):
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    micros = int((found[7] or "").ljust(6, "0")[:6])
    shift = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0))
    if shift >= timedelta(hours=24) or int(found[11] or 0) > 59:
        return None
    try:
        local = datetime(year, month, day, hour, minute, second, micros, UTC)
        found_instant = local + shift if found[9] == "-" else local - shift
        if found_instant == datetime(1, 1, 1, tzinfo=UTC):  # a driver writes the two ends of the calendar as infinity
            return datetime(1, 1, 1, 0, 0, 0, 1, UTC)
        last = datetime(9999, 12, 31, 23, 59, 59, 999998, UTC)
        return min(found_instant, last)
    except (ValueError, OverflowError):
        return None


def tid_time(tid: str) -> datetime:
    """The instant in a TID."""
    number = 0
    for digit in tid:
        number = number * 32 + _TID_DIGITS.index(digit)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number >> 10)


def field_of(value: Any, name: str) -> Any:
    """A field of what may be no map; None if it isn't there."""
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def kind_of(value: Any, name: str, kind: type) -> Any:
    """A field of a record that is of this kind; None if it isn't there or is anything else, for it only adds to the record."""
    found = field_of(value, name)
    return found if isinstance(found, kind) else None


def texts_of(value: Any, name: str) -> list[str] | None:
    """The texts in a list; None if the field isn't there or is none."""
    found = kind_of(value, name, list)
    return None if found is None else [item for item in items_of(found) if isinstance(item, str)]


def items_of(value: Any) -> list[Any]:
    """The items of what may be no list."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def without_nul(value: Json) -> Json:
    """The value with NUL taken out of its texts and keys."""
    if isinstance(value, dict):
        return {key.replace("\0", ""): without_nul(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nul(inner) for inner in value]
    return value.replace("\0", "") if isinstance(value, str) else value


def check_data_model(value: Json, level: int) -> None:
    """Refuses what is not the data model: floats, integers beyond int64, over 64 levels of maps and lists, odd `$type`s."""
    if isinstance(value, dict | list) and level > MAX_LEVELS:
        raise Refused("nested too deep")
    match value:
        case dict():
            _check_type(value)
            for inner in value.values():
                check_data_model(inner, level + 1)
        case list():
            for inner in value:
                check_data_model(inner, level + 1)
        case float():
            raise Refused("a float")
        case int() if not -(2**63) <= value < 2**63:
            raise Refused("an integer beyond 64 bits")
        case _:
            pass


def _check_type(fields: dict[str, Json]) -> None:
    """A map's `$type` is a text that isn't empty."""
    if "$type" in fields and (not isinstance(fields["$type"], str) or not fields["$type"]):
        raise Refused("an odd $type")
