"""Handles, checked both ways beside the stream: who holds one, what a false claim does, and how much is asked at most."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from relay_simulator.hosts.faults import Altered, Slow, Status, Text
from testing.confirming import Scene, scene
from testing.waiting import until
from unified_indexer.accounts import documents, handle_checks
from unified_indexer.accounts.handle_checks import HandleChecks

HANDLE = "SELECT handle FROM users WHERE did = $1"
WAITING = "SELECT count(*) FROM unified_worker.handle_checks"
NONE = "handle.invalid"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle_checks, "INTERVAL", 0.02)


@asynccontextmanager
async def checking(on: Scene) -> AsyncGenerator[None]:
    work = HandleChecks(on.worker.pool, on.worker.metrics, on.identities, on.documents, on.handles)
    task = asyncio.create_task(work.keep_checking())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def shown(on: Scene, number: int) -> str:
    return await on.worker.value(HANDLE, on.ledger.did(number))


async def all_checked(on: Scene) -> None:
    async def none_waits() -> bool:
        return await on.worker.value(WAITING) == 0

    await until(none_waits, "every handle is checked")


async def test_a_handle_goes_to_whom_it_leads_to(database: str) -> None:
    async with scene(database) as on:
        mine = on.ledger.first(1).handle
        await on.writes(0)
        await on.writes(1)
        await on.claims(0, mine)
        await on.claims(1, mine)
        assert (await shown(on, 0), await shown(on, 1)) == (mine, NONE), "unverified: who came first"
        async with checking(on):
            await all_checked(on)
        assert await shown(on, 1) == mine
        assert await shown(on, 0) == on.ledger.first(0).handle, "what its own document says"
        assert on.counts == {"handle_verified": 2}


async def test_a_document_that_names_what_leads_elsewhere_is_refuted(database: str) -> None:
    async with scene(database) as on:
        await on.writes(0)
        await on.claims(0, on.ledger.first(0).handle)
        on.services.faults.put(Altered("other-handle"), "plc", on.ledger.did(0))
        async with checking(on):
            await all_checked(on)
        assert await shown(on, 0) == NONE
        assert on.counts == {"handle_refuted": 1}


async def test_who_takes_another_handle_while_one_is_checked_is_shown_by_it(database: str) -> None:
    """The document of before names what leads elsewhere: that says nothing of the new claim."""
    async with scene(database) as on:
        await on.writes(0)
        await on.claims(0, "before.test")
        on.services.faults.put(Altered("other-handle"), "plc", on.ledger.did(0))
        on.services.faults.put(Slow(1), "dns")
        async with checking(on):
            await asyncio.wait_for(on.services.requests.reach(1, "dns"), 60)
            on.services.faults.clear()
            on.services.faults.put(Slow(1), "dns")
            await on.claims(0, on.ledger.first(0).handle)
            await asyncio.wait_for(on.services.requests.reach(2, "plc", on.ledger.did(0)), 60)
            assert await shown(on, 0) == on.ledger.first(0).handle, "nobody has refuted that one"
            await all_checked(on)
            assert await on.worker.value("SELECT handle_verified FROM unified_worker.repos")
        assert await shown(on, 0) == on.ledger.first(0).handle
        assert on.counts == {"handle_verified": 1}


async def test_a_message_while_its_handle_is_checked_has_it_checked_again(database: str) -> None:
    """It may name no handle, and tell of another one all the same."""
    async with scene(database) as on:
        await on.writes(0)
        await on.claims(0, "before.test")
        on.services.faults.put(Slow(1), "dns")
        async with checking(on):
            await asyncio.wait_for(on.services.requests.reach(1, "dns"), 60)
            await on.claims(0, None)
            await until(lambda: on.counts.get("handle_verified") == 2, "it was checked twice")
            await all_checked(on)


@pytest.mark.parametrize("endpoint", ["dns", "plc"])
async def test_where_nobody_can_be_asked_nothing_changes(database: str, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr(documents, "PATIENCE", 0.5)
    async with scene(database) as on:
        await on.writes(0)
        handle = on.ledger.first(0).handle
        await on.claims(0, handle)
        on.services.faults.put(Status(2 if endpoint == "dns" else 503), endpoint)
        if endpoint == "dns":
            on.services.faults.put(Status(503), "handle")

        async def tried() -> bool:
            return await on.worker.value("SELECT max(attempts) FROM unified_worker.handle_checks") == 1

        async with checking(on):
            await until(tried, "the first attempt")
        assert await shown(on, 0) == handle
        assert await on.worker.value("SELECT handle_checked_at FROM unified_worker.repos") is None


@pytest.mark.parametrize("endpoint", ["handle", "plc"])
async def test_what_nobody_confirms_is_refuted_in_the_end_and_what_was_verified_stays(
    database: str, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Else anybody could be shown by a name whose host does not answer. `plc`: the account has no document any more."""
    monkeypatch.setattr(handle_checks, "MOST_ATTEMPTS", 1)
    async with scene(database) as on:
        for number in (0, 1):
            await on.writes(number)
            await on.claims(number, on.ledger.first(number).handle)
        await on.worker.value("SELECT unified_worker.settle_handle($1, $2)", on.ledger.did(1), on.ledger.first(1).handle)
        on.services.faults.put(Text(), "dns")
        if endpoint == "handle":
            on.services.faults.put(Status(500), endpoint)
        else:
            for did in (on.ledger.did(0), on.ledger.did(1)):
                on.services.faults.put(Status(404, message=f"DID not registered: {did}"), endpoint, did)
        async with checking(on):
            await all_checked(on)
        assert (await shown(on, 0), await shown(on, 1)) == (NONE, on.ledger.first(1).handle)
        assert on.counts["handle_refuted"] == 1


async def test_a_silent_directory_is_no_account_s_fault(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle_checks, "MOST_ATTEMPTS", 1)
    monkeypatch.setattr(documents, "PATIENCE", 0.2)
    async with scene(database) as on:
        await on.writes(0)
        await on.claims(0, on.ledger.first(0).handle)
        on.services.faults.put(Status(503), "plc")

        async def postponed() -> bool:
            return await on.worker.value("SELECT attempts > 0 FROM unified_worker.handle_checks")

        async with checking(on):
            await until(postponed, "the first attempt")
        assert await shown(on, 0) == on.ledger.first(0).handle


async def test_a_document_that_came_for_another_reason_brings_its_handle(database: str) -> None:
    async with scene(database) as on:
        await on.writes(0)
        async with checking(on):
            on.identities.want(on.ledger.did(0))
            on.identities.want(on.ledger.did(5))  # nothing is known of that one

            async def held() -> bool:
                return await shown(on, 0) == on.ledger.first(0).handle

            await until(held, "the handle")
            asked = on.services.requests.count("dns")
            on.identities.want(on.ledger.did(0))
            await asyncio.wait_for(on.services.requests.reach(2, "plc", on.ledger.did(0)), 60)
            on.identities.want(on.ledger.did(1))
            await asyncio.wait_for(on.services.requests.reach(1, "plc", on.ledger.did(1)), 60)
        assert on.services.requests.count("dns") == asked, "it says nothing new"


@pytest.mark.long
async def test_a_flood_of_identities_causes_no_more_questions_than_the_pace_allows(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle_checks, "RATE", 10.0)
    async with scene(database, accounts=200) as on:
        forged = [on.stream.identity(on.name(number % 200), f"forged{number}.test") for number in range(10_000)]
        began = time.monotonic()
        async with checking(on):
            for start in range(0, len(forged), 500):
                await on.worker.write(*forged[start : start + 500])
            seconds = time.monotonic() - began
            lookups = on.services.requests.count("plc")
        assert lookups <= 10 * seconds + 2, f"{lookups} in {seconds:.1f} s"
        assert await on.worker.value(WAITING) <= 200
