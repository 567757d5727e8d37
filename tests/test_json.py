"""JSON for jsonb: what goes in comes out, save for what PostgreSQL cannot hold."""

import base64
import json
import math
import string
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unified_indexer.json import SafeJSONEncoder, dumps

any_text = st.text(st.characters(exclude_categories=())) | st.text(st.sampled_from("\0\\u0a\ud800\udc00é"))
scalars = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | any_text
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(any_text, inner), max_leaves=30)
storable_text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
storable = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | storable_text,
    lambda inner: st.lists(inner) | st.dictionaries(storable_text, inner),
    max_leaves=30,
)


def strings_in(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for item in cast("list[object]", value) for text in strings_in(item)]
        case dict():
            pairs = cast("dict[str, object]", value).items()
            return [text for key, item in pairs for text in [key, *strings_in(item)]]
        case _:
            return []


def refuse(name: str) -> object:
    raise AssertionError(f"{name} is no JSON")


@settings(deadline=None)  # a busy machine is no fault
@given(storable)
def test_what_can_be_stored_is_unchanged(value: object) -> None:
    assert json.loads(dumps(value)) == value
    assert json.loads(SafeJSONEncoder().encode(value)) == value


@settings(deadline=None)
@given(values)
def test_whatever_comes_out_can_be_stored(value: object) -> None:
    for text in (dumps(value), json.dumps(value, cls=SafeJSONEncoder)):
        text.encode()  # no lone surrogate as it stands
        for part in strings_in(json.loads(text, parse_constant=refuse)):
            part.encode()
            assert "\0" not in part


@settings(deadline=None)
@given(values)
def test_the_fast_way_and_the_slow_way_agree(value: object) -> None:
    assert json.loads(dumps(value)) == json.loads(SafeJSONEncoder().encode(value))


@settings(deadline=None)
@given(values)
def test_a_second_time_changes_nothing(value: object) -> None:
    once = dumps(value)
    assert json.loads(dumps(json.loads(once))) == json.loads(once)


def test_nul_goes_and_a_typed_backslash_u0000_stays() -> None:
    typed = r"a\u0000b"
    assert json.loads(dumps({"k\0ey": "a\0b", "typed": typed})) == {"key": "ab", "typed": typed}
    assert json.loads(dumps([typed, "\\\0", "\\\\\0u0000"])) == [typed, "\\", r"\\u0000"]


def test_surrogates() -> None:
    assert json.loads(dumps(["\ud83d\ude00", "a\ud800b", "\udc00\ud800"])) == ["😀", "a\ufffdb", "\ufffd\ufffd"]


@settings(deadline=None)
@given(st.binary())
def test_bytes(data: bytes) -> None:
    for value in (data, bytearray(data), memoryview(data)):
        encoded = json.loads(dumps({"value": value}))["value"]["$bytes"]
        assert set(encoded) <= set(string.ascii_letters + string.digits + "+/")
        assert base64.b64decode(encoded + "=" * (-len(encoded) % 4)) == data


@settings(deadline=None)
@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-1439, 1439))
def test_datetimes(naive: datetime, minutes: int) -> None:
    aware = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    for value, expected in ((naive, naive.replace(tzinfo=UTC)), (aware, aware)):
        written = json.loads(dumps(value))
        assert written.endswith("Z")
        assert datetime.fromisoformat(written) == expected


def test_cids_of_the_protocols_library() -> None:
    class CID:
        def __str__(self) -> str:
            return "bafyreib"

    # That library's class by name alone, so that the library itself is not needed here.
    CID.__module__ = "atproto_core.cid.cid"
    assert json.loads(dumps([CID()])) == [{"$link": "bafyreib"}]


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    parts: tuple[bytes, ...]


def test_other_types() -> None:
    assert json.loads(dumps(Point("a\0", (b"\1",)))) == {"name": "a", "parts": [{"$bytes": "AQ"}]}
    assert json.loads(dumps({3, 1, 2})) == [1, 2, 3]
    assert json.loads(dumps(frozenset({"b", 1, "a", None}))) == [None, 1, "a", "b"]
    assert json.loads(dumps(date(2025, 10, 13))) == "2025-10-13"
    assert json.loads(dumps({1: math.nan, "x": [math.inf, -math.inf]})) == {"1": None, "x": [None, None]}
    assert json.loads(dumps((1, 2))) == [1, 2]
    assert dumps({"a": 1}) == '{"a":1}'


def test_a_type_without_a_json_form_is_refused() -> None:
    for value in (object(), {"a": [1j]}, Point):
        with pytest.raises(TypeError):
            dumps(value)


def test_deep_nesting_of_a_record() -> None:
    value: object = "\0"
    for _ in range(200):
        value = [value]
    assert dumps(value) == "[" * 200 + '""' + "]" * 200


@pytest.mark.promise(5)
def test_a_large_text_with_wide_characters_is_escaped() -> None:
    """One character beyond 2**16 would make Python hold all of them in four bytes each."""
    value = {"text": "\N{PILE OF POO}" + "x" * 2**16}
    text = dumps(value)
    assert text.isascii()
    assert json.loads(text) == value
