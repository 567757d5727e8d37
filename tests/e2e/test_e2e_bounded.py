"""The database does not keep up: reading stops, memory stays, nothing times out, and all is caught up afterwards."""

import asyncio
import functools
import signal
from pathlib import Path

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from testing.databases import connected, differences, saved
from testing.processes import Hurried, Process
from testing.traffic import Traffic, traffic_of
from testing.waiting import until
from testing.workers import settings

EVENTS = 3_200
PADDING = 20_000  # bytes of an event, in the mean: 66 MB in all, far more than the lanes' 32 MB and what the sockets hold
MOST_GROWTH = 100 * 2**20  # bytes of resident memory
IDLE_TIMEOUT = 2  # seconds: longer than it takes to see that all is saved
STILL = 0.7  # seconds without a frame sent: reading has stopped


@functools.cache
def heavy() -> Traffic:
    """Few events, and many bytes."""
    return traffic_of(Generator(Settings(mix=Mix.realistic(), cheap=True, padding=PADDING)).stream(EVENTS))


async def stopped_reading(relay: RelayServer) -> int:
    """Wait until the relay gets no frame out any more; the frames sent so far."""
    last = -1

    async def still() -> bool:
        nonlocal last
        before, last = last, relay.frames_sent
        return before == last > 0

    await until(still, "the worker stops reading", poll=STILL)
    return last


@pytest.mark.long
@pytest.mark.promise(5)
async def test_a_held_table_stops_the_reading_and_memory_does_not_grow(database: str, tmp_path: Path) -> None:
    """The table is held for longer than the idle time-out, which must rest meanwhile: the connection stays the same."""
    stream = heavy()
    env = settings(database, "", IDLE_TIMEOUT=str(IDLE_TIMEOUT))
    async with RelayServer() as relay, Process(tmp_path, **env | {"RELAY_URL": relay.url}) as worker:
        await worker.says("Connected to ")
        before = worker.rss
        async with connected(database) as connection, connection.transaction():
            await connection.execute("LOCK TABLE likes")
            for frame in stream.frames:
                relay.append(frame)
            sent = await stopped_reading(relay)
            assert sent < 0.8 * EVENTS
            await asyncio.sleep(1.5 * IDLE_TIMEOUT)
            assert relay.frames_sent == sent
            assert worker.rss - before < MOST_GROWTH
        await saved(database, relay.url, stream.last_seq)
        assert "no event for" not in worker.output
        assert relay.connections == 1
        assert worker.rss - before < MOST_GROWTH
        worker.signal(signal.SIGTERM)
        assert await worker.ends(10) == 0
    assert await differences(database, stream.model) == []


@pytest.mark.long
async def test_sigterm_while_a_table_is_held(database: str, tmp_path: Path) -> None:
    """Neither lanes nor reader can go on; it ends within its grace all the same, and nothing is lost."""
    stream = heavy()
    async with RelayServer(stream.frames) as relay:
        async with Hurried(tmp_path, **settings(database, relay.url)) as worker, connected(database) as connection:
            await worker.says("Connected to ")
            async with connection.transaction():
                await connection.execute("LOCK TABLE likes")
                assert await stopped_reading(relay) < 0.8 * EVENTS
                worker.signal(signal.SIGTERM)
                assert await worker.ends(3) == 0
                assert "cursor is unchanged" in worker.output
                assert "Traceback" not in worker.output
        async with Process(tmp_path, **settings(database, relay.url)) as worker:
            await saved(database, relay.url, stream.last_seq)
    assert await differences(database, stream.model) == []
