"""What is put into the server and read from it: late and repeated frames, a cursor that is never ahead, what is trimmed."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from relay_simulator.encoding import Value, frame, seq_of
from testing.streams import Valkey
from unified_indexer.metrics import Metrics
from unified_indexer.relay.firehose import Firehose
from unified_indexer.relay.gaps import StreamPosition
from unified_indexer.relay.position import Position, Stored
from unified_indexer.stream import filling as module
from unified_indexer.stream.engine import Engine, EngineLost, Reply
from unified_indexer.stream.filling import Filling
from unified_indexer.stream.keys import PARTITIONS, TRIM, own_key, partition_key, partition_of
from unified_indexer.stream.partitions import Partition, Partitions, Place
from unified_indexer.stream.reading import Reader

HOST, RELAY = "relay.test", "ws://relay.test"
DID, OTHER = "did:plc:" + "a" * 24, "did:plc:" + "b" * 24


def account(seq: int, active: bool = True, did: str = DID) -> bytes:
    said: dict[str, Value] = {"seq": seq, "did": did, "time": "2026-01-01T00:00:00Z", "active": active}
    return frame("#account", said)


async def filled(frames: Sequence[bytes]) -> Filling:
    """Has taken in these frames, and written none of them."""
    metrics, position = Metrics(), Position(HOST, Stored(), 0)
    made = Filling(HOST, Firehose(RELAY, position, idle_timeout=60, metrics=metrics), position, metrics)
    for one in frames:
        await made.take(one)
    return made


async def opened(server: Valkey) -> Engine:
    await server.ask("HSET", own_key(HOST), "partitions", PARTITIONS)
    return await Engine.open(server.address(RELAY))


async def written(server: Valkey) -> list[bytes]:
    """The account's frames, in order."""
    return [fields[1] for _, fields in await server.ask("XRANGE", partition_key(HOST, partition_of(DID)), "-", "+")]


async def ended(one: Filling, engine: Engine) -> None:
    one.stop()
    await one.read()  # there is no relay: it ends at once
    try:
        await one.write(engine)
    finally:
        engine.close()


@pytest.mark.promise(2)
async def test_what_comes_late_is_put_behind_and_what_comes_again_is_left_out(engine: Valkey) -> None:
    late, other = account(15), account(20, active=False)
    await ended(await filled([account(10), account(20), late, account(20), other, account(30)]), await opened(engine))
    assert await written(engine) == [account(10), account(20), late, other, account(30)]


@pytest.mark.promise(2)
async def test_what_comes_late_is_put_behind_the_stream_s_cursor_too(engine: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of its partition may be there, though its last entry is far below."""
    monkeypatch.setattr("unified_indexer.stream.pending.MAX_BATCH", 1)
    number = partition_of(OTHER)
    assert number != partition_of(DID)
    frames, late = [account(50, did=OTHER), account(100)], account(99, did=OTHER)
    await ended(await filled([*frames, late]), await opened(engine))
    await ended(await filled(frames), await opened(engine))  # what is read twice is stored once
    entries = await engine.ask("XRANGE", partition_key(HOST, number), "-", "+")
    assert [(name, fields[1]) for name, fields in entries] == [(b"50-0", frames[0]), (b"100-1", late)]
    assert await written(engine) == [frames[1]]
    partitions = Partitions(Place(HOST))
    part = partitions.parts[number] = Partition(number, StreamPosition(100, None))
    part.rejoin()
    async with aclosing(Reader(engine.address(RELAY), HOST, partitions, Metrics()).frames()) as read:
        assert await anext(read) == late


@pytest.mark.promise(2)
async def test_the_cursor_is_that_of_the_last_frame_that_the_server_has(
    engine: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends behind the first batch, while more was read."""
    monkeypatch.setattr("unified_indexer.stream.pending.MAX_BATCH", 2)
    assert module.BACK > 1, "a start goes back further than that"
    connection, puts = await opened(engine), list[int]()
    ask = connection.ask

    async def lost(*commands: Any) -> list[Reply]:
        puts.append(len(commands))
        if len(puts) > 1:
            raise EngineLost("the network ended here")
        return await ask(*commands)

    monkeypatch.setattr(connection, "ask", lost)
    with pytest.raises(EngineLost):
        await ended(await filled([account(seq) for seq in (10, 20, 30, 40, 50)]), connection)
    assert await written(engine) == [account(10), account(20)]
    assert (await engine.own(RELAY))["cursor"] == "20"


@pytest.mark.promise(6)
async def test_what_is_trimmed_stays_marked_when_the_database_goes_back(engine: Valkey) -> None:
    """Otherwise a worker that lacks it would not find out."""
    connection = await opened(engine)
    for seq in (100, 50, 99, 101, 7):
        await connection.ask(("EVAL", TRIM, 1, own_key(HOST), 5, seq))
    connection.close()
    assert (await engine.own(RELAY))["trim:5"] == "101"


@pytest.mark.promise(2)
async def test_a_partition_of_which_more_is_there_is_not_passed(engine: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay's cursor is far ahead of what one read brings."""
    monkeypatch.setattr("unified_indexer.stream.reading.LEAST", 1)
    monkeypatch.setattr("unified_indexer.stream.reading.AT_ONCE", 1)
    frames = [account(seq) for seq in (10, 20, 30, 40, 50)]
    await ended(await filled(frames), await opened(engine))
    await engine.ask("HSET", own_key(HOST), "cursor", 1_000)
    partitions = Partitions(Place(HOST))
    part = partitions.parts[1] = Partition(partition_of(DID), None)
    part.rejoin()
    reader = Reader(engine.address(RELAY), HOST, partitions, Metrics())
    before: int | None = None
    async with aclosing(reader.frames()) as read:
        async for one in read:
            assert part.received == before
            before = seq = seq_of(one)
            assert seq is not None
            partitions.place.arrived(seq, None, DID)
            partitions.finish(partitions.arrive(seq, None))
            if seq == 50:
                break
    assert part.cursor == 50
