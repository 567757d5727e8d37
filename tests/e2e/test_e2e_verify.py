"""Streams of the simulator through a worker that verifies in full: what is honest is proven, and the rows are the model's."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from relay_simulator.changes import Change
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from testing.databases import connected, differences
from testing.model.states import Verify
from testing.traffic import Traffic, traffic_of
from testing.waiting import until
from testing.workers import finished, running
from unified_worker import UnifiedWorker

SMALL = Settings(accounts=40, history=60)
# What is said of accounts is asked of their hosts, in a time of its own (tests/e2e/test_e2e_accounts.py).
COMMITS = {"identity": 0, "handle_change": 0, "account": 0, "account_deleted": 0}
ODD_ACCOUNTS = {
    "handle_lost": 0,
    "handle_taken": 0,
    "handle_missing": 0,
    "account_returned": 0,
    "account_odd": 0,
    "inactive_commit": 0,
}
REALISTIC = replace(Mix.realistic(), **COMMITS)
AWKWARD = replace(Mix.awkward(), too_big=0, early_update=0, unknown_delete=0, generic=0, **COMMITS, **ODD_ACCOUNTS)


@asynccontextmanager
async def verifying(url: str, settings: Settings, events: int, level: Verify) -> AsyncGenerator[tuple[UnifiedWorker, Traffic]]:
    """A worker that reads this stream while the accounts' hosts answer."""
    sent = list(Generator(settings).stream(events))
    stream = traffic_of(sent, level)
    async with RelayServer(stream.frames) as relay:
        ledger = Ledger(settings, upto=lambda: relay.sent_seq)
        for one in sent:
            ledger.note(one.truth)
        async with Services(ledger) as services:
            given = {"VERIFY": level, "PLC_RATE": "1000"} | services.settings
            async with running(url, relay.url, reset_cursor=False, **given) as worker:
                yield worker, stream


async def proven(url: str) -> None:
    """Wait until no repo is unproven."""
    async with connected(url) as connection:

        async def all_proven() -> bool:
            return not await connection.fetchval("SELECT count(*) FROM unified_worker.repos WHERE unproven IS NOT NULL")

        await until(all_proven, "no repo is unproven", 60)


async def wrong_rows(url: str, stream: Traffic) -> list[str]:
    """Where the rows are not the model's, but for what came later or another way: handles, and how far a repo is proven."""
    other = ("handle is", "inductive is", "sync is", "sync_reason is")
    return await differences(url, stream.model, excused=lambda line: any(words in line for words in other))


@pytest.mark.long
@pytest.mark.parametrize("mix", [REALISTIC, AWKWARD], ids=["realistic", "awkward"])
@pytest.mark.parametrize("level", ["full", "signatures"])
async def test_nothing_honest_is_refused(database: str, mix: Mix, level: Verify) -> None:
    async with verifying(database, replace(SMALL, mix=mix), 1_500, level) as (worker, stream):
        await finished(worker, stream.last_seq)
        await proven(database)
        assert worker.metrics.verified["refused"] == 0
        assert worker.metrics.settled["failed"] == 0
    assert await wrong_rows(database, stream) == []


@pytest.mark.long
@pytest.mark.promise(7)
async def test_keys_that_change_before_and_after_and_without_a_word(database: str) -> None:
    """The directory is ahead of the stream, so that its accounts are known before: an older key is nobody's any more."""
    changes = tuple(
        Change(SMALL.first_seq + 100 + 30 * number, account=number, key=True, identity=told)
        for number, told in enumerate(("before", "after", "never") * 3)
    )
    settings = replace(SMALL, changes=changes, mix=REALISTIC)
    sent = list(Generator(settings).stream(800))
    stream = traffic_of(sent, "full")
    async with RelayServer() as relay:
        ledger = Ledger(settings, upto=lambda: relay.sent_seq)
        async with Services(ledger) as services:
            given = {"VERIFY": "full", "PLC_RATE": "1000"} | services.settings
            async with running(database, relay.url, reset_cursor=False, **given) as worker:
                for number in range(settings.accounts):
                    assert await worker.trust.identities.wait(ledger.did(number), 20) is not None
                for one in sent:
                    ledger.note(one.truth)
                    relay.append(one.frame)
                await finished(worker, stream.last_seq)
                assert worker.metrics.verified["refused"] == 0
                assert worker.metrics.verified["unproven"] == 0
                assert worker.metrics.refreshes >= len(changes)
    assert await wrong_rows(database, stream) == []
