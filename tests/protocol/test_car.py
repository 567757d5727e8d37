from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.frames import car, cid_of, encode, section, varint
from unified_indexer.errors import Rejected
from unified_indexer.protocol.car import split

BLOCKS = [encode({"n": n, "text": "x" * (n * 60)}) for n in range(8)]
ROOT = cid_of(BLOCKS[0])


def reason_of(data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        split(data)
    return caught.value.reason


def test_roots_and_blocks_come_out_in_any_order() -> None:
    expected = {cid_of(block): block for block in BLOCKS}
    assert split(car([ROOT], BLOCKS)) == ([ROOT], expected)
    assert split(car([ROOT], BLOCKS[::-1])) == ([ROOT], expected)


def test_duplicates_extras_and_large_blocks() -> None:
    large = encode("x" * 40_000)  # its length takes a varint of three bytes
    assert split(car([ROOT], [*BLOCKS, BLOCKS[3], large]))[1] == {cid_of(block): block for block in [*BLOCKS, large]}


def test_empty_cars_and_other_numbers_of_roots() -> None:
    assert split(car([], [])) == ([], {})
    assert split(car([ROOT], [])) == ([ROOT], {})
    assert split(car([ROOT, cid_of(BLOCKS[1])], BLOCKS[:1])) == ([ROOT, cid_of(BLOCKS[1])], {ROOT: BLOCKS[0]})


def test_raw_blocks_are_taken() -> None:
    cid = cid_of(b"anything", codec=0x55)
    assert split(car([ROOT], []) + section(cid, b"anything"))[1] == {cid: b"anything"}


def test_a_block_that_is_not_its_cid_is_refused() -> None:
    for codec in (0x71, 0x55):
        assert reason_of(car([ROOT], BLOCKS[:2]) + section(cid_of(b"a", codec), b"b")) == "block_hash_mismatch"


@pytest.mark.parametrize(
    "cid",
    [
        b"\x12\x20" + sha256(b"block").digest() + b"xx",  # version 0
        b"\x01\x70\x12\x20" + sha256(b"block").digest(),  # codec dag-pb
        b"\x01\x71\x13\x40" + bytes(64),  # SHA-512
        b"\x01\x71\x00\x05block" + bytes(40),  # identity
        b"\x02\x71\x12\x20" + bytes(32),
        b"\x01\x71\x12\x20" + bytes(31),  # shorter than a CID, with the block
    ],
)
def test_other_cids_are_refused_by_name(cid: bytes) -> None:
    data = car([ROOT], BLOCKS) + section(cid, b"block" if len(cid) > 35 else b"")
    assert reason_of(data) == "unsupported_cid"


def test_a_section_shorter_than_its_cid_is_refused_though_the_bytes_would_fit() -> None:
    empty = cid_of(b"")
    assert reason_of(car([ROOT], []) + varint(35) + empty) == "unsupported_cid"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x80",
        b"\x05abc",
        varint(200) + b"\xa0",
        b"\xff" * 20,
        varint(len(encode({"version": 2}))) + encode({"version": 2}),
        varint(len(encode({"version": 1}))) + encode({"version": 1}),
        varint(len(encode({"version": 1, "roots": 5}))) + encode({"version": 1, "roots": 5}),
        varint(len(encode([1]))) + encode([1]),
        car([ROOT], BLOCKS).replace(b"version\x01", b"version\xf5"),  # true, which Python takes for 1
        b"\x90\x4e" + b"\x81" * 10_000,
        car([ROOT], BLOCKS)[:-1],
        car([ROOT], []) + varint(36 + len(BLOCKS[5]) + 1) + cid_of(BLOCKS[5]) + BLOCKS[5],
        car([ROOT], BLOCKS) + b"\x80",
        car([ROOT], BLOCKS) + b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        car([ROOT], BLOCKS) + b"\xff\xff\xff\x7f" + ROOT,
    ],
)
def test_what_is_no_car_is_refused_as_such(data: bytes) -> None:
    assert reason_of(data) == "bad_car"


def test_a_zero_length_section_is_refused() -> None:
    assert reason_of(car([ROOT], BLOCKS) + b"\x00") == "unsupported_cid"


def outcome(data: bytes) -> Any:
    try:
        return split(data)
    except Rejected as rejected:
        return rejected.reason


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_blocks_or_a_named_refusal(data: bytes) -> None:
    for candidate in (data, car([ROOT], []) + data):
        result = outcome(candidate)
        if isinstance(result, str):
            assert result in {"bad_car", "unsupported_cid", "block_hash_mismatch"}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    whole = car([ROOT], BLOCKS)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    result = outcome(flipped)
    if not isinstance(result, str):  # another root, or a block that now is a raw one
        assert result != split(whole)
        assert all(sha256(block).digest() == cid[4:] for cid, block in result[1].items())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(car([ROOT], BLOCKS)) - 1))
def test_a_car_cut_short_gives_only_sound_blocks_or_a_refusal(length: int) -> None:
    result = outcome(car([ROOT], BLOCKS)[:length])
    if not isinstance(result, str):
        assert all(block in BLOCKS for block in result[1].values())
