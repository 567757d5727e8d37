import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testing.frames import needs_vectors, vector_lines
from unified_indexer.protocol.syntax import (
    AtUri,
    first_tid,
    is_did,
    is_handle,
    is_nsid,
    is_record_key,
    is_tid,
    parse_at_uri,
    parse_datetime,
    tid_second,
    tid_time,
)


def is_at_uri(text: str) -> bool:
    try:
        parse_at_uri(text)
    except ValueError:
        return False
    return True


CHECKS: list[tuple[str, Callable[[str], bool]]] = [
    ("did", is_did),
    ("nsid", is_nsid),
    ("recordkey", is_record_key),
    ("tid", is_tid),
    ("handle", is_handle),
    ("aturi", is_at_uri),
]


@needs_vectors
@pytest.mark.parametrize(("name", "check"), CHECKS)
def test_official_vectors(name: str, check: Callable[[str], bool]) -> None:
    valid, invalid = vector_lines(f"syntax/{name}_syntax_valid.txt"), vector_lines(f"syntax/{name}_syntax_invalid.txt")
    assert valid
    assert invalid
    assert [text for text in valid if not check(text)] == []
    assert [text for text in invalid if check(text)] == []


@needs_vectors
def test_official_datetimes() -> None:
    for text in vector_lines("syntax/datetime_syntax_valid.txt"):
        assert (parse_datetime(text) is None) == text.startswith("0000"), text  # Python's calendar starts with year 1
    for name in ("datetime_syntax_invalid", "datetime_parse_invalid"):
        for text in vector_lines(f"syntax/{name}.txt"):
            assert parse_datetime(text) is None, text


VALID: list[tuple[Callable[[str], bool], str]] = [
    (is_did, "did:plc:aaaabbbbccccddddeeeeffff"),
    (is_did, "did:web:example.com%3A80"),
    (is_nsid, "app.bsky.feed.like"),
    (is_nsid, "a.0.c"),
    (is_record_key, "self"),
    (is_record_key, "..."),
    (is_record_key, "a" * 512),
    (is_tid, "3mptbypluud2a"),
    (is_tid, "2222222222222"),
    (is_handle, "alice.example.com"),
    (is_at_uri, "at://did:plc:abc/app.bsky.feed.post/3k"),
    (is_at_uri, "at://alice.example.com/app.bsky.feed.post"),
]


@pytest.mark.parametrize(("check", "text"), VALID)
def test_accepts_whole_texts_only(check: Callable[[str], bool], text: str) -> None:
    assert check(text)
    for broken in (text + "\n", "\n" + text, text + "\0", text + "é", text + "/", text + "\u0663"):
        assert not check(broken), repr(broken)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (is_did, ""),
        (is_did, "did:plc:"),
        (is_did, "did:PLC:abc"),
        (is_did, "did:plc:abc:"),
        (is_did, "did:plc:" + "a" * 2041),
        (is_nsid, "app.bsky"),
        (is_nsid, "app.bsky.0like"),
        (is_nsid, "app.bsky.like-s"),
        (is_nsid, "a." * 158 + "ab"),
        (is_record_key, ""),
        (is_record_key, "."),
        (is_record_key, ".."),
        (is_record_key, "a" * 513),
        (is_tid, "kmptbypluud2a"),
        (is_tid, "3mptbypluud2"),
        (is_tid, "3mptbypluud21"),
        (is_handle, "alice"),
        (is_handle, "alice.0com"),
        (is_at_uri, "at://did:plc:abc/app.bsky.feed.post/3k/x"),
        (is_at_uri, "at://did:plc:abc//3k"),
        (is_at_uri, "at://did:plc:abc/post/3k"),
        (is_at_uri, "at://did:plc:abc/app.bsky.feed.post/."),
        (is_at_uri, "at://did:plc:abc/app.bsky.feed.post/.."),
        (is_at_uri, "https://did:plc:abc/app.bsky.feed.post/3k"),
        (is_at_uri, "at://"),
    ],
)
def test_refuses(check: Callable[[str], bool], text: str) -> None:
    assert not check(text)


def test_at_uri_parts() -> None:
    assert parse_at_uri("at://did:plc:abc/app.bsky.feed.post/3k") == AtUri("did:plc:abc", "app.bsky.feed.post", "3k")
    assert parse_at_uri("at://alice.example.com/app.bsky.feed.post") == AtUri("alice.example.com", "app.bsky.feed.post", None)
    assert parse_at_uri("at://did:plc:abc") == AtUri("did:plc:abc", None, None)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-07-04T14:38:07.517Z", datetime(2026, 7, 4, 14, 38, 7, 517000, UTC)),
        ("2026-07-04T14:38:07+02:30", datetime(2026, 7, 4, 12, 8, 7, 0, UTC)),
        ("2026-07-04T14:38:07.12345678901234567890-00:30", datetime(2026, 7, 4, 15, 8, 7, 123456, UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999000, UTC)),
        ("2026-07-04T14:38:07+00:00", datetime(2026, 7, 4, 14, 38, 7, 0, UTC)),
        ("2026-07-04T14:38:07", None),
        ("2026-07-04 14:38:07Z", None),
        ("2026-07-04t14:38:07Z", None),
        ("2026-07-04T14:38:07z", None),
        ("2026-07-04T14:38:07-00:00", None),
        ("2026-07-04T14:38:07Z\n", None),
        ("2026-07-04T24:00:00Z", None),
        ("2026-07-04T23:59:60Z", None),
        ("2026-02-29T00:00:00Z", None),
        ("20260704T143807Z", None),
        ("2026-W27-6T14:38:07Z", None),
        ("2026-07-04T14:38:07,5Z", None),
        ("٢026-07-04T14:38:07Z", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("", None),
        ("9" * 100_000, None),
    ],
)
def test_parse_datetime(text: str, instant: datetime | None) -> None:
    assert parse_datetime(text) == instant


@settings(max_examples=200, deadline=None)
@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-1439, 1439))
def test_datetimes_written_by_python_are_read_back(naive: datetime, offset: int) -> None:
    instant = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))
    read = parse_datetime(instant.isoformat())
    assert read is not None
    assert read == instant
    assert read.tzinfo is UTC


DIGITS = "234567abcdefghijklmnopqrstuvwxyz"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**53 - 1), st.integers(0, 1023))
@example(8_757_208_318_859_427, 0)  # of 2247: as a float it is another microsecond
def test_tid_time_is_the_instant_that_was_put_in(micros: int, clock: int) -> None:
    number = micros << 10 | clock
    tid = "".join(DIGITS[number >> 5 * place & 31] for place in reversed(range(13)))
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    assert is_tid(tid)
    assert tid_time(tid) == instant
    assert tid_time(first_tid(instant)) == instant
    assert first_tid(instant) <= tid < first_tid(instant + timedelta(microseconds=1))
    assert timedelta(0) <= instant - tid_second(tid) < timedelta(microseconds=2**20)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.text() | st.from_regex(r"(at://)?did:[a-z:.%/-]{0,40}") | st.from_regex(r"[0-9T:.Z+-]{0,40}"))
def test_any_text_is_judged_without_an_exception(text: str) -> None:
    for _, check in CHECKS:
        assert check(text) in (True, False)
    parsed = parse_datetime(text)
    assert parsed is None or parsed.tzinfo is UTC
    if is_at_uri(text):
        parts = parse_at_uri(text)
        assert "at://" + "/".join(part for part in parts if part is not None) == text


HOSTILE = [
    "a" * 10**6,
    "a." * 500_000,
    "a-" * 500_000,
    "did:plc:" + "a" * 10**6 + "!",
    "did:plc:" + ":%" * 500_000,
    "did:" + "a" * 10**6,
    "at://did:plc:" + "a:" * 4_000 + "/x",
    "at://" + "a-" * 120 + ".x!/" + "b." * 150 + "c!/" + "d" * 600,
    "a" + "-" * 61 + ("a" + "-" * 61 + ".") * 4 + "!",
    "2026-07-01T00:00:00." + "0" * 10**6 + "Z",
    "\ud800" * 1_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_megabyte_made_to_be_slow_is_judged_fast(text: str) -> None:
    """No pattern goes back over a text again and again."""
    began = time.process_time()
    for judge in (is_did, is_nsid, is_record_key, is_tid, is_handle, parse_datetime):
        assert not judge(text)
    with pytest.raises(ValueError, match="at-URI"):
        parse_at_uri(text)
    assert time.process_time() - began < 0.5
