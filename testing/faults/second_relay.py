"""A second relay into the same database, under seqs of its own, behind the first: what it brings is mostly old."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator
from random import Random

from relay_simulator.server import RelayServer
from relay_simulator.shuffle import numbered
from testing.faults.keeper import Keeper
from testing.faults.kind import Kind
from testing.faults.process import TERMINATED
from testing.faults.scene import FEW, Scene

OTHER = 70_000_000  # how far its numbering lies above
LAG = (50, 800)  # messages
LASTS = 4.0  # seconds at least
LOOK = 0.1
CURSOR = "SELECT cursor::bigint FROM firehose_cursor WHERE service = $1"


async def _lagging(scene: Scene, rng: Random) -> None:
    """A worker of its own reads it from the beginning; it follows as far behind as it was, then it goes."""
    lag, began = rng.randrange(*LAG), time.monotonic()
    async with RelayServer() as relay, kept(scene, scene.keeper.beside(relay)):
        passed, last = 0, 0

        async def through() -> bool:
            nonlocal passed, last
            scene.feed.burst(20 * FEW)
            for sent in scene.sent[passed : max(passed, scene.feed.position - lag)]:
                last = sent.truth.seq + OTHER
                relay.append(numbered(sent, last).frame)
                passed += 1
            rows = await scene.rows(CURSOR, relay.url.removeprefix("ws://"))
            return bool(rows) and rows[0][0] == last and time.monotonic() - began > LASTS

        await scene.until(through, "the second relay is read")


@contextlib.asynccontextmanager
async def kept(scene: Scene, keeper: Keeper) -> AsyncGenerator[None]:
    """Meanwhile a second worker is kept running."""
    scene.beside.append(keeper)
    running = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        keeper.rest()
        keeper.signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            await running


KINDS = (Kind("lagging_relay", "relay", "a second relay into the database, up to 800 messages behind", _lagging, TERMINATED),)
