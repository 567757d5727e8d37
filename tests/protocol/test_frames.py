from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testing.frames import COMMIT_HEADER, DID, LIKE, REV, TIME, car, cid_of, commit_frame, commit_payload, encode, frame, like
from unified_indexer.protocol.car import split
from unified_indexer.protocol.commits import Clock
from unified_indexer.protocol.events import (
    Account,
    Commit,
    Event,
    Identity,
    Ignored,
    Info,
    RecordOp,
    RefusedOp,
    StreamError,
    Sync,
    Unusable,
)
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.proof import read_claim
from unified_indexer.protocol.syntax import tid_time

INSTANT = datetime(2026, 7, 4, 14, 38, 7, 517000, UTC)
RECORDS: dict[str, Any] = {f"{LIKE}/{n}": like(n) for n in range(3)}


def clock(stream: datetime | None, ours: datetime | None = None) -> Callable[[], Clock]:
    """What bounds a frame's times: the stream's time, and our own."""
    return lambda: Clock(stream, ours)


def commit_of(message: bytes) -> Commit:
    event = decode(message)
    assert isinstance(event, Commit), event
    return event


def unusable(message: bytes, previous_time: datetime | None = None) -> Unusable:
    event = decode(message, clock(previous_time))
    assert isinstance(event, Unusable), event
    return event


def refused(op: Any, records: dict[str, Any] = RECORDS, **changes: Any) -> RefusedOp:
    """The refusal of `op`, with the commit's own ops untouched by it."""
    payload = commit_payload(records, **changes)
    event = commit_of(frame({**payload, "ops": [*payload["ops"], op]}))
    assert [f"{usable.collection}/{usable.rkey}" for usable in event.ops] == list(records)
    (refusal,) = event.refused
    return refusal


def test_a_commit() -> None:
    payload = commit_payload(RECORDS, since="3mptbwv4pn32u", seq=2**63 - 1, later_field={"a": [1]})
    message = frame(payload)
    event = commit_of(message)
    assert (event.seq, event.repo, event.rev, event.since) == (2**63 - 1, DID, REV, "3mptbwv4pn32u")
    assert (event.time, event.too_big, event.refused, event.frame) == (INSTANT, False, (), message)
    assert event.ops == tuple(RecordOp("create", LIKE, str(n), cid_of(encode(like(n))), encode(like(n))) for n in range(3))


def test_actions_keep_their_order_also_on_one_path() -> None:
    payload = commit_payload(RECORDS)
    path = f"{LIKE}/0"
    ops = [
        {"action": "delete", "path": path, "cid": None, "prev": cid_of(b"x")},
        {"action": "update", "path": path, "cid": cid_of(encode(like(1)))},
        {"action": "delete", "path": path},
        {"action": "create", "path": path, "cid": cid_of(encode(like(2)))},
    ]
    event = commit_of(frame({**payload, "ops": ops}))
    assert [(op.action, op.block) for op in event.ops] == [
        ("delete", None),
        ("update", encode(like(1))),
        ("delete", None),
        ("create", encode(like(2))),
    ]
    assert event.ops[0].cid is None


@pytest.mark.parametrize(
    ("op", "path", "reason"),
    [
        (5, "", "bad_op"),
        ({}, "", "bad_path"),
        ({"action": "delete", "path": 5}, "", "bad_path"),
        ({"action": "delete", "path": "no-slash"}, "no-slash", "bad_path"),
        ({"action": "delete", "path": f"/{LIKE}/a"}, f"/{LIKE}/a", "bad_path"),
        ({"action": "delete", "path": f"{LIKE}/a/b"}, f"{LIKE}/a/b", "bad_path"),
        ({"action": "delete", "path": f"{LIKE}/.."}, f"{LIKE}/..", "bad_path"),
        ({"action": "delete", "path": f"{LIKE}/a\0"}, f"{LIKE}/a\ufffd", "bad_path"),
        ({"action": "delete", "path": "x" * 5000}, "x" * 1024, "bad_path"),
        ({"action": "delete", "path": f"{LIKE}/" + "k" * 461}, f"{LIKE}/" + "k" * 461, "uri_too_long"),
        ({"action": "drop", "path": f"{LIKE}/a"}, f"{LIKE}/a", "bad_action"),
        ({"path": f"{LIKE}/a"}, f"{LIKE}/a", "bad_action"),
        ({"action": "create", "path": f"{LIKE}/a"}, f"{LIKE}/a", "bad_cid"),
        ({"action": "create", "path": f"{LIKE}/a", "cid": None}, f"{LIKE}/a", "bad_cid"),
        ({"action": "create", "path": f"{LIKE}/a", "cid": "bafy"}, f"{LIKE}/a", "bad_cid"),
        ({"action": "create", "path": f"{LIKE}/a", "cid": cid_of(b"x", codec=0x55)}, f"{LIKE}/a", "bad_cid"),
        ({"action": "create", "path": f"{LIKE}/a", "cid": cid_of(b"absent")}, f"{LIKE}/a", "missing_block"),
        ({"action": "update", "path": f"{LIKE}/a", "cid": cid_of(b"absent")}, f"{LIKE}/a", "missing_block"),
    ],
)
def test_one_bad_op_is_refused_alone(op: Any, path: str, reason: str) -> None:
    refusal = refused(op)
    assert (refusal.path, refusal.reason) == (path, reason)


def test_a_uri_of_512_characters_is_taken() -> None:
    rkey = "k" * (512 - len(f"at://{DID}/{LIKE}/"))
    assert commit_of(commit_frame({f"{LIKE}/{rkey}": like()})).ops[0].rkey == rkey
    assert commit_of(commit_frame({f"{LIKE}/{rkey}k": like()})).refused[0].reason == "uri_too_long"


def test_a_record_over_1_mb_is_refused_alone() -> None:
    event = commit_of(commit_frame({f"{LIKE}/a": {"x": "x" * 2**20}, f"{LIKE}/b": {"x": "x" * 500_000}}))
    assert [op.rkey for op in event.ops] == ["b"]
    assert [(refusal.path, refusal.reason) for refusal in event.refused] == [(f"{LIKE}/a", "record_too_large")]


def test_raw_blocks_may_come_with_a_commit_but_not_as_its_record() -> None:
    payload = commit_payload(RECORDS)
    raw = cid_of(b"raw", codec=0x55)
    packed = payload["blocks"] + bytes([39]) + raw + b"raw"
    op = {"action": "create", "path": f"{LIKE}/raw", "cid": raw}
    event = commit_of(frame({**payload, "blocks": packed, "ops": [*payload["ops"], op]}))
    assert len(event.ops) == 3
    assert event.refused[0].reason == "bad_cid"


def test_too_big_commits_have_neither_ops_nor_data() -> None:
    event = commit_of(commit_frame(RECORDS, tooBig=True, blocks=b"", ops=[]))
    assert (event.too_big, event.data, event.ops, event.rev) == (True, None, (), REV)
    assert commit_of(commit_frame(RECORDS, tooBig=True)).ops == ()


def other(**changes: Any) -> dict[str, Any]:
    return changes


NO_MAP = encode([1])
TOO_DEEP = b"\x81" * 5000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (other(seq=None), "bad_seq"),
        (other(seq=-1), "bad_seq"),
        (other(seq=2**63), "bad_seq"),
        (other(seq=True), "bad_seq"),
        (other(seq=1.0), "bad_seq"),
        (other(seq="1"), "bad_seq"),
        (other(repo=None), "bad_did"),
        (other(repo="alice.example.com"), "bad_did"),
        (other(repo=DID + "\n"), "bad_did"),
        (other(did="did:web:" + "a" * 248), "did_too_long"),
        (other(rev=None), "bad_rev"),
        (other(rev=""), "bad_rev"),
        (other(rev="3mptbypluud2A"), "bad_rev"),
        (other(rev=5), "bad_rev"),
        (other(ops=None), "bad_ops"),
        (other(ops={}), "bad_ops"),
        (other(ops=[{}] * 201), "too_many_ops"),
        (other(blocks=None), "bad_blocks"),
        (other(blocks="text"), "bad_blocks"),
        (other(blocks=b"\0" * (2 * 2**20 + 1)), "blocks_too_large"),
        (other(blocks=b""), "bad_car"),
        (other(blocks=car([], [])), "no_root"),
        (other(blocks=car([cid_of(b"absent")], [])), "missing_commit_block"),
        (other(blocks=car([cid_of(NO_MAP)], [NO_MAP])), "bad_commit_block"),
        (other(blocks=car([cid_of(TOO_DEEP)], [TOO_DEEP])), "bad_commit_block"),
        (other(blocks=car([cid_of(b"\xff")], [b"\xff"])), "bad_commit_block"),
        (other(commit={"data": None}), "bad_commit_block"),
        (other(commit={"data": cid_of(b"x", codec=0x55)}), "bad_commit_block"),
        (other(commit={"version": 2}), "unsupported_repo_version"),
        (other(commit={"version": None}), "unsupported_repo_version"),
        (other(commit={"version": 3.0}), "unsupported_repo_version"),
        (other(commit={"did": "did:plc:other"}), "did_mismatch"),
        (other(commit={"rev": "3mptbypluud2b"}), "rev_mismatch"),
        (other(time="2026-07-04T14:33:06Z"), "rev_in_future"),
    ],
)
@pytest.mark.promise(6)
def test_unusable_commits_are_named(changes: dict[str, Any], reason: str) -> None:
    message = commit_frame(RECORDS, **changes)
    event = unusable(message)
    assert event.reason == reason
    assert event.frame == message
    assert event.seq == (None if reason == "bad_seq" else 1)
    assert event.did == (None if reason in {"bad_did", "did_too_long"} else DID)
    assert event.rev == (None if reason == "bad_rev" else REV)
    assert event.time is not None
    if "ops" not in changes:
        assert event.paths == tuple(RECORDS)


def test_the_envelopes_commit_is_the_root() -> None:
    payload = commit_payload(RECORDS)
    for cid in (cid_of(b"other"), None, "text"):
        assert unusable(frame({**payload, "commit": cid})).reason == "commit_cid_mismatch"


def test_of_several_roots_the_first_is_the_commit() -> None:
    payload = commit_payload(RECORDS)
    _, blocks = split(payload["blocks"])
    other = next(cid for cid in blocks if cid != payload["commit"])
    roots_first = car([payload["commit"], other], list(blocks.values()))
    assert len(commit_of(frame({**payload, "blocks": roots_first})).ops) == 3
    roots_last = car([other, payload["commit"]], list(blocks.values()))
    assert isinstance(decode(frame({**payload, "blocks": roots_last})), Unusable)


def test_a_corrupt_block_makes_the_commit_unusable() -> None:
    payload = commit_payload(RECORDS)
    assert unusable(frame({**payload, "blocks": payload["blocks"][:-1] + b"\0"})).reason == "block_hash_mismatch"


def test_a_did_of_255_characters_is_taken() -> None:
    did = "did:web:" + "a" * 247
    assert commit_of(commit_frame({f"{LIKE}/a": like()}, did=did)).repo == did


def test_200_ops_are_taken() -> None:
    assert len(commit_of(commit_frame({f"{LIKE}/{n}": like(n) for n in range(200)})).ops) == 200


def test_paths_of_a_refused_commit_are_those_that_are_record_paths() -> None:
    ops = [{"path": "junk"}, 5, {"path": f"{LIKE}/a"}, {"path": 7}, {}, {"path": f"{LIKE}/a\0"}]
    assert unusable(commit_frame(RECORDS, ops=ops, rev=None)).paths == (f"{LIKE}/a",)


@pytest.mark.parametrize("time", [None, "", "yesterday", "2026-07-04T14:38:07", 5, "2026-13-04T14:38:07Z"])
def test_a_malformed_time_gives_way_to_the_revs(time: Any) -> None:
    assert commit_of(commit_frame(RECORDS, time=time)).time == tid_time(REV)


def test_a_rev_from_the_future_is_measured_by_the_stream_and_never_by_the_clock() -> None:
    at = tid_time(REV)
    for message in (commit_frame(RECORDS, time="bad"), sync_frame(time=None)):
        assert not isinstance(decode(message), Unusable)
        assert not isinstance(decode(message, clock(at - timedelta(minutes=4, seconds=58))), Unusable)
        assert unusable(message, at - timedelta(minutes=5, seconds=2)).reason == "rev_in_future"
    assert not isinstance(decode(commit_frame(RECORDS, time=TIME), clock(at - timedelta(days=1))), Unusable)


@pytest.mark.parametrize("since", [None, "", "x", 5])
def test_since_is_a_tid_or_nothing(since: Any) -> None:
    assert commit_of(commit_frame(RECORDS, since=since)).since is None


def sync_frame(**changes: Any) -> bytes:
    payload = commit_payload({})
    fields = {"seq": 7, "did": DID, "rev": REV, "time": TIME, "blocks": payload["blocks"]}
    return frame({**fields, **changes}, {"op": 1, "t": "#sync"})


def test_sync() -> None:
    event = decode(sync_frame())
    assert isinstance(event, Sync)
    assert (event.seq, event.did, event.rev, event.time) == (7, DID, REV, INSTANT)
    assert event.data == cid_of(encode({"l": None, "e": []}))
    assert unusable(sync_frame(did="did:plc:other")).reason == "did_mismatch"
    assert unusable(sync_frame(rev="3mptbypluud2b")).reason == "rev_mismatch"
    assert unusable(sync_frame(blocks=b"")).reason == "bad_car"


def message_of(kind: str, **fields: Any) -> bytes:
    return frame({"seq": 7, "did": DID, "time": TIME, **fields}, {"op": 1, "t": kind})


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (message_of("#identity", handle="alice.example.com"), Identity(7, DID, INSTANT, "alice.example.com", b"")),
        (message_of("#identity", handle="Alice.Example.COM"), Identity(7, DID, INSTANT, "alice.example.com", b"")),
        (message_of("#identity"), Identity(7, DID, INSTANT, None, b"")),
        (message_of("#identity", handle="not a handle\0"), Identity(7, DID, INSTANT, "handle.invalid", b"")),
        (message_of("#account", active=True), Account(7, DID, INSTANT, True, None, b"")),
        (message_of("#account", active=False, status="takendown"), Account(7, DID, INSTANT, False, "takendown", b"")),
        (message_of("#account", active=False, status="ne\0w"), Account(7, DID, INSTANT, False, "new", b"")),
        (message_of("#account", active=False, status=5), Account(7, DID, INSTANT, False, None, b"")),
        (message_of("#account", active=True, time=TIME[:-1]), Account(7, DID, INSTANT, True, None, b"")),
        (message_of("#info", name="OutdatedCursor", message="too old"), Info("OutdatedCursor", "too old")),
        (message_of("#info", name="OutdatedCursor"), Info("OutdatedCursor", None)),
        (message_of("#handle"), Ignored(7, "legacy_handle")),
        (message_of("#migrate"), Ignored(7, "legacy_migrate")),
        (message_of("#tombstone"), Ignored(7, "legacy_tombstone")),
        (message_of("#labels", seq=None), Ignored(None, "unknown_type")),
        (frame({}, {"op": 2, "t": "#commit"}), Ignored(None, "unknown_op")),
        (frame({"error": "FutureCursor", "message": "x"}, {"op": -1}), StreamError("FutureCursor", "x")),
        (frame({"error": "ConsumerTooSlow"}, {"op": -1}), StreamError("ConsumerTooSlow", None)),
        (frame([], {"op": -1}), StreamError("Unnamed", None)),
        (encode({"op": -1}), StreamError("Unnamed", None)),
    ],
)
def test_the_other_messages(message: bytes, event: Event) -> None:
    found = decode(message)
    if isinstance(found, Identity | Account):
        assert found.frame == message
        found = found._replace(frame=b"")
    assert found == event


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (message_of("#identity", seq=None), "bad_seq"),
        (message_of("#identity", did="x"), "bad_did"),
        (message_of("#identity", time=None), "bad_time"),
        (message_of("#account", active=1), "bad_active"),
        (message_of("#account"), "bad_active"),
        (message_of("#info"), "bad_info"),
        (b"", "bad_header"),
        (encode(5), "bad_header"),
        (encode({}) * 2, "bad_header"),
        (frame({}, {"op": True, "t": "#commit"}), "bad_header"),
        (frame({}, {"op": 1}), "bad_header"),
        (encode(COMMIT_HEADER), "not_two_values"),
        (frame({}) + encode({}), "not_two_values"),
        (frame([]), "bad_payload"),
        (b"\xff" * 100, "undecodable"),
        (b"\x81" * 100_000, "undecodable"),
        (b"text", "undecodable"),
    ],
)
@pytest.mark.promise(6)
def test_other_unusable_messages_are_named(message: bytes, reason: str) -> None:
    assert unusable(message).reason == reason


def test_without_a_time_of_its_own_an_account_message_takes_its_neighbours() -> None:
    message = message_of("#account", active=True, time=None)
    assert decode(message, clock(INSTANT)) == Account(7, DID, INSTANT, True, None, message)


def test_a_frame_of_5_mb_is_taken_and_a_larger_one_keeps_its_seq() -> None:
    room = 5 * 2**20 - len(commit_frame(RECORDS, filler="")) - 4
    assert len(commit_frame(RECORDS, filler="x" * room)) == 5 * 2**20
    commit_of(commit_frame(RECORDS, filler="x" * room))
    event = unusable(commit_frame(RECORDS, filler="x" * (room + 1)))
    assert (event.reason, event.seq, event.did, event.rev) == ("frame_too_large", 1, DID, REV)


@pytest.mark.parametrize("time", ["2999-01-01T00:00:00Z", "2026-07-04T14:43:08.518Z"])
def test_a_time_ahead_of_our_clock_counts_as_the_stream_s(time: str) -> None:
    """INSTANT is our clock; the second is a second more than 5 minutes ahead."""
    stream = tid_time(REV) - timedelta(minutes=1)
    for message in (
        commit_frame(RECORDS, time=time),
        sync_frame(time=time),
        frame({"seq": 7, "did": DID, "time": time, "active": True}, {"op": 1, "t": "#account"}),
        frame({"seq": 7, "did": DID, "time": time}, {"op": 1, "t": "#identity"}),
    ):
        event = decode(message, clock(stream, INSTANT))
        assert isinstance(event, Commit | Sync | Account | Identity), event
        assert event.time == stream
        unknown = decode(message, clock(None, INSTANT))
        assert isinstance(unknown, Commit | Sync | Account | Identity), unknown
        assert unknown.time == INSTANT


def test_a_rev_and_a_time_ahead_of_our_clock_are_refused_together() -> None:
    now = tid_time(REV) - timedelta(days=365)
    for message in (commit_frame(RECORDS), commit_frame(RECORDS, time="bad"), sync_frame()):
        for stream in (None, now - timedelta(seconds=1)):
            event = decode(message, clock(stream, now))
            assert isinstance(event, Unusable)
            assert event.reason == "rev_in_future"


def test_a_replay_s_jump_in_time_is_believed_up_to_our_clock() -> None:
    event = decode(commit_frame(RECORDS, time=TIME), clock(tid_time(REV) - timedelta(days=2), INSTANT + timedelta(days=1)))
    assert isinstance(event, Commit)
    assert abs(event.time - tid_time(REV)) < timedelta(minutes=5)


def claimed(payload: dict[str, Any]) -> Event:
    return decode(frame(payload), claims=True)


def test_a_commit_to_be_proven_brings_its_claim_and_its_blocks() -> None:
    payload = commit_payload(RECORDS)
    plain = commit_of(frame(payload))
    assert (plain.claim, plain.blocks, plain.proof) == (None, {}, None)
    event = claimed(payload)
    assert isinstance(event, Commit)
    assert event == plain._replace(claim=read_claim(payload), blocks=split(payload["blocks"])[1])


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ({"path": f"{LIKE}/0", "action": "delete", "cid": None}, "duplicate_path"),
        ({"path": f"{LIKE}/9", "action": "delete", "cid": cid_of(b"")}, "delete_with_cid"),
        ({"path": f"{LIKE}/9", "action": "create", "cid": cid_of(b""), "prev": cid_of(b"a")}, "create_with_prev"),
        ({"path": f"{LIKE}/9", "action": "update", "cid": cid_of(b""), "prev": cid_of(b"")}, "unchanged_update"),
        ({"path": f"{LIKE}/9", "action": "create"}, "bad_op"),
        (5, "bad_op"),
    ],
)
def test_a_claim_that_nothing_could_prove_makes_the_whole_commit_unusable(op: Any, reason: str) -> None:
    payload = commit_payload(RECORDS)
    payload["ops"].append(op)
    event = claimed(payload)
    assert isinstance(event, Unusable)
    assert (event.reason, event.marks) == (reason, False)
    assert isinstance(decode(frame(payload)), Commit)


def test_where_commits_are_verified_no_unusable_frame_marks_its_repo() -> None:
    for message in (b"\xff", commit_frame(RECORDS, ops=5), bytes(5 * 2**20 + 1), commit_frame(RECORDS, tooBig=True)):
        event = decode(message, claims=True)
        assert isinstance(event, Unusable)
        assert not event.marks
    assert unusable(commit_frame(RECORDS, ops=5)).marks


def test_a_sync_brings_its_commit_block() -> None:
    payload = commit_payload({})
    event = decode(frame({**payload, "did": DID}, {"op": 1, "t": "#sync"}))
    assert isinstance(event, Sync)
    assert event.commit_block == split(payload["blocks"])[1][payload["commit"]]
