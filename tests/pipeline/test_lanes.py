"""Lanes: order per repo, bounds in number and in bytes, a put that waits, a close that drains."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unified_indexer.pipeline import lanes as lanes_module
from unified_indexer.pipeline.lanes import (
    BLOCK_BYTES,
    MAX_BATCH,
    MAX_BATCH_BYTES,
    MAX_QUEUED,
    MAX_QUEUED_BYTES,
    Lane,
    Lanes,
    Placed,
)
from unified_indexer.pipeline.watermark import Ticket
from unified_indexer.protocol.events import Commit, Unusable


def placed(seq: int, did: str = "did:plc:a", size: int = 1) -> Placed:
    return Placed(Ticket(seq, None), Unusable(seq, did, None, None, (), "", "", bytes(size)))


def seqs(batch: list[Placed]) -> list[int | None]:
    return [item.event.seq for item in batch]


@pytest.mark.promise(5)
def test_the_bounds_are_the_design_s() -> None:
    assert (MAX_QUEUED_BYTES, MAX_BATCH_BYTES, MAX_BATCH) == (32 * 2**20, 4 * 2**20, 250)


events = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 60)), max_size=60)


@settings(deadline=None)
@given(events, st.integers(1, 4), st.integers(1, 8), st.integers(1, 100))
@pytest.mark.promise(4)
def test_every_event_once_in_its_repo_s_order_within_the_bounds(
    sent: list[tuple[int, int]], count: int, most: int, most_bytes: int
) -> None:
    async def run() -> None:
        lanes = Lanes(count)
        lanes.all = tuple(Lane(number, most, most_bytes) for number in range(count))
        taken: defaultdict[str, list[int | None]] = defaultdict(list)
        homes: defaultdict[str, set[int]] = defaultdict(set)

        async def work(lane: Lane) -> None:
            while batch := await lane.take():
                # One that is put into an empty lane goes in whatever its size.
                assert len(batch) <= most
                assert sum(len(item.event.frame) for item in batch[:-1]) < most_bytes
                assert lane.bytes == 0
                await asyncio.sleep(0)
                for item in batch:
                    assert isinstance(item.event, Unusable)
                    taken[str(item.event.did)].append(item.event.seq)
                    homes[str(item.event.did)].add(lane.number)

        async with asyncio.TaskGroup() as tasks:
            for lane in lanes.all:
                tasks.create_task(work(lane))
            for seq, (did, size) in enumerate(sent):
                await lanes.put(str(did), placed(seq, str(did), size))
                assert all(len(lane) <= most for lane in lanes.all)
            lanes.close()
        for did in {str(did) for did, _ in sent}:
            assert taken[did] == [seq for seq, (other, _) in enumerate(sent) if str(other) == did]
            assert len(homes[did]) == 1
        assert len(lanes) == 0

    asyncio.run(run())


async def waits(lane: Lane, item: Placed) -> asyncio.Task[None]:
    """A put that does not return yet."""
    task = asyncio.create_task(lane.put(item))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


@pytest.mark.promise(5)
async def test_a_put_waits_while_the_lane_is_full_in_number() -> None:
    lane = Lane(0, 3, 10**6)
    for seq in range(3):
        await lane.put(placed(seq))
    waiting = await waits(lane, placed(3))
    assert seqs(await lane.take()) == [0, 1, 2]
    await waiting
    assert seqs(await lane.take()) == [3]


@pytest.mark.promise(5)
async def test_a_put_waits_while_the_lane_is_full_in_bytes() -> None:
    lane = Lane(0, 100, 10)
    await lane.put(placed(0, size=9))
    await lane.put(placed(1, size=1000))
    waiting = await waits(lane, placed(2, size=1))
    assert lane.bytes == 1009
    assert seqs(await lane.take()) == [0, 1]
    await waiting
    assert lane.bytes == 1


async def test_a_full_lane_holds_up_only_who_puts_into_it() -> None:
    lanes = Lanes(2)
    lanes.all = (Lane(0, 1, 100), Lane(1, 1, 100))
    dids = [f"did:plc:{n}" for n in range(50)]
    one = next(did for did in dids if hash(did) % 2 == 0)
    other = next(did for did in dids if hash(did) % 2 == 1)
    await lanes.put(one, placed(0))
    blocked = asyncio.create_task(lanes.put(one, placed(1)))
    async with asyncio.timeout(1):
        await lanes.put(other, placed(2))
    assert not blocked.done()
    await lanes.all[0].take()
    await blocked
    assert len(lanes) == 2


@pytest.mark.promise(5)
async def test_a_batch_is_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane(0, 10_000, 10**9)
    for seq in range(MAX_BATCH + 10):
        await lane.put(placed(seq))
    assert [len(await lane.take()), len(await lane.take())] == [MAX_BATCH, 10]
    monkeypatch.setattr(lanes_module, "MAX_BATCH_BYTES", 10)
    for seq, size in enumerate((4, 6, 1, 30, 5)):
        await lane.put(placed(seq, size=size))
    async with asyncio.timeout(10):
        assert [seqs(await lane.take()) for _ in range(4)] == [[0, 1], [2], [3], [4]]
    assert lane.bytes == 0


@pytest.mark.promise(5)
async def test_all_lanes_together_keep_the_bounds() -> None:
    for count in (1, 3, 4, 20):
        lanes = Lanes(count)
        one = lanes.all[0]
        task = asyncio.create_task(_fill(one))
        for _ in range(MAX_QUEUED + 10):
            await asyncio.sleep(0)
        assert not task.done()
        assert len(one) * count <= MAX_QUEUED
        task.cancel()


async def _fill(lane: Lane) -> None:
    for seq in range(2 * MAX_QUEUED):
        await lane.put(placed(seq))


@pytest.mark.promise(2)
async def test_a_closed_lane_gives_what_is_left_and_then_nothing() -> None:
    lane = Lane(0, 10, 100)
    await lane.put(placed(0))
    lane.close()
    assert seqs(await lane.take()) == [0]
    assert await lane.take() == []
    assert await lane.take() == []


async def test_closing_wakes_who_waits_for_an_event() -> None:
    lane = Lane(0, 10, 100)
    taking = asyncio.create_task(lane.take())
    await asyncio.sleep(0)
    lane.close()
    async with asyncio.timeout(1):
        assert await taking == []


def test_blocks_that_wait_to_be_proven_count_as_the_memory_that_they_take() -> None:
    event = Commit(1, "did:plc:a", "", None, datetime.now(UTC), b"", False, (), (), bytes(100))
    assert Placed(Ticket(1, None), event).size == 100
    assert Placed(Ticket(1, None), event._replace(blocks={b"a": b"", b"b": b""})).size == 100 + 2 * BLOCK_BYTES
