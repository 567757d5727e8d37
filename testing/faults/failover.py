"""A machine is lost and another one takes its place: that of PostgreSQL's primary, or that of the worker."""

import asyncio
import signal
from random import Random

from testing.failover import cut_off, promote, silenced
from testing.faults.kind import Kind
from testing.faults.process import TERMINATED
from testing.faults.scene import Scene
from testing.faults.second_relay import kept
from testing.servers import kill9
from unified_indexer.database.connection.lock import STANDING_BY

STANDS_BY = STANDING_BY.partition("%")[0]
LOST = 400  # messages, of which the standby gets none


async def _promoted(scene: Scene, rng: Random) -> None:
    """What reached the primary alone is lost with it: cursor and rows go back together."""
    assert scene.second is not None
    if rng.random() < 0.7:
        await cut_off(scene.second)
        scene.feed.more(LOST)
        await asyncio.sleep(rng.uniform(0.5, 2))
    async with scene.operator:
        scene.to_database.deafen()
        await kill9(scene.server)
        scene.to_database.reset()
        await asyncio.sleep(rng.uniform(0, 1))
        await _take_over(scene)


async def _silent(scene: Scene, _rng: Random) -> None:
    """None of its processes runs, and nothing is closed; it is dead only when the worker has left it."""
    async with scene.operator:
        old = scene.server
        with silenced(old):
            await _take_over(scene)
            await scene.newer(scene.witness.newest, reserved=0.08)
        await kill9(old)


async def _take_over(scene: Scene) -> None:
    assert scene.second is not None
    await promote(scene.second)
    scene.fail_over()


async def _worker_silent(scene: Scene, _rng: Random) -> None:
    """A second worker waits, takes over where the first one hangs, and ends when that has found out and waits itself."""
    other = scene.keeper.standing_by()
    async with kept(scene, other):
        await scene.until(lambda: STANDS_BY in other.output, "the second worker stands by")
        waited = scene.keeper.output.count(STANDS_BY)
        scene.keeper.signal(signal.SIGSTOP)
        try:
            await scene.newer(scene.witness.newest, reserved=0.08)
        finally:
            scene.keeper.signal(signal.SIGCONT)
        await scene.until(lambda: scene.keeper.output.count(STANDS_BY) > waited, "the first worker stands by")


KINDS = (
    Kind(
        "primary_promoted",
        "failover",
        "the primary killed, its standby promoted, up to 400 messages behind",
        _promoted,
        needs=frozenset({"standby"}),
        group="second",
    ),
    Kind(
        "primary_silent",
        "failover",
        "the primary hangs, its standby promoted",
        _silent,
        needs=frozenset({"standby"}),
        group="second",
    ),
    Kind(
        "worker_machine_silent",
        "failover",
        "SIGSTOP of the worker, another one stands by",
        _worker_silent,
        TERMINATED,
        env={"STANDBY": "on"},
        group="second",
    ),
)
