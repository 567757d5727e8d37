"""What happens to the worker's process: signals, death at named points, its clock, its stdout."""

import asyncio
import signal
from random import Random

from testing.faults.feed import RESERVED
from testing.faults.kind import Kind, Prepare, Strike, unprepared
from testing.faults.scene import Scene, fake_clock

DEATH = -signal.SIGKILL
BUSY = 90  # messages: enough for several calls of the point's kind


async def _terminated(scene: Scene, _rng: Random) -> None:
    ended = len(scene.keeper.codes)
    scene.keeper.signal(signal.SIGTERM)
    await scene.keeper.ended(ended, 15)


async def _killed(scene: Scene, rng: Random) -> None:
    await asyncio.sleep(rng.uniform(0, 1))
    ended = len(scene.keeper.codes)
    scene.keeper.signal(signal.SIGKILL)
    await scene.keeper.ended(ended, 15)


async def _killed_while_stopping(scene: Scene, rng: Random) -> None:
    ended = len(scene.keeper.codes)
    scene.keeper.signal(signal.SIGTERM)
    await asyncio.sleep(rng.uniform(0, 0.05))
    scene.keeper.signal(signal.SIGKILL)
    await scene.keeper.ended(ended, 15)


def _at(point: str, most: int, ms: tuple[float, float] = (0, 0)) -> Strike:
    """Death at one of the first `most` statements of the point's kind."""

    async def strike(scene: Scene, rng: Random) -> None:
        ended = len(scene.keeper.codes)
        scene.keeper.arm(point, rng.randint(1, most), rng.uniform(*ms))
        await _dead(scene, ended)

    return strike


async def _dead(scene: Scene, ended: int) -> None:
    """Wait for the worker's death by its own hand; the stream goes on meanwhile, or nothing would be written."""

    def killed() -> bool:
        scene.feed.burst(BUSY)
        return DEATH in scene.keeper.codes[ended:]

    try:
        await scene.until(killed, "the worker dies where it was told to")
    finally:
        scene.keeper.disarm()


async def _amid_wipe(scene: Scene, rng: Random) -> None:
    """Accounts are deleted in the stream now and then: the one to come is found in mid-wipe."""
    ended = len(scene.keeper.codes)
    scene.keeper.arm("amid_wipe", 1, rng.uniform(0.1, 1))
    await _dead(scene, ended)


async def _amid_rebuild(scene: Scene, rng: Random) -> None:
    """A rebuild that was begun goes on with the next start, which dies in it."""
    ended = len(scene.keeper.codes)
    await scene.sql("SELECT unified_worker.begin_rebuild()")
    scene.keeper.arm("amid_rebuild", rng.randint(1, 12), rng.uniform(0.1, 3))
    scene.keeper.signal(signal.SIGKILL)
    await scene.keeper.ended(ended, 15)
    await _dead(scene, ended + 1)


def _before_migration(scene: Scene, rng: Random) -> None:
    scene.keeper.arm("amid_migration", rng.randint(1, 10), 0)  # a first start sends 12 such statements


async def _amid_migration(scene: Scene, _rng: Random) -> None:
    """It was armed before its first start."""
    await _dead(scene, 0)


async def _clock(scene: Scene, rng: Random) -> None:
    """The clock of the worker's process goes forward by an hour, back by two, and is right again."""
    assert scene.clock is not None
    for offset in ("+3600", "-7200", "+0"):
        fresh = scene.clock.with_suffix(".new")
        fresh.write_text(offset)
        fresh.rename(scene.clock)
        await asyncio.sleep(rng.uniform(0.5, 1.5))


def _no_clock() -> str | None:
    return None if fake_clock() else "libfaketime is not installed (Debian: apt-get install faketime)"


async def _full_pipe(scene: Scene, rng: Random) -> None:
    """Nobody reads stdout, and it is full; everything that is worth a line of the log happens meanwhile."""
    assert scene.keeper.pipe is not None
    ended = len(scene.keeper.codes)
    scene.keeper.pipe.fill()
    scene.relay.drop()
    scene.feed.more(BUSY)
    await asyncio.sleep(rng.uniform(2, 3))
    before = scene.witness.newest

    def goes_on() -> bool:
        """It must go on; or end, if another fault asks for that: what it says of it nobody can read."""
        scene.feed.burst(BUSY, RESERVED / 2)  # earlier faults may have used up all the rest
        return scene.witness.newest > before or len(scene.keeper.codes) > ended

    await scene.until(goes_on, "commits go on")
    scene.keeper.pipe.drain()


KILLED = frozenset({int(DEATH)})
# Where it came before the process had come so far as to heed it; and where it is the second one, at which it leaves at once.
TERMINATED = frozenset({-int(signal.SIGTERM), 128 + signal.SIGTERM})


def _crash(name: str, what: str, strike: Strike, prepare: Prepare = unprepared) -> Kind:
    """One at a named point: of these a run can have one."""
    return Kind(f"crash_{name}", "process", f"SIGKILL {what}", strike, KILLED, prepare=prepare, group="armed")


KINDS = (
    Kind("sigterm", "process", "SIGTERM, and started again", _terminated, TERMINATED),
    Kind("sigkill", "process", "SIGKILL at any moment", _killed, KILLED),
    Kind("sigkill_stopping", "process", "SIGKILL while it stops", _killed_while_stopping, KILLED | TERMINATED),
    _crash("amid_batch", "amid a call", _at("amid_batch", 8, (0.2, 8))),
    _crash("after_batch", "when a call has returned", _at("after_batch", 8)),
    _crash("before_cursor", "after commits, before the cursor", _at("before_cursor", 2)),
    _crash("amid_cursor", "amid the cursor's saving", _at("amid_cursor", 2, (0.1, 0.6))),
    _crash("after_cursor", "when the cursor is saved", _at("after_cursor", 2)),
    _crash("between_halves", "between two halves of a batch", _at("between_halves", 3)),
    _crash("amid_wipe", "amid the wipe of an account", _amid_wipe),
    _crash("amid_rebuild", "amid a rebuild of derived rows", _amid_rebuild),
    _crash("amid_migration", "amid the first start's migrations", _amid_migration, _before_migration),
    Kind("clock_jumps", "process", "an hour ahead, then one behind", _clock, needs=frozenset({"clock"}), missing=_no_clock),
    Kind("full_pipe", "process", "stdout a full pipe for 3 s", _full_pipe, needs=frozenset({"pipe"})),
)
