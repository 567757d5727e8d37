"""kill -9 of a worker that verifies in full, in each state that its trust may be in: the next one ends with the same rows.

And a directory that is away in mid-stream: nothing stops, and what was applied meanwhile is proven when it is back.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pytest
from asyncpg import UndefinedTableError

from relay_simulator.changes import Change
from relay_simulator.encoding import frame
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.faults import Cut, Slow, Status
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from relay_simulator.truth import AccountTruth, Sent
from testing.databases import connected, differences, saved, settled
from testing.forgeries import leave_handles_open
from testing.model import Model
from testing.processes import Process
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.accounts import deletions

EVENTS = 600
HALF = EVENTS // 2
ROTATION = 1_000_001 + 200  # a seq in the second quarter, where there are gaps
SETTINGS = Settings(
    seed=6,
    accounts=40,
    history=30,
    per_second=5,  # the stream lasts longer than the clocks of two servers may differ
    mix=replace(Mix.realistic(), identity=0, handle_change=0, account=0, account_deleted=0),
    changes=tuple(Change(ROTATION + number, number, key=True, identity="after") for number in range(5)),
)
UNPROVEN = "SELECT count(*) FROM unified_worker.repos WHERE unproven IS NOT NULL"
UNCERTAIN = "SELECT count(*) FROM unified_worker.repos WHERE status = 'deletion_unconfirmed'"
LETTERS = "SELECT count(*) FROM unified_worker.dead_letters WHERE forged"
KEYS = "SELECT count(*) FROM unified_worker.identities"


class Quick(Process):
    """A worker that asks again sooner."""

    constants = MappingProxyType(
        {
            "unified_indexer.identity.pace.PROBE_INTERVAL": 0.5,
            "unified_indexer.identity.asker.RETRY_PAUSE": 0.5,
            "unified_indexer.trust.settling.ROUND": 1.0,
            "unified_indexer.accounts.deletions.POSTPONE": deletions.POSTPONE.replace("'1 minute'", "'10 milliseconds'"),
        }
    )


@dataclass
class Scene:
    """The network, and how far its stream was sent. `url`: the database."""

    url: str
    relay: RelayServer
    ledger: Ledger
    services: Services
    stream: list[Sent]
    model: Model

    def send(self, count: int) -> list[Sent]:
        """The next so many events."""
        sent, self.stream = self.stream[:count], self.stream[count:]
        for one in sent:
            self.ledger.note(one.truth)
            self.model.apply(one.truth)
            self.relay.append(one.frame)
        return sent

    def delete(self, did: str) -> None:
        """The account is deleted, and writes no more; its host says the same."""
        seq, time = self.stream[0].truth.seq, self.stream[0].truth.time
        message = frame("#account", {"seq": seq, "did": did, "time": time, "active": False, "status": "deleted"})
        self.stream = [one for one in self.stream[1:] if one.truth.did != did]
        self.stream.insert(0, Sent(message, AccountTruth(seq, did, time, False, "deleted")))
        self.send(1)
        self.model.confirmed(did)

    def env(self, **env: str) -> dict[str, str]:
        """The settings of a worker."""
        return settings(self.url, self.relay.url, VERIFY="full", **{"PLC_RATE": "1000"} | self.services.settings | env)

    async def value(self, query: str) -> int:
        async with connected(self.url) as connection:
            try:
                return int(await connection.fetchval(query))
            except UndefinedTableError:  # it is just starting
                return 0

    async def reach(self, query: str, is_reached: Callable[[int], bool], what: str) -> None:
        """Wait until a number in the database is so."""

        async def so() -> bool:
            return is_reached(await self.value(query))

        await until(so, what, 150)  # an account's letters are tried once a minute

    async def judge(self, last: int) -> None:
        """Wait until all is settled; the rows are the model's then."""
        await saved(self.url, self.relay.url, last)
        for query, what in (
            (UNPROVEN, "no repo is unproven"),
            (UNCERTAIN, "no deletion is open"),
            (LETTERS, "no letter waits"),
        ):
            await self.reach(query, lambda number: number == 0, what)
        await settled(self.url)
        leave_handles_open(self.model)
        assert await differences(self.url, self.model, excused=lambda line: "inductive is" in line) == []


@asynccontextmanager
async def scene(url: str, of: Settings = SETTINGS) -> AsyncGenerator[Scene]:
    stream = list(Generator(of).stream(EVENTS))
    async with RelayServer() as relay:
        ledger = Ledger(of)
        async with Services(ledger) as services:
            yield Scene(url, relay, ledger, services, stream, Model(confirm=True, verify="full"))


async def unproven(scene: Scene, worker: Process) -> None:
    """The directory is silent: what is applied has no proof yet."""
    scene.services.faults.put(Cut(), "directory")
    await worker.says("Connected to ")
    scene.send(HALF)
    await scene.reach(UNPROVEN, lambda number: number > SETTINGS.accounts // 2, "most repos are unproven")


async def settling(scene: Scene, worker: Process) -> None:
    """Some keys have come, others have not."""
    await unproven(scene, worker)
    most = await scene.value(UNPROVEN)
    scene.services.faults.clear()
    await scene.reach(UNPROVEN, lambda number: 0 < number < most, "some are proven, and not all")


async def held(scene: Scene, worker: Process) -> None:
    """No commit is applied without a key: they wait in memory."""
    scene.services.faults.put(Slow(20.0), "directory")
    await worker.says("Connected to ")
    scene.send(HALF)
    await scene.services.requests.reach(5, "plc")


async def aside(scene: Scene, worker: Process) -> None:
    """Keys have changed: commits wait in memory until the directory has said so."""
    await worker.says("Connected to ")
    scene.send(HALF // 2)
    await scene.reach(KEYS, lambda number: number > SETTINGS.accounts // 2, "keys are known")
    await scene.reach(UNPROVEN, lambda number: number == 0, "all are proven")
    scene.services.faults.put(Slow(20.0), "plc")
    asked = scene.services.requests.count("plc")
    scene.send(HALF // 2)
    await scene.services.requests.reach(asked + 2, "plc")


async def refused(scene: Scene, worker: Process) -> None:
    """Keys have changed, and nobody says so: commits are letters until somebody does."""
    await worker.says("Connected to ")
    scene.send(HALF // 2)
    await scene.reach(KEYS, lambda number: number > SETTINGS.accounts // 2, "keys are known")
    await scene.reach(UNPROVEN, lambda number: number == 0, "all are proven")
    scene.services.faults.put(Status(503), "directory")
    scene.send(HALF // 2)
    await scene.reach(LETTERS, lambda number: number > 0, "some are letters")


async def deleting(scene: Scene, worker: Process) -> None:
    """Nobody confirms a deletion: the account is hidden, and its rows stay."""
    await worker.says("Connected to ")
    sent = scene.send(HALF)
    scene.services.faults.put(Status(503), "getRepoStatus")
    for number in (1, 2):
        scene.delete(sent[-number].truth.did)
    await scene.reach(UNCERTAIN, lambda number: number == 2, "the deletions are open")


State = Callable[[Scene, Process], Awaitable[None]]


@pytest.mark.long
@pytest.mark.promise(1)
@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("state", "env"),
    [
        (unproven, {}),
        (settling, {"PLC_RATE": "5"}),
        (held, {"VERIFY_UNPROVEN": "hold"}),
        (aside, {}),
        (refused, {}),
        (deleting, {}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_a_worker_that_is_killed_leaves_nothing_unproven(
    state: State, env: dict[str, str], database: str, tmp_path: Path
) -> None:
    async with scene(database) as made:
        async with Quick(tmp_path, **made.env(**env)) as worker:
            await state(made, worker)
            worker.kill()
        made.services.faults.clear()
        async with Quick(tmp_path, **made.env(**env | {"PLC_RATE": "1000"})) as worker:
            last = made.stream[-1].truth.seq
            made.send(len(made.stream))
            await made.judge(last)
            assert "Traceback" not in worker.output


async def away(url: str, seconds: float) -> None:
    """The directory does not answer for so long, while the stream goes on, also with new accounts."""
    async with (
        scene(url, replace(SETTINGS, accounts=150, changes=())) as made,
        running(url, made.relay.url, reset_cursor=False, **made.env()) as worker,
    ):
        seq = made.send(HALF // 3)[-1].truth.seq
        await finished(worker, seq)
        made.services.faults.put(Cut(), "directory")
        began, steps = asyncio.get_running_loop().time(), 10
        for step in range(steps):
            seq = made.send(HALF // steps)[-1].truth.seq
            await finished(worker, seq)
            await asyncio.sleep(max(began + seconds * (step + 1) / steps - asyncio.get_running_loop().time(), 0))
        assert await made.value(UNPROVEN) > 0
        made.services.faults.clear()
        last = made.stream[-1].truth.seq
        made.send(len(made.stream))
        await finished(worker, last)
        await made.judge(last)
        assert worker.metrics.settled["failed"] == 0


@pytest.mark.long
async def test_a_directory_that_is_away_for_a_while_stops_and_loses_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in Quick.constants.items():
        monkeypatch.setattr(name, seconds)
    await away(database, 3)


@pytest.mark.soak
async def test_a_directory_that_is_away_for_a_minute_stops_and_loses_nothing(database: str) -> None:
    await away(database, 60)
