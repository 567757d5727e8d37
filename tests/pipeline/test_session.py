"""What lives as long as one lock: a new session begins at the stored cursor, and nothing of the old one is left in it."""

from datetime import UTC, datetime

import pytest

from relay_simulator.encoding import frame
from testing.workers import settings
from unified_indexer.config.settings import Config
from unified_indexer.relay.position import Stored
from unified_worker import UnifiedWorker

START = datetime(2026, 7, 1, tzinfo=UTC)


def worker(**env: str) -> UnifiedWorker:
    return UnifiedWorker(Config.from_env(settings("postgresql://nobody@127.0.0.1:1/nothing", "ws://127.0.0.1:1", **env)))


async def receives(one: UnifiedWorker, *seqs: int) -> None:
    """Events come in; they wait in the lanes."""
    for seq in seqs:
        await one.on_message_handler(frame("#identity", {"seq": seq, "did": "did:plc:x", "time": "2026-07-01T00:00:00Z"}))


@pytest.mark.promise(2)
async def test_a_new_session_begins_at_the_stored_cursor_with_empty_lanes() -> None:
    """After a crash of the server, memory may be ahead of the disk."""
    one = worker()
    one.begin(Stored(5, START))
    first = one.session
    await receives(one, 6, 7, 8, 9)
    assert (first.position.seq, first.watermark.cursor, len(first.lanes)) == (9, 5, 4)
    one.begin(Stored(7, START))
    second = one.session
    assert second is not first
    assert (second.position.seq, second.position.time, second.position.resume_from) == (7, START, 7)
    assert (second.watermark.cursor, second.watermark.stored, len(second.watermark), len(second.lanes)) == (7, 7, 0, 0)
    assert one.gauges.received_seq == 7
    await receives(one, 8)
    assert (second.position.seq, len(second.lanes), first.position.seq, len(first.lanes)) == (8, 1, 9, 4)


@pytest.mark.promise(2)
async def test_what_the_old_session_finishes_late_moves_nothing_of_the_new_one() -> None:
    one = worker()
    one.begin(Stored(5, START))
    await receives(one, 6)
    first = one.session
    (ticket,) = [placed.ticket for lane in first.lanes.all if len(lane) for placed in await lane.take()]
    one.begin(Stored(5, START))
    first.watermark.finish(ticket)
    assert (first.watermark.cursor, one.session.watermark.cursor) == (6, 5)


@pytest.mark.parametrize(("cursor", "asked"), [("live", 49), ("oldest", 0), ("20", 20)])
async def test_a_live_stream_goes_on_where_it_began_though_no_cursor_was_stored(cursor: str, asked: int) -> None:
    one = worker(CURSOR=cursor)
    one.begin(Stored())
    assert one.session.position.resume_from == one.config.start
    await receives(one, 50, 51)
    for _ in range(2):  # the database may go again, before an event comes
        one.begin(Stored())
        assert one.session.position.resume_from == asked


async def test_without_a_session_no_message_is_taken() -> None:
    one = worker()
    with pytest.raises(RuntimeError, match="call initialize first"):
        await receives(one, 1)
    one.stop()  # nothing to stop yet
    assert one.phase.stopping
