"""kill -9 of the worker: it resumes from what is durable, nothing is missing or double, and nothing is left running."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.databases import backends, connected, differences, saved, stored_cursor
from testing.processes import Process
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import settings

BURST = 75  # frames that the relay gets at once
LOCKS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextlib.asynccontextmanager
async def hampered(url: str, rng: random.Random) -> AsyncGenerator[None]:
    """Meanwhile a table is held most of the time, so that there is always much that was read and is not yet written."""

    async def hamper() -> None:
        async with connected(url) as connection:
            while True:
                async with connection.transaction():
                    await connection.execute("LOCK TABLE likes")
                    await asyncio.sleep(rng.uniform(0.1, 0.8))
                await asyncio.sleep(rng.uniform(0.02, 0.2))

    task = asyncio.create_task(hamper())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@contextlib.asynccontextmanager
async def flowing(relay: RelayServer, frames: Iterable[bytes], rate: float) -> AsyncGenerator[None]:
    """Meanwhile the relay gets these frames, so many a second."""

    async def flow() -> None:
        for number, frame in enumerate(frames):
            relay.append(frame)
            if number % BURST == 0:
                await asyncio.sleep(BURST / rate)

    task = asyncio.create_task(flow())
    try:
        yield
    finally:
        await task


async def killed_again_and_again(url: str, folder: Path, *, kills: int, events: int, rate: float, seed: int) -> None:
    """Kill the worker at random moments, in each stretch of a stream that flows at `rate`; let it finish, and compare."""
    stream = traffic(events, awkward=True, seed=seed)
    rng = random.Random(seed)
    stretch = len(stream.frames) // (kills + 1)
    async with RelayServer() as relay:
        cursors: list[int] = []

        async def begun() -> bool:
            return await stored_cursor(url, relay.url) is not None

        for number in range(kills):
            frames = stream.frames[number * stretch : (number + 1) * stretch]
            async with Process(folder, **settings(url, relay.url, DB_POOL_SIZE=rng.choice(("1", "2", "20")))) as worker:
                await worker.says("Connected to ")
                async with hampered(url, rng), flowing(relay, frames, rate):
                    await until(begun, "a cursor is stored")
                    await asyncio.sleep(rng.uniform(0.05, 1.6))  # the random moment; cursors are saved every second
                    worker.kill()
            cursors.append(await stored_cursor(url, relay.url) or 0)
        for frame in stream.frames[kills * stretch :]:
            relay.append(frame)
        async with Process(folder, **settings(url, relay.url)) as worker:
            await saved(url, relay.url, stream.last_seq, seconds=events / rate + 30)
            assert "Traceback" not in worker.output
    assert all(0 < cursor < stream.last_seq for cursor in cursors)
    assert relay.cursors == [0, *cursors]  # each asked for what was stored, no more and no less
    assert await differences(url, stream.model) == []


@pytest.mark.long
@pytest.mark.promise(1)
@pytest.mark.promise(2)
async def test_five_kills_at_random_moments(database: str, tmp_path: Path) -> None:
    await killed_again_and_again(database, tmp_path, kills=5, events=3_600, rate=400, seed=11)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [21, 22, 23])
@pytest.mark.promise(1)
@pytest.mark.promise(2)
async def test_twenty_kills_at_random_moments(database: str, tmp_path: Path, seed: int) -> None:
    await killed_again_and_again(database, tmp_path, kills=20, events=60_000, rate=1_500, seed=seed)


@pytest.mark.long
async def test_a_worker_killed_in_mid_call_leaves_no_call_and_no_lock(database: str, tmp_path: Path) -> None:
    """Its calls wait for a table that the test holds when it dies. The server ends them by itself; a new worker goes on."""
    stream = traffic(1_000)
    async with RelayServer() as relay:
        async with Process(tmp_path, **settings(database, relay.url)) as first:
            await first.says("Connected to ")
            async with connected(database) as connection, connection.transaction():
                await connection.execute("LOCK TABLE likes")
                for frame in stream.frames:
                    relay.append(frame)

                async def in_call() -> bool:
                    return any("CALL unified_worker.apply_commits" in query for query in await backends(database))

                await until(in_call, "a call waits for the table")
                await asyncio.sleep(1.2)  # a cursor is saved every second: not this one
                assert await stored_cursor(database, relay.url) is None
                first.kill()

                async def gone() -> bool:
                    return not await backends(database)

                await until(gone, "the server has ended the dead worker's connections", seconds=5)
                assert await connection.fetchval(LOCKS) == 0
        async with Process(tmp_path, **settings(database, relay.url)) as second:
            await second.says("Connected to ", seconds=5)
            await saved(database, relay.url, stream.last_seq)
    assert await differences(database, stream.model) == []
