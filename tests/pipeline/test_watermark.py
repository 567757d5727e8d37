"""The watermark against its definition: the longest finished prefix in the order of arrival, and the highest seq in it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unified_indexer.pipeline.watermark import Ticket, Watermark
from unified_indexer.relay.gaps import Gap, StreamPosition

START = datetime(2026, 7, 1, tzinfo=UTC)
seqs = st.none() | st.integers(0, 30)


def time_of(place: int) -> datetime:
    return START + timedelta(seconds=place)


@given(st.lists(seqs, max_size=25), st.none() | st.integers(0, 30), st.data())
@pytest.mark.promise(2)
def test_finishing_in_any_order(arrived: list[int | None], start: int | None, data: st.DataObject) -> None:
    watermark = Watermark(start)
    tickets = [watermark.arrive(seq, time_of(place)) for place, seq in enumerate(arrived)]
    finished: set[int] = set()
    before = start
    for place in data.draw(st.permutations(range(len(arrived)))):
        watermark.finish(tickets[place])
        finished.add(place)
        prefix = next((n for n in range(len(arrived)) if n not in finished), len(arrived))
        known = [seq for seq in (start, *arrived[:prefix]) if seq is not None]
        assert watermark.cursor == max(known, default=None)
        assert len(watermark) == len(arrived) - prefix
        assert before is None or (watermark.cursor is not None and watermark.cursor >= before), "it never goes back"
        before = watermark.cursor
        if watermark.cursor is not None and watermark.cursor != start:
            assert watermark.time == time_of(arrived.index(watermark.cursor))


@given(st.lists(st.booleans(), max_size=60))
@pytest.mark.promise(2)
def test_arriving_and_finishing_in_turn(steps: list[bool]) -> None:
    """Seqs that rise: the cursor is always below every event that is not finished."""
    watermark, seq = Watermark(), 0
    waiting = [watermark.arrive(0, None)]
    for step in steps:
        if step or not waiting:
            seq += 1
            waiting.append(watermark.arrive(seq, None))
        else:
            watermark.finish(waiting.pop(len(waiting) // 2))
        if waiting and watermark.cursor is not None:
            assert watermark.cursor < min(ticket.seq for ticket in waiting if ticket.seq is not None)
    for ticket in waiting:
        watermark.finish(ticket)
    assert (watermark.cursor, len(watermark)) == (seq, 0)


STEPS = st.tuples(
    st.integers(0, 30),  # its seq
    st.none() | st.integers(0, 99).map(time_of),
    st.booleans(),  # whether a gap is before it
    st.sampled_from(("ours", "another's", "finish")),
)


@given(st.lists(STEPS, max_size=40))
@pytest.mark.promise(2)
def test_events_of_others_move_it_as_events_that_are_finished_at_once(
    steps: list[tuple[int, datetime | None, bool, str]],
) -> None:
    watermark, slow = Watermark(3, START), Watermark(3, START)
    waiting: list[tuple[Ticket, Ticket]] = []
    for seq, time, missing, step in steps:
        gap = Gap("retention", StreamPosition(0, None), StreamPosition(seq, time)) if missing else None
        if step == "ours":
            waiting.append((watermark.arrive(seq, time, gap), slow.arrive(seq, time, gap)))
        elif step == "another's":
            watermark.passed(seq, time, gap)
            slow.finish(slow.arrive(seq, time, gap))
        elif waiting:
            ticket, other = waiting.pop(seq % len(waiting))
            watermark.finish(ticket)
            slow.finish(other)
        assert (watermark.cursor, watermark.time, watermark.gaps) == (slow.cursor, slow.time, slow.gaps)
        assert all(ticket.seq == other.seq for ticket, other in waiting), "a trace names the seqs of its batch"
    for ticket, other in waiting:
        watermark.finish(ticket)
        slow.finish(other)
    assert (watermark.cursor, watermark.time, watermark.gaps) == (slow.cursor, slow.time, slow.gaps)
    assert len(watermark) == 0


@pytest.mark.promise(5)
async def test_one_of_ours_that_hangs_does_not_stop_the_events_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has one of 64 shares reads 63 of them in vain: it must not run out of places by them."""
    monkeypatch.setattr("unified_indexer.pipeline.watermark.MAX_OPEN", 3)
    watermark = Watermark()
    hangs = watermark.arrive(1, None)
    for seq in range(2, 100):
        async with asyncio.timeout(10):
            await watermark.room()
        watermark.passed(seq, None)
    assert (watermark.cursor, len(watermark)) == (None, 2)
    watermark.finish(hangs)
    assert (watermark.cursor, len(watermark)) == (99, 0)


def test_an_event_without_a_time_keeps_the_last_one() -> None:
    watermark = Watermark(1, START)
    watermark.finish(watermark.arrive(2, None))
    assert (watermark.cursor, watermark.time) == (2, START)


@pytest.mark.promise(5)
async def test_what_arrives_behind_one_that_is_not_finished_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.pipeline.watermark.MAX_OPEN", 3)
    watermark = Watermark()
    first, *others = [watermark.arrive(seq, None) for seq in (1, 2, 3)]
    for ticket in others:
        watermark.finish(ticket)
    waiting = asyncio.create_task(watermark.room())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    watermark.finish(first)
    async with asyncio.timeout(10):
        await waiting
    assert watermark.cursor == 3


async def test_all_is_settled_when_what_arrived_is_finished_and_stored() -> None:
    """A run that ends by itself waits for this."""
    watermark = Watermark(5)
    await watermark.settled()
    ticket = watermark.arrive(6, None)
    waiting = asyncio.create_task(watermark.settled())
    await asyncio.sleep(0)
    watermark.finish(ticket)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done(), "it is finished, and not yet stored"
    watermark.saved(6, 0)
    await waiting
