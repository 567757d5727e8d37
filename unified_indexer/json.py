"""JSON that PostgreSQL can store as jsonb, from records and other Python values."""

import base64
import dataclasses
import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, cast

import orjson

# What orjson would write in its own way is left to SafeJSONEncoder, so that one value has one form.
_ORJSON_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_ESCAPED_NUL = rb"\u0000"
# One emoji makes Python hold a text with four bytes a character: the rows of two hostile profiles took 166 MB, escaped 88.
_LARGE = 2**16  # bytes; what honest records hold is far less


def dumps(value: object) -> str:
    """`value` as compact JSON that jsonb accepts: no NUL, no lone surrogate, no NaN.

    Raises TypeError for a value of a type that has no JSON form, RecursionError for one nested beyond Python's stack.
    """
    try:
        text = orjson.dumps(value, option=_ORJSON_OPTIONS)
    except orjson.JSONEncodeError:
        return _encoder.encode(value)
    if len(text) > _LARGE and not text.isascii():
        return _encoder.encode(value)
    # Found as well where a user typed a backslash and u0000; the slow way tells the two apart.
    return _encoder.encode(value) if _ESCAPED_NUL in text else text.decode()


class SafeJSONEncoder(json.JSONEncoder):
    """json's encoder, for values that json or PostgreSQL would refuse.

    bytes become {"$bytes": base64 without padding} and CIDs {"$link": text}, the protocol's JSON form
    (https://atproto.com/specs/data-model); aware and naive (taken as UTC) datetimes RFC 3339 with Z; dates ISO 8601;
    sets sorted lists; dataclasses objects; non-finite floats null. NUL is removed from strings and keys, and a lone surrogate
    becomes U+FFFD: jsonb can hold neither. Where two keys become one by that, the last stands.
    """

    def encode(self, o: Any) -> str:
        return super().encode(_clean(o) if isinstance(o, str) else o)

    def iterencode(self, o: Any, _one_shot: bool = False) -> Iterator[str]:
        return super().iterencode(self._plain(o), _one_shot)

    def default(self, o: Any) -> Any:
        match o:
            case bytes() | bytearray() | memoryview():
                return {"$bytes": base64.b64encode(bytes(cast("bytes", o))).rstrip(b"=").decode("ascii")}
            case datetime():
                aware = o.replace(tzinfo=UTC) if o.tzinfo is None else o.astimezone(UTC)
                return aware.replace(tzinfo=None).isoformat() + "Z"
            case date():
                return o.isoformat()
            case set() | frozenset():
                return _sorted(cast("set[object]", o))
            case _ if dataclasses.is_dataclass(o) and not isinstance(o, type):
                return {field.name: getattr(o, field.name) for field in dataclasses.fields(o)}
            # By name: such a value exists only where that library was imported, and nothing here needs it otherwise.
            case _ if type(o).__name__ == "CID" and type(o).__module__.startswith("atproto_core."):
                return {"$link": str(o)}
            case _:
                return super().default(o)

    def _plain(self, value: Any) -> Any:
        """`value` in dict, list, str, int, float, bool and None alone, each of them storable."""
        match value:
            case None | bool() | int():
                return value
            case str():
                return _clean(value)
            case float():
                return value if math.isfinite(value) else None
            case dict():
                items = cast("dict[object, object]", value).items()
                return {_clean(key) if isinstance(key, str) else key: self._plain(item) for key, item in items}
            case list() | tuple():
                return [self._plain(item) for item in cast("list[object]", value)]
            case _:
                return self._plain(self.default(value))


def _clean(text: str) -> str:
    text = text.replace("\0", "")
    if text.isascii():
        return text
    # Through UTF-16, where a pair of surrogates is one character, and one that is left alone is not decodable.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _sorted(values: set[object]) -> list[object]:
    # Values of several types have no order among themselves; their type's name gives one.
    return sorted(
        values, key=lambda value: (type(value).__name__, value if isinstance(value, str | int | float) else repr(value))
    )


_encoder = SafeJSONEncoder(separators=(",", ":"), allow_nan=False)
