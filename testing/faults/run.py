"""One run: the stream flows, faults strike, the worker recovers, and the database is judged by the model."""

import asyncio
import contextlib
import signal
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, cast

from relay_simulator.changes import Change
from relay_simulator.encoding import frame
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.records import Record
from relay_simulator.truth import AccountTruth, CommitTruth, Sent
from testing.databases import differences, settled
from testing.faults.kind import Kind
from testing.faults.kinds import KINDS
from testing.faults.scene import PATIENCE, Scene, Wishes, raised
from testing.faults.witness import GONE
from testing.model import UNDETERMINED
from testing.model.names import Rows
from testing.model.protocol import instant, tid_time
from testing.traffic import traffic_of

MOST_RSS = 200 * 2**20  # bytes
EVENTS = 1_200  # of a stream, and so many more for each fault
MORE_EVENTS = 600
SIGNED = replace(Mix.realistic(), delete=8, update=2, several=4, account_deleted=0)  # with trees and signatures
LATE, ROTATED = 85, 6  # where keys change, in hundredths of the stream: accounts that have written long before
ASLEEP = """
SELECT DISTINCT did FROM unified_worker.dead_letters JOIN unified_worker.repos AS r USING (did)
WHERE reason = 'wiping' AND NOT r.active ORDER BY did
"""
UNPROVEN = """
SELECT EXISTS (SELECT FROM unified_worker.repos WHERE unproven IS NOT NULL)
OR EXISTS (SELECT FROM unified_worker.dead_letters WHERE reason = 'unproven' AND frame_sha256 IS NOT NULL)
"""
BEHIND = "SELECT EXISTS (SELECT FROM unified_worker.rebuild WHERE NOT done)"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which kinds strike in a run: those of a round at once, the rounds one after the other. All else follows from the seed."""

    seed: int
    rounds: tuple[tuple[str, ...], ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All of them."""
        return tuple(KINDS[name] for names in self.rounds for name in names)

    def __str__(self) -> str:
        return ", then ".join(" + ".join(names) for names in self.rounds)


@dataclass(slots=True)
class Outcome:
    """What became of it. `faults`: what must not have been. Times in seconds, after the end of the last fault; RSS in bytes."""

    seed: int
    rounds: tuple[tuple[str, ...], ...]
    faults: list[str] = field(default_factory=list[str])
    first: float = 0.0  # until the first commit that was not there before
    caught_up: float = 0.0  # until all of the stream is in and the cursor at its end
    rss: int = 0
    starts: int = 0
    looks: int = 0
    seconds: float = 0.0
    log: str = ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


async def play(plan: Plan, template: Path) -> Outcome:
    """The run. Whatever goes wrong is in the outcome's faults."""
    outcome = Outcome(plan.seed, plan.rounds)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="unified-faults-") as folder:
        rng = Random(f"run {plan.seed} {plan}")
        async with raised(template, Path(folder), _wishes(plan, rng)) as scene:
            try:
                for kind in plan.kinds:
                    kind.prepare(scene, rng)
                async with asyncio.timeout(4 * PATIENCE), scene.playing():
                    await _rounds(plan, scene, rng, outcome)
                    await _end(scene, outcome)
                await _judge(plan, scene, outcome)
            except* (AssertionError, TimeoutError) as errors:
                outcome.faults += leaves(errors)
            outcome.rss, outcome.starts, outcome.looks = scene.keeper.rss, len(scene.keeper.codes), scene.witness.looks
            outcome.log = scene.keeper.output[-20_000:] if outcome.faults else ""
    outcome.seconds = time.monotonic() - began
    return outcome


def _wishes(plan: Plan, rng: Random) -> Wishes:
    kinds = plan.kinds
    needs = frozenset(need for kind in kinds for need in kind.needs)
    events = EVENTS + MORE_EVENTS * len(kinds)
    settings = Settings(seed=plan.seed, accounts=300, mix=Mix.awkward(), cheap=True, padding=1_000)
    if "directory" in needs:
        late = settings.first_seq + events * LATE // 100
        changes = tuple(Change(late + number, number, key=True) for number in range(ROTATED)) if "new keys" in needs else ()
        settings = Settings(seed=plan.seed, accounts=60, history=30, mix=SIGNED, changes=changes)
    sent = list(Generator(settings).stream(events))
    for kind in kinds:
        sent = kind.shape(sent, rng)
    env = {"DB_POOL_SIZE": rng.choice(("1", "2", "3", "20")), "SYNCHRONOUS_COMMIT": rng.choice(("on", "on", "off"))}
    for kind in kinds:
        env |= kind.env
    return Wishes(sent, max(kind.slack for kind in kinds), env, needs, settings if "directory" in needs else None)


async def _rounds(plan: Plan, scene: Scene, rng: Random, outcome: Outcome) -> None:
    """Between the rounds the stream flows, so that each strikes a worker at work, and each recovery has something to do."""
    stretch = 0.8 / (2 * len(plan.rounds) + 1)
    scene.feed.allow(stretch / 2)
    for number, names in enumerate(plan.rounds):
        await scene.newer(scene.witness.newest, reserved=0.06)
        scene.feed.allow(stretch * (2 * number + 1))
        await asyncio.sleep(rng.uniform(0, 0.5))  # the moment is a matter of chance
        scene.feed.allow(stretch * (2 * number + 2))
        async with asyncio.TaskGroup() as strikes:
            for name in names:
                strikes.create_task(_strike(KINDS[name], scene, Random(rng.random())))
        scene.feed.allow(stretch * (2 * number + 2.5))
    outcome.first = await _first(scene)


async def _strike(kind: Kind, scene: Scene, rng: Random) -> None:
    await asyncio.sleep(rng.uniform(0, 0.3))
    with contextlib.suppress(*GONE):  # another fault has struck this one
        await kind.strike(scene, rng)


async def _first(scene: Scene) -> float:
    """Seconds until a commit is there that the relay got after the last fault's end."""
    return await scene.newer(max(newest_of(sent) for sent in scene.feed.sent[: scene.feed.position]), reserved=0.03)


def newest_of(sent: Sent) -> str:
    """A commit's rev, if it is one that can be applied: revs sort by time."""
    match sent.truth:
        case CommitTruth(rev=rev, time=at):
            time_of = instant(at)
            return rev if time_of is not None and tid_time(rev) <= time_of else ""
        case _:
            return ""


async def _end(scene: Scene, outcome: Outcome) -> None:
    """The rest of the stream; then an orderly stop."""
    began = time.monotonic()
    scene.feed.allow(1.0)
    await scene.until(lambda: scene.feed.position == len(scene.feed.sent), "the whole stream is with the relay")
    last = max(sent.truth.seq for sent in scene.feed.sent)
    await scene.until(lambda: scene.witness.cursor == last, f"the cursor is at the end of the stream, {last}")
    outcome.caught_up = outcome.first + time.monotonic() - began
    await settled(scene.url, PATIENCE)
    await _wake(scene, last)

    async def rebuilt() -> bool:
        return not (await scene.rows(BEHIND))[0][0]

    async def proven() -> bool:
        return not (await scene.rows(UNPROVEN))[0][0]

    await scene.until(rebuilt, "a rebuild is through")
    await scene.until(proven, "all keys have come, and everything is proven")
    ended = len(scene.keeper.codes)
    scene.keeper.rest()
    scene.keeper.signal(signal.SIGTERM)
    await scene.keeper.ended(ended, 12)
    if scene.keeper.codes[-1] != 0:
        outcome.faults.append(f"it ended with {scene.keeper.codes[-1]} when it was asked to stop")


def leaves(group: BaseExceptionGroup[BaseException]) -> list[str]:
    """The errors in a group of groups, in words."""
    found: list[str] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            found.append(f"{type(error).__name__}: {error}")
    return found


async def _wake(scene: Scene, last: int) -> None:
    """What an account wrote while it was wiped waits, and while the account is inactive it goes on waiting: all are woken."""
    time_of = scene.sent[-1].truth.time
    highest = max(sent.truth.seq for sent in scene.sent)  # by the numbering that the model knows
    asleep = [row["did"] for row in await scene.rows(ASLEEP)]
    for number, did in enumerate(asleep, 1):
        payload: Record = {"seq": last + number, "did": did, "time": time_of, "active": True}
        message = frame("#account", payload)
        scene.sent.append(Sent(message, AccountTruth(highest + number, did, time_of, True, None)))
        scene.relay.append(message)
    await scene.until(lambda: scene.witness.cursor == last + len(asleep), "the last messages are through")
    await settled(scene.url, PATIENCE)


async def _judge(plan: Plan, scene: Scene, outcome: Outcome) -> None:
    """The database equals the model; the cursor was never ahead; memory was bounded; no end but those of the faults."""
    outcome.faults += scene.witness.faults[:5]
    allowed = {0}.union(*(kind.codes for kind in plan.kinds))
    for keeper in (scene.keeper, *scene.beside):
        outcome.faults += keeper.faults
        outcome.faults += [f"it ended with {code}" for code in keeper.codes if code not in allowed]
        if keeper.rss > MOST_RSS:
            outcome.faults.append(f"it took {keeper.rss / 2**20:.0f} MB")
    if scene.witness.looks < 3:
        outcome.faults.append(f"the cursor was looked at {scene.witness.looks} times only")
    model = traffic_of(scene.sent, "full" if scene.directory is not None else "off").model
    _leave_open(model.expected().rows, scene)
    outcome.faults += await differences(scene.url, model)


def _leave_open(rows: Rows, scene: Scene) -> None:
    """What a fault brought into the stream that the model was not told: a broken message marks its account; other seqs."""
    for did in scene.broken:
        rows["unified_worker.repos"][did] |= dict.fromkeys(("sync", "sync_reason"), UNDETERMINED)
    if scene.directory is not None:
        for row in rows["unified_worker.repos"].values():  # a commit whose key came late sets no ratchet
            row["inductive"] = row["handle"] = UNDETERMINED
        for row in rows["users"].values():  # a handle depends on whose document was looked up, and when
            row["handle"] = UNDETERMINED
    if scene.renumbered or scene.beside:
        for row in (row for table in rows.values() for row in table.values() if "commit_seq" in row):
            row["commit_seq"] = UNDETERMINED
