"""The endless stream: events of now, at a rate that may change, of which the newest are kept."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from relay_simulator.encoding import frame, seq_of
from relay_simulator.feed import Feed, RecentFrames, first_seq
from relay_simulator.generator import Generator, Settings
from relay_simulator.server import PATH, RelayServer
from testing.processes import spawned
from unified_indexer.protocol.events import Commit
from unified_indexer.protocol.frames import decode

PROJECT = Path(__file__).parents[2]
DEADLINE = 60.0  # seconds that any one step may take on a busy machine


def numbered(seq: int, size: int = 0) -> bytes:
    return frame("#commit", {"seq": seq, "blocks": bytes(size)})


@contextlib.asynccontextmanager
async def feeding(rate: float) -> AsyncGenerator[tuple[RelayServer, Feed]]:
    """A relay with a feed that runs until the block ends."""
    async with RelayServer(log=RecentFrames()) as relay:
        feed = Feed(relay, Generator(Settings(cheap=True, accounts=50, start=datetime.now(UTC))), rate)
        running = asyncio.create_task(feed.run())
        try:
            yield relay, feed
        finally:
            running.cancel()


@pytest.mark.long
async def test_the_command_makes_events_of_now_at_the_rate() -> None:
    command = [sys.executable, "-u", "-m", "relay_simulator", "--port", "0", "--now", "--rate", "200", "--cheap"]
    async with spawned(*command, cwd=PROJECT) as process, asyncio.timeout(DEADLINE):
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("200 new frames per second at ws://127.0.0.1:")
        async with connect(line.split()[-1] + PATH) as socket:
            events = [decode(await socket.recv(decode=False)) for _ in range(500)]
            now = datetime.now(UTC)
            times = [event.time for event in events if isinstance(event, Commit)]
            assert all(now - timedelta(seconds=DEADLINE) < time <= now for time in times)
            # However long the machine paused: what a look at the clock finds owed, twice, is a second's worth each at most.
            assert len(times) > 450
            assert (times[-1] - times[0]).total_seconds() > len(times) / 200 - 2
            assert len(set(times)) > 20, "an event's time is when it is made"
        process.send_signal(signal.SIGINT)
        assert await process.stdout.read() == b"stopped\n"
        assert await process.wait() == 0


@pytest.mark.parametrize("arguments", [["--now"], ["--now", "--rate", "5", "--write", "x"]])
async def test_what_an_endless_stream_can_not_be(arguments: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay_simulator", *arguments, cwd=PROJECT, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(DEADLINE):
        assert b"--now" in (await process.communicate())[1]
    assert process.returncode == 2


async def test_the_rate_may_change_and_be_0() -> None:
    async with feeding(0) as (relay, feed), connect(relay.url + PATH) as socket:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await socket.recv()
        feed.rate = 400
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(DEADLINE):
            seqs = [seq_of(await socket.recv(decode=False)) or 0 for _ in range(200)]
        assert loop.time() - began > 0.3
        assert len(set(seqs)) > 150


def test_a_later_stream_has_higher_seqs() -> None:
    now = datetime.now(UTC)
    assert first_seq(now + timedelta(seconds=1)) - first_seq(now) >= 5_000
    assert first_seq(datetime(2020, 1, 1, tzinfo=UTC)) > 0


def test_the_newest_frames_are_kept() -> None:
    log = RecentFrames(kept=3)
    for seq in (10, 20, 20, 15, 30):
        log.append(numbered(seq))
    assert len(log) == 5
    assert [seq_of(log[position]) for position in (2, 3, 4)] == [20, 15, 30]
    assert [log.after(cursor, inclusive=False) for cursor in (0, 19, 20, 29, 30)] == [2, 2, 4, 4, 5]
    assert [log.after(cursor, inclusive=True) for cursor in (0, 20, 21, 30, 31)] == [2, 2, 4, 4, 5]
    with pytest.raises(ConnectionResetError, match="too slow"):
        log[1]


async def test_a_client_that_is_too_slow_is_cut_and_may_come_back() -> None:
    async with RelayServer(log=RecentFrames(kept=5)) as relay:
        async with connect(relay.url + PATH, max_queue=1) as slow:
            for seq in range(1, 101):
                relay.append(numbered(seq, 1_000_000))
                await asyncio.sleep(0)
            got: list[int | None] = []
            async with asyncio.timeout(DEADLINE):
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        got.append(seq_of(await slow.recv(decode=False)))
        assert len(got) < 100
        async with connect(relay.url + PATH + "?cursor=0") as again, asyncio.timeout(DEADLINE):
            assert [seq_of(await again.recv(decode=False)) for _ in range(5)] == [96, 97, 98, 99, 100]
