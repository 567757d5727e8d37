"""Frames that nobody should send: whatever the bytes, an event comes out, soon, and of a broken frame what can be read."""

import time
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.frames import COMMIT_HEADER, DID, LIKE, REV, commit_frame, commit_payload, encode, frame, like
from unified_indexer.protocol import frames
from unified_indexer.protocol.events import Commit, Event, RefusedOp, Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.salvage import salvage
from unified_indexer.protocol.syntax import is_did, is_tid

REASONS = set(frames.__doc__.replace(",", " ").split()) if frames.__doc__ else set[str]()
RECORDS: dict[str, Any] = {f"{LIKE}/{n}": like(n) for n in range(3)}
MESSAGE = commit_frame(RECORDS)


def sound(event: Event) -> None:
    """Every reason is one of the list, and nothing of an unusable frame is kept that isn't what its field says."""
    match event:
        case Unusable():
            assert event.reason in REASONS
            assert event.seq is None or 0 <= event.seq < 2**63
            assert event.did is None or (is_did(event.did) and len(event.did) <= 255)
            assert event.rev is None or is_tid(event.rev)
            assert "\0" not in event.detail
            event.detail.encode()
        case Commit():
            assert all(refusal.reason in REASONS for refusal in event.refused)
            assert all("\0" not in refusal.path + refusal.detail for refusal in event.refused)
        case _:
            pass


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for message in (data, encode(COMMIT_HEADER) + data, encode({"op": 1, "t": "#sync"}) + data):
        sound(decode(message))
        sound(decode(message, claims=True))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_frames(data: st.DataObject) -> None:
    message = bytearray(MESSAGE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert", "repeat"])):
            case "change":
                message[at] = data.draw(st.integers(0, 255))
            case "cut":
                del message[at : at + data.draw(st.integers(1, 40))]
            case "insert":
                message[at:at] = data.draw(st.binary(max_size=10))
            case _:
                message[at:at] = message[at : at + 40]
        if not message:
            break
    sound(decode(bytes(message)))
    sound(decode(bytes(message), claims=True))


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [*sorted(commit_payload(RECORDS)), "did", "active", "status", "handle", "name", "message"]
KINDS = ["#commit", "#sync", "#identity", "#account", "#info", "#handle"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), junk, max_size=4))
def test_fields_of_any_type(kind: str, changes: dict[str, Any]) -> None:
    payload = {**commit_payload(RECORDS), "did": DID, "active": True, "name": "x", **changes}
    sound(decode(frame(payload, {"op": 1, "t": kind})))
    sound(decode(frame(payload, {"op": 1, "t": kind}), claims=True))


op_fields = st.fixed_dictionaries(
    {},
    optional={
        "path": junk | st.sampled_from([f"{LIKE}/a", f"{LIKE}/a\0", "a/b"]),
        "action": junk | st.sampled_from(["create", "delete"]),
        "cid": junk,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(op_fields | junk, max_size=4))
def test_ops_of_any_kind_leave_their_siblings_alone(ops: list[Any]) -> None:
    payload = commit_payload(RECORDS)
    event = decode(frame({**payload, "ops": [*ops, *payload["ops"]]}))
    sound(event)
    assert isinstance(event, Commit)
    assert tuple(f"{op.collection}/{op.rkey}" for op in event.ops[-3:]) == tuple(RECORDS)
    assert len(event.ops) + len(event.refused) == len(ops) + 3
    assert all(isinstance(refusal, RefusedOp) for refusal in event.refused)
    sound(decode(frame({**payload, "ops": [*ops, *payload["ops"]]}), claims=True))


def lenient(**changes: Any) -> bytes:
    """A commit in CBOR that the strict decoder refuses, for its tags, its keys' order or its floats."""
    return cbor2.dumps(COMMIT_HEADER) + cbor2.dumps({**commit_payload(RECORDS), **changes})


@pytest.mark.parametrize(
    "message",
    [
        lenient(),  # keys in the order of writing
        lenient(extra=cbor2.CBORTag(2, bytes(100))),
        lenient(extra=cbor2.undefined),
        lenient(extra=float("nan")),
        MESSAGE + b"\xff",
        MESSAGE[:-1],
        MESSAGE[: MESSAGE.index(b"fblocks") + 50],
        frame({**commit_payload(RECORDS), "text": "abc"}).replace(b"\x63abc", b"\x63\xed\xa0\x80"),
    ],
)
def test_an_undecodable_commit_keeps_its_seq_account_and_paths(message: bytes) -> None:
    event = decode(message)
    assert isinstance(event, Unusable)
    assert (event.reason, event.seq, event.did, event.rev) == ("undecodable", 1, DID, REV)
    assert event.paths == tuple(RECORDS)
    assert event.time is not None


@pytest.mark.parametrize(
    "tail",
    [
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",  # a list of 2**63 items
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * 1_000_000,
        b"\xa1\x61a" * 300_000,
        b"\xd8\x1c" * 500_000,  # shared references within one another
        b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",  # a decimal of 2**63 digits
        b"\x9a\x00\x4c\x00\x00" + b"\x80" * (5 * 2**20 - 1000),  # five million empty lists
        b"".join(b"\x9a" + (10**6 - 5 * n).to_bytes(4, "big") for n in range(900)) + bytes(10**6),
        b"".join(b"\xba" + (499_000 - 4 * n).to_bytes(4, "big") + b"\x61a" for n in range(900)) + bytes(10**6),
        b"\x9f" * 1_000_000,
        b"\xff" * 1_000_000,
    ],
)
@pytest.mark.promise(5)
def test_bombs_are_defused_in_time(tail: bytes) -> None:
    payload = b"\xa3\x63seq\x07\x64repo\x78\x20" + DID.encode() + b"\x61z" + tail
    for message in (encode(COMMIT_HEADER) + payload, encode(COMMIT_HEADER) + payload + b"\xff", tail):
        before = time.process_time()
        event = decode(message)
        assert time.process_time() - before < 1  # takes some ms
        assert isinstance(event, Unusable)
        if message is not tail:
            assert event.seq == 7
            assert event.did == DID


def test_salvage_reads_every_kind_of_value_and_stops_at_its_bounds() -> None:
    values: dict[str, Any] = {
        "numbers": [0, 23, 24, 256, 65536, 2**32, -1, -300],
        "text": "é",
        "map": {"a": [True, False, None]},
        "skipped": b"bytes",
        "half": 1.5,
        "double": 1.1,
    }
    expected = {**values, "skipped": None, "half": None, "double": None}
    assert salvage(encode({}) + cbor2.dumps(values)) == expected
    assert salvage(encode({}) + cbor2.dumps({"a": 1, "b": [0] * 20_000, "c": 2})) == {"a": 1}
    assert salvage(encode({}) + cbor2.dumps([1])) == {}
    nested: Any = 0
    for _ in range(20):
        nested = [nested]
    assert salvage(encode({}) + cbor2.dumps({"a": 1, "b": nested, "c": 2})) == {"a": 1}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_salvage_never_raises(data: bytes) -> None:
    salvage(data)
    salvage(encode({}) + data)
    salvage(encode({}) + b"\xbb" + bytes(7) + b"\x10" + data)
