import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.frames import encode
from unified_indexer.protocol.dag_cbor import MAX_VALUES, decode, decode_frame, overclaims

MEGABYTE = 10**6
LISTS = b"".join(b"\x9a" + (MEGABYTE - 5 * n).to_bytes(4, "big") for n in range(900)) + bytes(MEGABYTE)
MAPS = b"".join(b"\xba" + (MEGABYTE // 2 - 4 * n).to_bytes(4, "big") + b"\x61a" for n in range(900)) + bytes(MEGABYTE)
SHORT = b"\xb9\x03\xe8\x61a" * 200 + bytes(100)  # what a small record could claim


def nested_heads(size: int) -> bytes:
    """As many lists in one another as pass unread, each of which claims all that remains."""
    count = 300_000 // size
    return b"".join(b"\x99" + (size - 3 * n - 3).to_bytes(2, "big") for n in range(count)) + bytes(size - 3 * count)


@pytest.mark.parametrize(
    "data", [SHORT, b"\x9b" + b"\xff" * 8 + bytes(1100), *map(nested_heads, (1100, 5000, 20_000, 60_000)), b"\x98\xff" * 30_000]
)
def test_what_passes_the_quick_look_claims_little(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, RecursionError), match=r"DAG-CBOR|claims more"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [LISTS, MAPS, b"\x99\xff\xff" * 350, nested_heads(20_000)[:100] + nested_heads(20_000)])
def test_claims_beyond_the_data_are_refused_before_the_decoder_believes_them(data: bytes) -> None:
    with pytest.raises(ValueError, match="claims more values"):
        decode(data)
    with pytest.raises(ValueError, match="claims more values"):
        decode_frame(encode({"op": 1}) + data + bytes(10_000))


def test_the_number_of_values_is_bounded() -> None:
    assert decode(encode([0] * (MAX_VALUES - 10))) == [0] * (MAX_VALUES - 10)
    for value in ([0] * (MAX_VALUES + 1), [[0] * 250] * 450, {str(n): 0 for n in range(MAX_VALUES)}):
        with pytest.raises(ValueError, match="claims more values"):
            decode(encode(value))
    with pytest.raises(ValueError, match="claims more values"):
        decode_frame(bytes(MAX_VALUES + 1))


def test_large_texts_and_byte_strings_are_one_value() -> None:
    value: Any = {"blocks": bytes([0x9A, 0xFF, 0xFF, 0xFF]) * 250_000, "text": "語" * 200_000}
    assert decode(encode(value)) == value
    assert decode_frame(encode(1) + encode(value)) == [1, value]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text()
    | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_no_sound_value_is_said_to_overclaim(value: Any) -> None:
    assert not overclaims(encode(value))
    assert decode(encode([value, "x" * 1100])) == [value, "x" * 1100]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_judged(data: bytes) -> None:
    assert overclaims(data) in (True, False)
