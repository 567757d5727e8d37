"""Several workers: a stream's server between them and the relay dies, one that reads partitions dies, the number of shares
changes."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator
from random import Random

from testing.faults.feed import RESERVED
from testing.faults.keeper import Keeper
from testing.faults.kind import Kind, Need
from testing.faults.process import DEATH, TERMINATED
from testing.faults.scene import Scene

LOST_ALL = 0.3  # of the servers that die have lost everything when they come back
HALF = "Reading 32 of 64 partitions"


@contextlib.asynccontextmanager
async def _kept(scene: Scene, *keepers: Keeper) -> AsyncGenerator[None]:
    """Meanwhile these workers are kept running; they end in good order."""
    scene.beside += keepers
    running = [asyncio.create_task(keeper.run()) for keeper in keepers]
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.rest()
            keeper.signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await asyncio.gather(*running)


async def _flows(scene: Scene, seconds: float) -> None:
    """The stream goes on for a while, as far as it is not kept for later."""
    scene.feed.burst(int(200 * seconds), RESERVED)
    await asyncio.sleep(seconds)


async def _engine_killed(scene: Scene, rng: Random) -> None:
    """Once or twice, in the middle of what the ingester puts and the worker reads."""
    assert scene.engine is not None
    for _ in range(rng.choice((1, 2))):
        await _flows(scene, rng.uniform(0.2, 1.0))
        scene.engine.kill()
        if rng.random() < LOST_ALL:
            scene.engine.empty()
        await asyncio.sleep(rng.uniform(0, 1.5))
        await scene.engine.start()


async def _partition_owner_killed(scene: Scene, rng: Random) -> None:
    """A second worker takes half of the partitions; then one of the two dies, and comes back."""
    other = scene.keeper.another("owner")
    async with _kept(scene, other):
        await scene.until(lambda: HALF in other.output and HALF in scene.keeper.output, "both read half of the partitions")
        await _flows(scene, rng.uniform(0.2, 1.0))
        victim = rng.choice((other, scene.keeper))
        ended = len(victim.codes)
        victim.signal(signal.SIGKILL)
        await victim.ended(ended, 15)
        await _flows(scene, rng.uniform(0.2, 1.0))
        await scene.until(lambda: victim.output.count("partitions; workers") > victim.output.count(HALF), "it reads again")


async def _share_count_changed(scene: Scene, rng: Random) -> None:
    """From one worker to two or three shares, one of which dies, and back."""
    ended = len(scene.keeper.codes)
    scene.keeper.held.clear()
    scene.keeper.signal(signal.SIGTERM)
    await scene.keeper.ended(ended, 15)
    count = rng.choice((2, 3))
    shares = [scene.keeper.another(f"share-{number}", SHARE=f"{number}/{count}") for number in range(1, count + 1)]
    async with _kept(scene, *shares):
        await scene.until(lambda: all("Connected to" in share.output for share in shares), "all shares read")
        await _flows(scene, rng.uniform(0.5, 1.5))
        victim = rng.choice(shares)
        ended = len(victim.codes)
        victim.signal(signal.SIGKILL)
        await victim.ended(ended, 15)
        await _flows(scene, rng.uniform(0.2, 1.0))
        await scene.until(lambda: victim.output.count("Connected to") > 1, "the share that died reads again")
    scene.keeper.held.set()


STREAM: frozenset[Need] = frozenset({"stream"})
DIES = TERMINATED | {DEATH}
KINDS = (
    Kind("engine_killed", "several", "kill -9 of the stream's server, some with the loss of all", _engine_killed, needs=STREAM),
    Kind(
        "partition_owner_killed", "several", "two on a stream's server, one killed", _partition_owner_killed, DIES, needs=STREAM
    ),
    Kind("share_count_changed", "several", "from 1 worker to 2 or 3 shares, one killed, and back", _share_count_changed, DIES),
)
