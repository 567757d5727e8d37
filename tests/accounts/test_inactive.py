"""Accounts that write although a relay says that they are inactive: their own server decides, asked once an hour at most."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from testing.commits import POST, post, put
from testing.confirming import Scene, scene
from testing.waiting import until
from unified_indexer.accounts import inactive
from unified_indexer.accounts.inactive import Inactive
from unified_indexer.pipeline.processor import EventProcessor

HOUR_AGO = "UPDATE unified_worker.repos SET status_asked_at = status_asked_at - interval '61 minutes'"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inactive, "INTERVAL", 0.02)


@asynccontextmanager
async def asking(on: Scene) -> AsyncGenerator[EventProcessor]:
    """The accounts whose commits this processor leaves out are asked about."""
    work = Inactive(on.worker.pool, on.worker.metrics, on.documents, on.client)
    processor = EventProcessor(on.worker.pool, on.worker.metrics, confirm=True, on_inactive=work.note)
    task = asyncio.create_task(work.keep_asking())
    try:
        yield processor
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def writes(on: Scene, processor: EventProcessor, number: int) -> None:
    await processor.process_batch(0, [on.stream.commit(on.name(number), put(f"{POST}/{on.stream.seq}", post()))])


async def test_an_account_that_its_pds_calls_active_is_so_again(database: str) -> None:
    async with scene(database) as on, asking(on) as processor:
        await on.writes(0)
        await on.said(0, False, "deactivated")
        await writes(on, processor, 0)

        async def active() -> bool:
            return await on.state(0) == (True, None)

        await until(active, "the account is active again")
        await until(lambda: on.counts == {"reactivated": 1}, "it is counted")
        assert await on.writes(0) == "applied"


async def test_an_account_is_asked_about_once_an_hour_however_much_it_writes(database: str) -> None:
    async with scene(database) as on, asking(on) as processor:
        for number in range(4):
            on.stands(number, False, "takendown")
            await on.said(number, False, "takendown")
        for other in (1, 2, 3):
            for _ in range(7):
                await writes(on, processor, 0)
            await writes(on, processor, other)  # asked about later: by then all of the first one's were looked at
            await asyncio.wait_for(on.services.requests.reach(1, "getRepoStatus", on.ledger.did(other)), 60)
        assert on.services.requests.count("getRepoStatus", on.ledger.did(0)) == 1
        await on.worker.connection.execute(HOUR_AGO)
        await writes(on, processor, 0)
        await asyncio.wait_for(on.services.requests.reach(2, "getRepoStatus", on.ledger.did(0)), 60)
        assert await on.state(0) == (False, "takendown")
        assert on.counts == {}


async def test_of_accounts_whose_deletion_is_asked_about_nothing_more_is_asked(database: str) -> None:
    async with scene(database) as on, asking(on) as processor:
        await on.writes(0)
        await on.said(0, False, "deleted")
        await on.said(1, False, "deactivated")
        await writes(on, processor, 0)
        await writes(on, processor, 1)
        await asyncio.wait_for(on.services.requests.reach(1, "getRepoStatus", on.ledger.did(1)), 60)
        assert on.services.requests.count("getRepoStatus", on.ledger.did(0)) == 0


async def test_those_that_wait_are_bounded(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inactive, "MOST_NOTED", 3)
    async with scene(database) as on:
        work = Inactive(on.worker.pool, on.worker.metrics, on.documents, on.client)
        for number in range(10):
            work.note(on.ledger.did(number % 5))
        async with inactive.Crew(8) as crew:
            await work.turn(crew)
            assert crew.under_way == []
