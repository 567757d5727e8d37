"""The database does not keep up: reading stops, memory stays, nothing times out, and all is caught up afterwards."""

import asyncio
import logging
import signal
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from tests.e2e.harness import Hurried, Process, connected, differences, finished, running, saved, settings, traffic, until

EVENTS = 15_000  # 66 MB: far more than the lanes' 32 MB and what the sockets hold
MOST_GROWTH = 100 * 2**20  # bytes of resident memory
STILL = 0.7  # seconds without a frame sent: reading has stopped


async def stopped_reading(relay: RelayServer) -> int:
    """Wait until the relay gets no frame out any more; the frames sent so far."""
    last = -1

    async def still() -> bool:
        nonlocal last
        before, last = last, relay.frames_sent
        return before == last > 0

    await until(still, "the worker stops reading", poll=STILL)
    return last


async def test_a_held_table_stops_the_reading_and_memory_does_not_grow(database: str, tmp_path: Path) -> None:
    stream = traffic(EVENTS)
    async with RelayServer() as relay, Process(tmp_path, **settings(database, relay.url)) as worker:
        await worker.says("Connected to ")
        before = worker.rss
        async with connected(database) as connection, connection.transaction():
            await connection.execute("LOCK TABLE likes")
            for frame in stream.frames:
                relay.append(frame)
            sent = await stopped_reading(relay)
            assert sent < 0.8 * EVENTS
            assert worker.rss - before < MOST_GROWTH
        await saved(database, relay.url, stream.last_seq)
        assert worker.rss - before < MOST_GROWTH
        worker.signal(signal.SIGTERM)
        assert await worker.ends(10) == 0
    assert await differences(database, stream.model) == []


async def test_sigterm_while_a_table_is_held(database: str, tmp_path: Path) -> None:
    """Neither lanes nor reader can go on; it ends within its grace all the same, and nothing is lost."""
    stream = traffic(EVENTS)
    async with RelayServer(stream.frames) as relay:
        async with Hurried(tmp_path, **settings(database, relay.url)) as worker, connected(database) as connection:
            await worker.says("Connected to ")
            async with connection.transaction():
                await connection.execute("LOCK TABLE likes")
                assert await stopped_reading(relay) < 0.8 * EVENTS
                worker.signal(signal.SIGTERM)
                assert await worker.ends(3) == 0
                assert "cursor stays where it was" in worker.output
                assert "Traceback" not in worker.output
        async with Process(tmp_path, **settings(database, relay.url)) as worker:
            await saved(database, relay.url, stream.last_seq)
    assert await differences(database, stream.model) == []


async def test_no_time_out_runs_while_the_lanes_are_full(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """An idle time-out of a second, and a table that is held for two: the connection is the same afterwards."""
    caplog.set_level(logging.INFO)
    stream = traffic(EVENTS)
    async with RelayServer() as relay, running(database, relay.url, IDLE_TIMEOUT="1") as worker:
        await until(lambda: bool(relay.open), "it is connected")
        async with connected(database) as connection, connection.transaction():
            await connection.execute("LOCK TABLE likes")
            for frame in stream.frames:
                relay.append(frame)
            await stopped_reading(relay)
            await asyncio.sleep(2)  # twice the time-out
        connections = relay.connections
        await finished(worker, stream.last_seq)
        assert relay.connections == connections
    assert await differences(database, stream.model) == []
