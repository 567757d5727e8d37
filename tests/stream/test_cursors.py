"""Partitions by locks of a real database: taken, given up, and where each begins. Two workers' sides in one process."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from testing.database_side import Worker
from testing.databases import connected
from unified_indexer.config.stream_url import PARTITIONS
from unified_indexer.database.connection.lock import keeper_key
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.status.database import status
from unified_indexer.errors import OperatorError
from unified_indexer.relay.gaps import Gap, StreamPosition
from unified_indexer.shares import Share
from unified_indexer.stream.cursors import Cursors
from unified_indexer.stream.partitions import Partition, Partitions, Place

HOST = "relay.example"


@contextlib.asynccontextmanager
async def side(url: str) -> AsyncGenerator[tuple[Cursors, Partitions]]:
    """A worker's cursors, and its partitions, of which it has none yet."""
    pool = DatabasePool(url, size=1, name=HOST, durable=True, share=Share(0, PARTITIONS))
    await pool.open()
    cursors = Cursors(pool, HOST)
    await cursors.start("public", "live", forget=False)
    try:
        yield cursors, Partitions(Place(HOST))
    finally:
        pool.terminate()


async def stored(url: str) -> dict[str, str | None]:
    async with connected(url) as connection:
        rows = await connection.fetch("SELECT service, cursor FROM firehose_cursor")
    return {row["service"]: row["cursor"] for row in rows}


async def test_reset_cursor_says_how_to_begin_again(database: str, worker: Worker) -> None:
    async with side(database) as (cursors, _):
        with pytest.raises(
            OperatorError, match=r"--reset-cursor does nothing with a stream's server: docs/streams.md says how"
        ):
            await cursors.start("public", "live", forget=True)


@pytest.mark.promise(4)
async def test_a_partition_is_given_up_when_all_of_it_is_finished(database: str, worker: Worker) -> None:
    async with side(database) as (first, mine), side(database) as (second, yours):
        await first.balance(mine)
        assert len(mine.parts) == 32  # the other one holds its lock already
        await second.balance(yours)
        assert len(yours.parts) == 32
        assert not set(mine.parts) & set(yours.parts)
        async with side(database) as (third, theirs):
            part = list(mine.parts.values())[-1]
            ticket = part.arrive(7, None)
            await first.balance(mine)
            assert part.leaving
            assert mine.reading() == [one for one in mine.parts.values() if not one.leaving]
            await first.balance(mine)
            assert set(mine.parts) >= {part.number}
            assert len(mine.parts) == 23  # the others are let go
            await third.balance(theirs)
            assert part.number not in theirs.parts
            part.finish(ticket)
            await first.balance(mine)
            assert part.number not in mine.parts
            assert (await stored(database))[f"{HOST}#{part.number}/64"] == "7"


async def test_a_partition_begins_at_its_cursor_in_the_database(database: str, worker: Worker) -> None:
    async with side(database) as (first, mine):
        await first.balance(mine)
        for number, part in mine.parts.items():
            part.finish(part.arrive(number * 10, None))
        mine.parts[5].misses(Gap("retention", StreamPosition(1, None), StreamPosition(9, None)))
        await first.save(mine)
        assert (mine.cursor, len(mine)) == (10, 0)
    async with side(database) as (second, yours):
        await second.balance(yours)
        assert {number: part.cursor for number, part in yours.parts.items()} == {n: n * 10 for n in range(1, 65)}
        assert yours.parts[3].last_id == b"30-0"
    async with connected(database) as connection:
        gaps = await connection.fetch("SELECT service, after_seq, upto_seq FROM unified_worker.gaps")
    assert [tuple(gap) for gap in gaps] == [(f"{HOST}#5/64", 1, 9)]


async def test_what_the_server_no_longer_has_is_a_gap(database: str, worker: Worker) -> None:
    """The database went back to before what was trimmed: a standby took over that was far behind, or a backup."""
    async with side(database) as (first, mine):
        await first.balance(mine)
        part = mine.parts[1]
        part.took(10, None, "")
        assert (part.judge(10), part.judge(None), part.gaps) == (None, None, [])
        gap = part.judge(15)
        assert gap == Gap("retention", StreamPosition(10, None), StreamPosition(15, None))
        assert part.gaps == [gap]


async def test_status_tells_of_all_partitions_as_one(database: str, worker: Worker) -> None:
    """Two workers hold the lock of the number together; a gap of one partition is a gap of the stream."""
    at = StreamPosition(5, None)
    async with side(database) as (first, mine), side(database) as (second, yours), connected(database) as connection:
        await first.balance(mine)
        await second.balance(yours)
        part = next(iter(mine.parts.values()))
        part.finish(part.arrive(7, None, Gap("retention", at, StreamPosition(7, None))))
        await first.save(mine)
        (relay,) = (await status(connection, "public")).relays
        assert (relay.service, relay.workers, relay.gaps, relay.keeper) == (f"{HOST}#0/64", 2, 1, False)
        assert relay.running is not None
        assert await connection.fetchval("SELECT pg_try_advisory_lock($1)", keeper_key(HOST))
        assert not (await status(connection, "public")).relays[0].keeper, "that one works at no partition"
    async with connected(database) as connection:
        (relay,) = (await status(connection, "public")).relays
        assert (relay.running, relay.workers) == (None, 0)


@pytest.mark.promise(5)
async def test_what_waits_in_one_partition_is_bounded_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.stream.partitions.MOST_OPEN", 3)
    place = Place(HOST)
    partitions = Partitions(place)
    partitions.parts = {number: Partition(number, None) for number in (1, 2)}
    place.at(partitions.parts[1])
    tickets = [partitions.arrive(seq, None) for seq in (1, 2, 3)]
    assert not partitions.has_room
    place.at(partitions.parts[2])
    assert partitions.has_room
    place.at(partitions.parts[1])
    waiting = asyncio.create_task(partitions.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    partitions.finish(tickets[0])
    async with asyncio.timeout(10):
        await waiting
