"""Commits that a relay leaves out: their repos are fetched from the hosts, and the rows are those of the whole stream."""

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from relay_simulator.truth import CommitTruth, Sent
from testing.database_side import opened
from testing.databases import connected, differences
from testing.traffic import traffic_of
from testing.waiting import until
from testing.workers import finished, running

MIX = replace(Mix.realistic(), identity=0, handle_change=0, account=0, account_deleted=0)
SETTINGS = Settings(accounts=30, history=0, mix=MIX)
# What only the stream says of a commit, and what a repo's row says of how it came to be as it is.
BY_COMMIT = ("commit_seq", "commit_rev", "commit_time", "sort_at", "repos:", "handle is")
UNFINISHED = """
SELECT (SELECT count(*) FROM unified_worker.repos WHERE sync >= 2 OR fetching) + (SELECT count(*) FROM unified_worker.repairs)
"""


@pytest.fixture(autouse=True)
def _all_differences(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(sys.modules["testing.model.compare"], "SHOWN", 10_000)  # the package has a function of that name


class Kept(NamedTuple):
    """A stream, and what of it the relay sends."""

    whole: list[Sent]
    sent: list[Sent]


def left_out(stream: list[Sent], every: int) -> Kept:
    """Without one in so many commits: of repos whose first commit came, and of which another comes later."""
    last = {one.truth.did: one.truth.seq for one in stream if isinstance(one.truth, CommitTruth)}
    sent: list[Sent] = []
    began: set[str] = set()
    for number, one in enumerate(stream):
        truth = one.truth
        if isinstance(truth, CommitTruth):
            if truth.did in began and truth.seq < last[truth.did] and number % every == 0:
                continue
            began.add(truth.did)
        sent.append(one)
    return Kept(stream, sent)


@asynccontextmanager
async def hosted(settings: Settings, events: int, every: int) -> AsyncGenerator[tuple[Kept, RelayServer, Services]]:
    """A relay that leaves commits out, and hosts that have all that was sent by now."""
    async with RelayServer() as relay:
        ledger = Ledger(settings)
        kept = left_out(list(ledger.noted(Generator(settings, ledger.archive).stream(events))), every)
        for one in kept.sent:
            relay.append(one.frame)
        async with Services(ledger) as services:
            yield kept, relay, services


async def whole(url: str) -> None:
    """Wait until nothing is missing any more, as far as is known."""
    async with connected(url) as connection:

        async def done() -> bool:
            return not await connection.fetchval(UNFINISHED)

        await until(done, "no repo lacks anything", 60)


async def wrong_rows(url: str, stream: Sequence[Sent]) -> list[str]:
    found = await differences(url, traffic_of(stream, "full").model)
    # Nor does anything else date a record that says no date.
    found = [line for line in found if not any(words in line for words in BY_COMMIT)]
    return [line for line in found if not line.startswith("generic_records") or "created_at is" not in line]


def repairing(services: Services, **more: str) -> dict[str, str]:
    given = {"VERIFY": "full", "PLC_RATE": "1000", "BACKFILL": "repair", "AUDIT_RATE": "0"}
    return given | services.settings | more


async def older_than_the_stream(url: str) -> None:
    """Make the database ready, as if long before the stream."""
    async with opened(url) as worker:
        await worker.connection.execute("UPDATE unified_worker.backfill SET since = '2020-01-01'")


@pytest.mark.promise(6)
async def test_what_a_relay_leaves_out_comes_from_the_hosts(database: str) -> None:
    await older_than_the_stream(database)
    async with hosted(SETTINGS, 1_200, 5) as (kept, relay, services):
        assert len(kept.whole) - len(kept.sent) > 50
        given = repairing(services, NOTIFY_REPAIRED="365")
        async with running(database, relay.url, reset_cursor=False, **given) as worker:
            await finished(worker, kept.sent[-1].truth.seq)
            await whole(database)
            assert worker.metrics.repairs["done"] > 5
    assert await wrong_rows(database, kept.whole) == []
