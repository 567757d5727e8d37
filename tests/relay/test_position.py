"""Where in the stream we are: another numbering stops, a little back is fine, and only a new connection may show a gap."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_simulator.encoding import frame
from unified_indexer.config.settings import Config
from unified_indexer.errors import Stop
from unified_indexer.protocol.events import Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.relay.gaps import MAX_DROP, MAX_JUMP, StreamPosition
from unified_indexer.relay.position import Position, Stored
from unified_worker import UnifiedWorker

START = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.promise(6)
def test_a_relay_that_counts_anew_stops_the_worker_and_both_ways_on_are_named() -> None:
    position = Position("relay.test", Stored(50_000, START), 0)
    with pytest.raises(Stop) as caught:
        position.arrived(39_999, START)
    for part in ("relay.test", "39,999", "50,000", "--reset-cursor", "CURSOR=oldest", "RELAY_URL"):
        assert part in str(caught.value)


def test_a_small_drop_is_fine_and_never_lowers_the_seq() -> None:
    assert MAX_DROP == 10_000
    position = Position("relay.test", Stored(50_000, START), 0)
    position.arrived(40_000, START)
    assert position.seq == 50_000
    position.arrived(50_000, START)
    position.arrived(50_001, START)
    assert position.seq == 50_001


@given(st.lists(st.integers(0, 40_000), max_size=40))
def test_it_stops_where_the_highest_seq_so_far_is_more_than_ten_thousand_above(seqs: list[int]) -> None:
    position, highest = Position("relay.test", Stored(), 0), 0
    for seq in seqs:
        if seq < highest - 10_000:
            with pytest.raises(Stop):
                position.arrived(seq, None)
            return
        position.arrived(seq, None)
        highest = max(highest, seq)
        assert position.seq == highest


def test_the_first_event_of_all_is_no_drop_and_no_gap(caplog: pytest.LogCaptureFixture) -> None:
    position = Position("relay.test", Stored(), 0)
    position.arrived(7, START)
    assert (position.seq, position.time) == (7, START)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("again", "jump", "warned"),
    [
        (True, MAX_JUMP, True),
        (True, MAX_JUMP - timedelta(seconds=1), False),
        (True, -MAX_JUMP, False),
        (False, MAX_JUMP, False),  # the relay was silent, but it was there
    ],
)
@pytest.mark.promise(6)
def test_a_jump_in_time_is_a_gap_only_across_connections(
    again: bool, jump: timedelta, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    position = Position("relay.test", Stored(), 0)
    position.arrived(1, START)
    with caplog.at_level(logging.WARNING):
        if again:
            position.connected()
        position.arrived(3, START + jump)
        position.arrived(5, START + jump + MAX_JUMP)
    assert [message.startswith("Gap: after seq 1 ") for message in caplog.messages] == [True] * warned


def test_the_stored_cursor_s_time_counts_for_the_first_event(caplog: pytest.LogCaptureFixture) -> None:
    Position("relay.test", Stored(5, START), 0).arrived(7, START + timedelta(days=4))
    assert len(caplog.messages) == 1


def test_seqs_have_gaps_by_nature(caplog: pytest.LogCaptureFixture) -> None:
    position = Position("relay.test", Stored(5, START), 0)
    position.arrived(5_000_000, START + timedelta(seconds=1))
    assert caplog.messages == []


def test_an_event_without_a_time_keeps_the_last_one() -> None:
    position = Position("relay.test", Stored(5, START), 0)
    position.arrived(6, None)
    assert position.time == START


# (what is joined to (1000, START), what comes on the first connection: (seq, minutes later or None), the gap: (reason, upto))
SEAMS: dict[str, tuple[dict[str, Any], list[tuple[int, int | None]], tuple[str, int] | None]] = {
    "it goes on": ({}, [(1001, 0)], None),
    "seqs have gaps by nature": ({}, [(9000, 1)], None),
    "the relay was silent for long": ({}, [(1001, 600), (9000, 1200)], None),
    "retention": ({}, [(9000, 600)], ("retention", 9000)),
    "the first event has no time": ({}, [(9000, None), (9001, None), (9002, 600)], ("retention", 9000)),
    "nothing is missing behind an event that was there": ({}, [(1000, 0), (9000, 600)], None),
    "outdated, and nothing of it is ours": ({"outdated": True}, [(1001, 0)], None),
    "outdated, and it goes back": ({"outdated": True}, [(900, 0), (9000, 0)], None),
    "outdated": ({"outdated": True}, [(9000, 1)], ("retention", 9000)),
    "outdated, without a time": ({"outdated": True}, [(9000, None)], ("retention", 9000)),
    "passed over": ({"passing_over": True}, [(1005, 0)], ("unreadable", 1005)),
    "passed over, after a repetition": ({"passing_over": True}, [(1000, 0), (1005, None)], ("unreadable", 1005)),
    "passed over nothing": ({"passing_over": True}, [(1001, 0)], None),
    "reset to live": ({"start": None}, [(1500, 1)], ("reset", 1500)),
    "reset to live, no event missing": ({"start": None}, [(1001, 0)], None),
    "reset to the oldest, which is later": ({"start": 0}, [(1500, None), (1501, 1)], ("reset", 1500)),
    "reset to the oldest, which is earlier": ({"start": 0}, [(3, -600)], None),
    "reset to before": ({"start": 500}, [(501, -5), (1500, 1)], None),
    "reset to where it was": ({"start": 1000}, [(1500, 1)], None),
    "reset to before, but that is gone": ({"start": 500}, [(1500, 600)], ("retention", 1500)),
    "reset to later": ({"start": 1400}, [(1500, 1)], ("reset", 1500)),
    "reset, and the relay counts anew": ({"start": 0}, [(1, None), (2, 600)], ("renumbered", 1)),
    "reset, and a clock is a little ahead": ({"start": 0}, [(1, 5)], None),
}


@pytest.mark.parametrize("name", SEAMS)
@pytest.mark.promise(6)
def test_what_is_a_gap(name: str, caplog: pytest.LogCaptureFixture) -> None:
    how, events, gap = SEAMS[name]
    place = StreamPosition(1000, START)
    if "start" in how:
        position = Position("relay.test", Stored(forgotten=place), how["start"])
    else:
        position = Position("relay.test", Stored(*place), 0)
    position.connected(passing_over="passing_over" in how)
    if "outdated" in how:
        position.outdated()
    found: list[tuple[str, int]] = []
    for seq, minutes in events:
        time = None if minutes is None else START + timedelta(minutes=minutes)
        noticed = position.arrived(seq, time)
        if noticed is not None:
            assert noticed.after == place
            assert noticed.upto.time == time
            found.append((noticed.reason, noticed.upto.seq))
    assert found == ([] if gap is None else [gap])
    assert [message.startswith("Gap: after seq 1000 ") for message in caplog.messages] == [True] * len(found)


def test_far_below_a_forgotten_cursor_the_time_alone_tells_a_replay_from_another_numbering() -> None:
    for seconds, found in ((1, "renumbered"), (0, None), (-1, None)):
        position = Position("relay.test", Stored(forgotten=StreamPosition(50_000, START)), 0)
        gap = position.arrived(7, START + timedelta(seconds=seconds))
        assert (gap and gap.reason) == found


def test_a_reset_is_judged_by_the_first_event_with_a_time_on_whatever_connection() -> None:
    position = Position("relay.test", Stored(forgotten=StreamPosition(1000, START)), None)
    assert position.arrived(2000, None) is None
    position.connected()
    gap = position.arrived(2001, START + timedelta(minutes=1))
    assert gap == ("reset", (1000, START), (2000, START + timedelta(minutes=1)))


def test_an_outdated_cursor_is_of_one_connection() -> None:
    position = Position("relay.test", Stored(5, START), 0)
    assert position.arrived(6, START) is None
    position.outdated()  # too late: events of this connection have come
    assert position.arrived(70, START) is None
    position.connected()
    assert position.arrived(80, START) is None
    position.connected()
    position.outdated()
    position.connected()
    assert position.arrived(90, START) is None


@pytest.mark.parametrize(
    ("stored", "start", "seqs", "asked"),
    [
        (None, None, [], None),
        (None, 0, [], 0),
        (None, 20, [], 20),
        (None, 20, [5], 20),  # the relay sends what was not asked for
        (None, 20, [5, 21], 21),
        (None, None, [50, 49], 50),
        (7, 20, [], 7),  # CURSOR is for a start without a stored cursor
        (7, None, [], 7),
        (7, 20, [8, 8, 7], 8),
    ],
)
def test_what_the_relay_is_asked_for(stored: int | None, start: int | None, seqs: list[int], asked: int | None) -> None:
    position = Position("relay.test", Stored(stored), start)
    for seq in seqs:
        position.arrived(seq, None)
    assert position.resume_from == asked


@pytest.mark.parametrize(("start", "then"), [(None, 49), (0, 0), (20, 20)])
def test_where_a_live_stream_began_is_kept_for_the_next_session(start: int | None, then: int) -> None:
    """For a database that goes before a cursor is stored."""
    position = Position("relay.test", Stored(), start)
    assert position.start == start
    position.arrived(50, None)
    position.arrived(51, None)
    assert position.start == then


async def test_a_broken_frame_with_a_wild_seq_moves_nothing() -> None:
    config = Config.from_env({"DATABASE_URL": "postgresql://user@localhost/none", "RELAY_URL": "ws://relay.test"})
    worker = UnifiedWorker(config)
    worker.begin(Stored())
    sound = frame("#handle", {"seq": 50_000})  # ignored, so finished where it is read
    wild = frame("#identity", {"seq": 2**62, "did": "did:plc:x", "time": "2026-07-01T00:00:00Z"})[:-1]  # cut short
    salvaged = decode(wild)
    assert isinstance(salvaged, Unusable)
    assert salvaged.seq == 2**62
    for message in (sound, wild, sound):
        await worker.on_message_handler(message)
    assert worker.session.position.seq == worker.session.watermark.cursor == 50_000
    assert len(worker.session.lanes) == 1, "the broken frame waits to be kept"


@pytest.mark.promise(5)
async def test_what_one_lane_writes_behind_another_that_can_t_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes bound what waits in them; what was written meanwhile waits for the first of the stuck lane, as tickets."""
    monkeypatch.setattr("unified_indexer.pipeline.watermark.MAX_OPEN", 3)
    worker = UnifiedWorker(
        Config.from_env({"DATABASE_URL": "postgresql://user@localhost/none", "RELAY_URL": "ws://relay.test"})
    )
    worker.begin(Stored())
    fields = {"did": "did:plc:x", "time": "2026-07-01T00:00:00Z"}
    stuck, *others = [frame("#identity", {"seq": seq, **fields}) for seq in range(1, 6)]
    await worker.on_message_handler(stuck)
    (first,) = [placed for lane in worker.session.lanes.all for placed in (await lane.take() if len(lane) else [])]
    reading = asyncio.create_task(read_all(worker, others))
    written = 0
    for _ in range(100):
        await asyncio.sleep(0)
        for placed in [placed for lane in worker.session.lanes.all for placed in (await lane.take() if len(lane) else [])]:
            worker.session.watermark.finish(placed.ticket)
            written += 1
    assert written == 2
    assert not reading.done()
    worker.session.watermark.finish(first.ticket)
    async with asyncio.timeout(10):
        await reading


async def read_all(worker: UnifiedWorker, frames: list[bytes]) -> None:
    for message in frames:
        await worker.on_message_handler(message)
