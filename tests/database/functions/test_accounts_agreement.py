"""Random lives of a few accounts that claim the same handles: the database says what the model says, however they go."""

import random

import pytest

from relay_simulator.encoding import time_text
from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, OpTruth
from testing.commits import CID, POST, Stream, did, post, put
from testing.database_side import Worker, opened
from testing.model import Model
from testing.model.compare import compare
from unified_indexer.database.background.wiper import Wiper
from unified_indexer.database.recount.accounts import deletions, handles
from unified_indexer.database.recount.compare import compare as recount
from unified_indexer.protocol.events import Account, Identity

NAMES, HANDLES = "abcd", ("x.test", "y.test", "handle.invalid")
STATES = [(True, None), (False, "deactivated"), (False, "deleted"), (False, "deleted")]
PENDING = "SELECT did, since FROM unified_worker.deletions"
LATER = "UPDATE unified_worker.repos SET handle_place = handle_place + 1 WHERE handle_place < 0"


class Life:
    """The same things said to the worker and to the model."""

    def __init__(self, worker: Worker, seed: int) -> None:
        self.worker = worker
        self.dice = random.Random(seed)
        self.stream = Stream()
        self.model = Model(confirm=worker.confirm)

    async def step(self) -> None:
        acts = [self.commit, self.identity, self.identity, self.account, self.settle, self.answer]
        await self.dice.choice(acts if self.worker.confirm else acts[:4])(self.dice.choice(NAMES))

    async def commit(self, name: str) -> None:
        rkey = str(self.stream.seq)
        event = self.stream.commit(name, put(f"{POST}/{rkey}", post()))
        op = OpTruth("create", POST, rkey, str(event.ops[0].cid and CID), post(), 100, None)
        time = time_text(int((event.time.timestamp() if event.time else 0) * 1_000_000))
        self.model.apply(CommitTruth(event.seq, did(name), event.rev, None, time, (op,), too_big=False, sound=False))
        await self.worker.write(event)

    async def identity(self, name: str) -> None:
        await self.say(self.stream.identity(name, self.dice.choice(HANDLES)))

    async def account(self, name: str) -> None:
        await self.say(self.stream.account(name, *self.dice.choice(STATES)))

    async def say(self, event: Identity | Account) -> None:
        time = time_text(int((event.time.timestamp() if event.time else 0) * 1_000_000))
        if isinstance(event, Identity):
            self.model.apply(IdentityTruth(event.seq, event.did, time, event.handle))
        else:
            self.model.apply(AccountTruth(event.seq, event.did, time, event.active, event.status))
        await self.worker.write(event)
        while await Wiper(self.worker.pool).turn():
            pass

    async def settle(self, name: str) -> None:
        handle = self.dice.choice(["x.test", "y.test", None])
        self.model.settled(did(name), handle)
        await self.worker.value("SELECT unified_worker.settle_handle($1, $2)", did(name), handle)
        await self.worker.connection.execute(LATER)  # as if a second had passed

    async def answer(self, _: str) -> None:
        for row in await self.worker.connection.fetch(PENDING):
            if self.dice.random() < 0.5:
                self.model.confirmed(row["did"])
                await self.worker.value("SELECT unified_worker.confirm_deletion($1, $2)", *row)
            else:
                self.model.denied(row["did"], True, None)
                await self.worker.value("SELECT unified_worker.deny_deletion($1, $2, true, NULL)", *row)
        while await Wiper(self.worker.pool).turn():
            pass


async def differences(life: Life) -> list[str]:
    """Of what follows from messages: whose rows are there, who shows which handle, and what is known of accounts."""
    found = [line for line in await compare(life.model, life.worker.connection) if line.startswith(("users", "unified_worker"))]
    for kind in (handles("public"), deletions()):
        found += [f"check: {example}" for example in (await recount(life.worker.connection, kind, None)).examples]
    posts = set(await life.worker.column("SELECT uri FROM posts"))
    return found if posts == set(life.model.rows()["posts"]) else [*found, "posts"]


@pytest.mark.parametrize("confirm", [True, False])
@pytest.mark.parametrize("seed", range(3))
async def test_random_lives_end_as_the_model_says(database: str, confirm: bool, seed: int) -> None:
    async with opened(database, confirm=confirm) as worker:
        life = Life(worker, seed)
        for number in range(120):
            await life.step()
            if number % 10 == 9:
                assert await differences(life) == [], (seed, number)
