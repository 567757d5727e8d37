"""A deletion that a relay tells: believed when the account's own server, or the directory, says the same; refused when not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from relay_simulator import keys
from relay_simulator.hosts.faults import Altered, Cut, Redirect, Slow, Status, Text
from relay_simulator.ports import free_port
from testing.confirming import Scene, scene
from testing.waiting import until
from testing.web_site import telling, web_site
from unified_indexer.accounts import deletions, documents
from unified_indexer.accounts.deletions import Deletions
from unified_indexer.database.background.stuck import Stuck
from unified_indexer.database.background.wiper import Wiper

POSTS = "SELECT count(*) FROM posts WHERE author_did = $1"
PENDING = "SELECT count(*) FROM unified_worker.deletions"
NOW = "UPDATE unified_worker.deletions SET retry_at = now()"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletions, "INTERVAL", 0.02)


@asynccontextmanager
async def confirming(on: Scene, *, asks: bool = True) -> AsyncGenerator[None]:
    """Deletions are confirmed, and the wiper works, while the block runs."""
    pool, metrics = on.worker.pool, on.worker.metrics
    work = Deletions(pool, metrics, on.documents, on.client) if asks else Deletions(pool, metrics)
    tasks = [asyncio.create_task(work.keep_confirming()), asyncio.create_task(Wiper(pool).keep_wiping())]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def posts(on: Scene, number: int) -> int:
    return await on.worker.value(POSTS, on.ledger.did(number))


async def said_deleted(on: Scene, *numbers: int) -> None:
    """A relay says so of accounts that have a post each."""
    for number in numbers:
        assert await on.writes(number) == "applied"
        await on.said(number, False, "deleted")
        assert await on.state(number) == (False, "deletion_unconfirmed")


async def settled(on: Scene) -> None:
    async def none_pending() -> bool:
        return await on.worker.value(PENDING) == 0

    await until(none_pending, "every deletion is settled")


@pytest.mark.promise(2)
async def test_a_deletion_that_its_pds_confirms_is_carried_out_and_a_forged_one_is_not(database: str) -> None:
    async with scene(database) as on:
        on.stands(1, False, "deleted")
        on.stands(2, False, "takendown")
        await said_deleted(on, 0, 1, 2)
        async with confirming(on):
            await settled(on)
            assert await on.state(0) == (True, None), "its PDS says that it is active"
            assert await on.state(1) == (False, "deleted")
            assert await on.state(2) == (False, "takendown")

            async def gone() -> bool:
                return await posts(on, 1) == 0

            await until(gone, "the wipe")
            await until(lambda: on.counts == {"deletion_denied": 2, "deletion_confirmed": 1}, "each is counted")
        assert [await posts(on, number) for number in (0, 2)] == [1, 1]
        assert await on.writes(0) == "applied"


async def test_a_did_that_has_ended_confirms_it(database: str) -> None:
    """The ledger's last accounts have a tombstone."""
    async with scene(database) as on:
        await said_deleted(on, 20)
        async with confirming(on):
            await settled(on)
        assert await on.state(20) == (False, "deleted")
        assert on.services.requests.count("getRepoStatus") == 0


async def test_a_pds_that_knows_no_such_repo_confirms_it(database: str) -> None:
    async with scene(database) as on:
        on.services.faults.put(Status(400, error="RepoNotFound"), "getRepoStatus")
        await said_deleted(on, 0)
        async with confirming(on):
            await settled(on)
            await until(lambda: on.counts == {"deletion_confirmed": 1}, "it is counted")


@pytest.mark.promise(2)
@pytest.mark.parametrize(
    ("fault", "endpoint"),
    [
        (Status(503), "getRepoStatus"),
        (Status(429), "getRepoStatus"),
        (Status(404, error="NotFound"), "getRepoStatus"),
        (Status(400, error="InvalidRequest"), "getRepoStatus"),
        (Text("<!doctype html>"), "getRepoStatus"),
        (Text('{"active": "no"}'), "getRepoStatus"),
        (Text('{"active": false, "status": "deleted", "did": "did:plc:another"}'), "getRepoStatus"),
        (Cut(), "getRepoStatus"),
        (Status(503), "plc"),
        (Altered("no-pds"), "plc"),
    ],
    ids=repr,
)
async def test_while_nobody_can_be_asked_the_account_is_hidden_and_whole(
    database: str, monkeypatch: pytest.MonkeyPatch, fault: Status | Text | Cut | Altered, endpoint: str
) -> None:
    monkeypatch.setattr(documents, "PATIENCE", 0.5)
    async with scene(database) as on:
        on.stands(0, False, "deleted")
        on.services.faults.put(fault, endpoint)
        await said_deleted(on, 0)
        async with confirming(on):
            await until(lambda: on.counts.get("deletion_unanswered") == 1, "the first attempt")
            row = await on.worker.connection.fetchrow(
                "SELECT attempts, error, extract(epoch FROM retry_at - now())::float8 AS wait FROM unified_worker.deletions"
            )
            assert row is not None
            assert (row["attempts"], bool(row["error"])) == (1, True)
            assert 40 < row["wait"] <= 60
            assert await on.state(0) == (False, "deletion_unconfirmed")
            assert await posts(on, 0) == 1
            await Stuck(on.worker.pool, on.worker.metrics).count()
            assert on.worker.metrics.deletions_unconfirmed == 1
            assert on.worker.metrics.oldest_deletion > 0
            on.services.faults.clear()
            if endpoint != "plc" or isinstance(fault, Altered):  # a directory that failed is asked again by itself, later
                await on.worker.connection.execute(NOW)
                await settled(on)
                assert await on.state(0) == (False, "deleted")


@pytest.mark.promise(2)
@pytest.mark.parametrize(
    "fault",
    [
        Text("<html>default backend"),
        Status(404),
        Status(410),
        Status(404, message="DID not registered: {did}"),
        Redirect("https://elsewhere.example/"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("number", [0, 1], ids=["web", "plc"])
async def test_who_does_not_know_a_did_confirms_no_deletion(
    database: str, monkeypatch: pytest.MonkeyPatch, fault: Status | Text | Redirect, number: int
) -> None:
    monkeypatch.setattr(documents, "PATIENCE", 0.5)
    async with scene(database, web_ports=[free_port()]) as on:
        did = on.ledger.did(number)
        if isinstance(fault, Status):
            fault = replace(fault, message=fault.message.format(did=did))
        on.services.faults.put(fault, "plc" if number else "web")
        on.stands(number, False, "deleted")
        await said_deleted(on, number)
        async with confirming(on):
            await until(lambda: on.counts == {"deletion_unanswered": 1}, "the first attempt")
            assert await on.state(number) == (False, "deletion_unconfirmed")
            assert await posts(on, number) == 1


@pytest.mark.promise(2)
async def test_a_replica_that_is_behind_confirms_no_deletion(database: str) -> None:
    """The account has moved, and the relay has kept back the #identity: its server of before has no such repo."""
    async with web_site() as replica, web_site() as before:
        before.answer = telling({"error": "RepoNotFound", "message": "no such repo"}, 400)
        async with scene(database, replicas=[replica.url]) as on:
            did = on.ledger.did(0)
            replica.answer = telling(keys.did_document(did, "user0.test", on.ledger.key(on.ledger.first(0)), before.url))
            assert await on.identities.wait(did, 20) is not None
            assert on.identities.pds(did) == before.url
            await said_deleted(on, 0)
            async with confirming(on):
                await settled(on)
            assert on.counts == {"deletion_denied": 1}
            assert await on.state(0) == (True, None)
            assert before.requests == []


async def test_attempts_in_vain_come_later_and_later(database: str) -> None:
    async with scene(database) as on:
        await said_deleted(on, 0)
        waits: list[float] = []
        for _ in range(9):
            since = await on.worker.value("SELECT since FROM unified_worker.deletions")
            await on.worker.connection.execute(deletions.POSTPONE, on.ledger.did(0), since, "timeout")
            waits.append(
                await on.worker.value("SELECT extract(epoch FROM retry_at - now())::float8 FROM unified_worker.deletions")
            )
        assert waits == pytest.approx([60, 120, 240, 480, 960, 1920, 3600, 3600, 3600], abs=2)


async def test_who_does_not_answer_keeps_no_other_waiting(database: str) -> None:
    async with scene(database, accounts=40) as on:
        for number in range(20):
            on.stands(number, False, "deleted")
        on.services.faults.put(Slow(60), "getRepoStatus", on.ledger.did(0))
        await said_deleted(on, *range(20))
        async with confirming(on):
            await until(lambda: on.counts.get("deletion_confirmed") == 19, "all the others")


@pytest.mark.promise(2)
async def test_a_flood_of_new_accounts_keeps_no_deletion_waiting(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at a first start, when for days more accounts come than the directory may be asked for."""
    monkeypatch.setattr(documents, "PATIENCE", 3.0)
    async with scene(database, rate=10) as on:
        on.stands(0, False, "deleted")
        await said_deleted(on, 0)

        async def flood() -> None:
            for number in range(1_000_000):
                on.identities.want(keys.did(2, number))
                await asyncio.sleep(0.005)

        flooding = asyncio.create_task(flood())
        await until(lambda: on.identities.waiting > 50, "many wait")
        async with confirming(on):
            await until(lambda: len(on.counts) > 0, "it is asked about")
            assert on.counts == {"deletion_confirmed": 1}
        flooding.cancel()


async def test_an_account_that_returns_while_it_is_asked_about_is_not_wiped(database: str) -> None:
    """Its PDS is late, or lies."""
    async with scene(database) as on:
        on.stands(0, False, "deleted")
        on.services.faults.put(Slow(1.0), "getRepoStatus")
        await said_deleted(on, 0)
        async with confirming(on):
            await asyncio.wait_for(on.services.requests.reach(1, "getRepoStatus"), 60)
            await on.said(0, True)
            await asyncio.sleep(1.5)
        assert await on.state(0) == (True, None)
        assert await posts(on, 0) == 1
        assert on.counts == {}


async def test_with_nobody_to_ask_the_relay_counts(database: str) -> None:
    """A worker with VERIFY=off takes over what another has left."""
    async with scene(database) as on:
        await said_deleted(on, 0)
        async with confirming(on, asks=False):
            await settled(on)
        assert await on.state(0) == (False, "deleted")
        assert on.services.requests.count() == 0
