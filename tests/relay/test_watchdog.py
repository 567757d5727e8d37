"""Silence and pings on a real connection: what is dead is closed; a busy reader or a loop that was held up is no silence."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve

from unified_indexer.relay.connection import open_connection
from unified_indexer.relay.watchdog import Watchdog

DEADLINE = 60.0  # seconds


@asynccontextmanager
async def connected(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[ClientConnection]:
    """A connection to a server that says nothing, and answers pings."""
    monkeypatch.setenv("NO_PROXY", "localhost")

    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with asyncio.timeout(DEADLINE), serve(silent, "localhost", 0, ping_interval=None, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        connection = await open_connection(f"ws://localhost:{port}", None)
        yield connection
        await connection.close()


async def test_what_shall_end_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as connection:
        watchdog = Watchdog(idle_timeout=0, ping_interval=DEADLINE)
        watch = asyncio.create_task(watchdog.watch(connection))
        await asyncio.sleep(0)
        watchdog.end("the relay says so")
        await watch
        assert connection.close_code is not None
        assert watchdog.ending == "the relay says so"


async def test_silence_counts_only_while_a_message_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as connection:
        watchdog = Watchdog(idle_timeout=0.05, ping_interval=0.05)
        watch = asyncio.create_task(watchdog.watch(connection))
        await asyncio.sleep(0.3)  # six time-outs
        assert watchdog.ending is None
        watchdog.waiting = True
        await watch
        assert watchdog.ending == "no event for 0.05 s"
        assert connection.close_code is not None


async def test_each_message_ends_the_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as connection:
        watchdog = Watchdog(idle_timeout=0.5, ping_interval=DEADLINE)
        watchdog.waiting = True
        watch = asyncio.create_task(watchdog.watch(connection))
        for _ in range(100):
            await asyncio.sleep(0.01)
            watchdog.messages += 1
        assert watchdog.ending is None
        await watch
        assert watchdog.ending == "no event for 0.5 s"


async def test_a_loop_that_was_held_up_takes_its_own_pause_for_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as connection:
        watchdog = Watchdog(idle_timeout=0.5, ping_interval=DEADLINE)
        watchdog.waiting = True
        watch = asyncio.create_task(watchdog.watch(connection))
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_soon(time.sleep, 1.0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert watchdog.ending is None
        watchdog.end("the test")
        await watch
