"""Where in the stream we are: another numbering stops, a little back is fine, and only a new connection may show a gap."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.config.settings import Config
from indexer.errors import Stop
from indexer.protocol.events import Unusable
from indexer.protocol.frames import decode
from indexer.relay.gaps import MAX_DROP, MAX_JUMP, Place
from indexer.relay.position import Stream
from relay_simulator.encoding import frame
from unified_worker import UnifiedWorker

START = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.promise(6)
def test_a_relay_that_counts_anew_stops_the_worker_and_both_ways_on_are_named() -> None:
    stream = Stream("relay.test", 50_000, START)
    with pytest.raises(Stop) as caught:
        stream.arrived(39_999, START, 1)
    for part in ("relay.test", "39,999", "50,000", "--reset-cursor", "CURSOR=oldest", "RELAY_URL"):
        assert part in str(caught.value)


def test_a_small_drop_is_fine_and_never_lowers_the_seq() -> None:
    assert MAX_DROP == 10_000
    stream = Stream("relay.test", 50_000, START)
    stream.arrived(40_000, START, 1)
    assert stream.seq == 50_000
    stream.arrived(50_000, START, 1)
    stream.arrived(50_001, START, 1)
    assert stream.seq == 50_001


@given(st.lists(st.integers(0, 40_000), max_size=40))
def test_it_stops_where_the_highest_seq_so_far_is_more_than_ten_thousand_above(seqs: list[int]) -> None:
    stream, highest = Stream("relay.test", None, None), 0
    for seq in seqs:
        if seq < highest - 10_000:
            with pytest.raises(Stop):
                stream.arrived(seq, None, 0)
            return
        stream.arrived(seq, None, 0)
        highest = max(highest, seq)
        assert stream.seq == highest


def test_the_first_event_of_all_is_no_drop_and_no_gap(caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream("relay.test", None, None)
    stream.arrived(7, START, 0)
    assert (stream.seq, stream.time) == (7, START)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("connections", "jump", "warned"),
    [
        ((0, 1), MAX_JUMP, True),
        ((0, 1), MAX_JUMP - timedelta(seconds=1), False),
        ((0, 1), -MAX_JUMP, False),
        ((0, 0), MAX_JUMP, False),  # the relay was silent, but it was there
    ],
)
@pytest.mark.promise(6)
def test_a_jump_in_time_is_a_gap_only_across_connections(
    connections: tuple[int, int], jump: timedelta, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stream = Stream("relay.test", None, None)
    stream.arrived(1, START, connections[0])
    with caplog.at_level(logging.WARNING):
        stream.arrived(3, START + jump, connections[1])
        stream.arrived(5, START + jump + MAX_JUMP, connections[1])
    assert [message.startswith("Gap: after seq 1 ") for message in caplog.messages] == [True] * warned


def test_the_stored_cursor_s_time_counts_for_the_first_event(caplog: pytest.LogCaptureFixture) -> None:
    Stream("relay.test", 5, START).arrived(7, START + timedelta(days=4), 0)
    assert len(caplog.messages) == 1


def test_seqs_have_gaps_by_nature(caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream("relay.test", 5, START)
    stream.arrived(5_000_000, START + timedelta(seconds=1), 1)
    assert caplog.messages == []


def test_an_event_without_a_time_keeps_the_last_one() -> None:
    stream = Stream("relay.test", 5, START)
    stream.arrived(6, None, 1)
    assert stream.time == START


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
    place = Place(1000, START)
    if "start" in how:
        stream = Stream("relay.test", None, None, forgotten=place, start=how["start"])
    else:
        stream = Stream("relay.test", *place)
    if "outdated" in how:
        stream.outdated(3)
    found: list[tuple[str, int]] = []
    for seq, minutes in events:
        time = None if minutes is None else START + timedelta(minutes=minutes)
        noticed = stream.arrived(seq, time, 3, passing_over="passing_over" in how)
        if noticed is not None:
            assert noticed.after == place
            assert noticed.upto.time == time
            found.append((noticed.reason, noticed.upto.seq))
    assert found == ([] if gap is None else [gap])
    assert [message.startswith("Gap: after seq 1000 ") for message in caplog.messages] == [True] * len(found)


def test_far_below_a_forgotten_cursor_the_time_alone_tells_a_replay_from_another_numbering() -> None:
    for seconds, found in ((1, "renumbered"), (0, None), (-1, None)):
        stream = Stream("relay.test", None, None, forgotten=Place(50_000, START), start=0)
        gap = stream.arrived(7, START + timedelta(seconds=seconds), 0)
        assert (gap and gap.reason) == found


def test_a_reset_is_judged_by_the_first_event_with_a_time_on_whatever_connection() -> None:
    stream = Stream("relay.test", None, None, forgotten=Place(1000, START), start=None)
    assert stream.arrived(2000, None, 0) is None
    gap = stream.arrived(2001, START + timedelta(minutes=1), 1)
    assert gap == ("reset", (1000, START), (2000, START + timedelta(minutes=1)))


def test_an_outdated_cursor_is_of_one_connection() -> None:
    stream = Stream("relay.test", 5, START)
    assert stream.arrived(6, START, 1) is None
    stream.outdated(1)  # too late: events of this connection have come
    assert stream.arrived(70, START, 1) is None
    assert stream.arrived(80, START, 2) is None
    stream.outdated(3)
    assert stream.arrived(90, START, 4) is None


async def test_a_broken_frame_with_a_wild_seq_moves_nothing() -> None:
    config = Config.from_env({"DATABASE_URL": "postgresql://user@localhost/none", "RELAY_URL": "ws://relay.test"})
    worker = UnifiedWorker(config)
    sound = frame("#handle", {"seq": 50_000})  # ignored, so finished where it is read
    wild = frame("#identity", {"seq": 2**62, "did": "did:plc:x", "time": "2026-07-01T00:00:00Z"})[:-1]  # cut short
    salvaged = decode(wild)
    assert isinstance(salvaged, Unusable)
    assert salvaged.seq == 2**62
    for message in (sound, wild, sound):
        await worker.on_message_handler(message)
    assert worker.stream.seq == worker.watermark.cursor == 50_000
    assert len(worker.lanes) == 1, "the broken frame waits to be kept"


@pytest.mark.promise(5)
async def test_what_one_lane_writes_behind_another_that_can_t_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes bound what waits in them; what was written meanwhile waits for the first of the stuck lane, as tickets."""
    monkeypatch.setattr("indexer.pipeline.watermark.MAX_OPEN", 3)
    worker = UnifiedWorker(
        Config.from_env({"DATABASE_URL": "postgresql://user@localhost/none", "RELAY_URL": "ws://relay.test"})
    )
    fields = {"did": "did:plc:x", "time": "2026-07-01T00:00:00Z"}
    stuck, *others = [frame("#identity", {"seq": seq, **fields}) for seq in range(1, 6)]
    await worker.on_message_handler(stuck)
    (first,) = [placed for lane in worker.lanes.all for placed in (await lane.take() if len(lane) else [])]
    reading = asyncio.create_task(read_all(worker, others))
    written = 0
    for _ in range(100):
        await asyncio.sleep(0)
        for placed in [placed for lane in worker.lanes.all for placed in (await lane.take() if len(lane) else [])]:
            worker.watermark.finish(placed.ticket)
            written += 1
    assert written == 2
    assert not reading.done()
    worker.watermark.finish(first.ticket)
    async with asyncio.timeout(10):
        await reading


async def read_all(worker: UnifiedWorker, frames: list[bytes]) -> None:
    for message in frames:
        await worker.on_message_handler(message)
