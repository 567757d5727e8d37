"""Repos that are wanted: what is fetched of them, what is not, and what is counted."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import pytest

from testing.database_side import Worker
from testing.fetching import Fetching, fetching
from testing.finding import nothing
from unified_indexer.backfill import room as room_module
from unified_indexer.backfill.allowance import Allowance
from unified_indexer.backfill.repairs import Repairs
from unified_indexer.backfill.room import Room
from unified_indexer.database.repair import queue
from unified_indexer.metrics import Metrics
from unified_indexer.selection import EVERYTHING, Selection


class Repairing(NamedTuple):
    """What repairs repos of `on`'s network, one after the other."""

    on: Fetching
    worker: Worker
    metrics: Metrics

    async def repair(self, number: int, selection: Selection = EVERYTHING, allowance: int = 0) -> str:
        """What became of the repo of this account."""
        connection, did = self.worker.connection, self.on.did(number)
        await queue.want(connection, [did], "asked", queue.ASKED)
        claimed = await queue.claim_one(connection, "relay.test", did)
        assert claimed is not None
        repairs = Repairs(
            self.worker.pool, self.metrics, selection, self.on.fetcher, notify=timedelta(0), stream_first=nothing,
            allowance=Allowance(allowance),
        )  # fmt: skip
        return await repairs.repair(claimed)

    async def left(self) -> list[tuple[str, str | None]]:
        """(state, reason) of what is still wanted."""
        return [tuple(row) for row in await self.worker.connection.fetch("SELECT state, reason FROM unified_worker.repairs")]


@asynccontextmanager
async def repairing(database: str, history: int = 40) -> AsyncGenerator[Repairing]:
    async with fetching(database, history=history) as on:
        yield Repairing(on, on.worker, Metrics())


async def test_of_a_repo_that_is_there_only_the_commit_is_read(database: str) -> None:
    """And of one that lacks something, or of which something was left out, all of it."""
    async with repairing(database) as at:
        assert await at.repair(3, Selection(("app.bsky.feed.like",))) == "ok"
        assert await at.repair(3) == "ok", "what was left out comes"
        assert at.on.fetcher.counts == {"fetched": 2}
        assert await at.repair(3) == "same"
        assert at.on.fetcher.counts == {"fetched": 2, "same": 1}
        assert at.metrics.repairs == {"done": 3}
        assert await at.left() == []
        await at.worker.connection.execute("SELECT unified_worker.desynchronise($1, 'refused')", at.on.did(3))
        assert await at.repair(3) == "ok"
        assert at.on.fetcher.counts == {"fetched": 3, "same": 1}
        (host,) = await at.worker.connection.fetch("SELECT url, repos_done, records_done FROM unified_worker.hosts")
        assert tuple(host) == (at.on.host(3), 4, 3 * len(at.on.records(3)))


async def test_what_is_older_than_what_is_there_is_not_read(database: str) -> None:
    async with repairing(database) as at:
        assert await at.repair(3) == "ok"
        await at.worker.connection.execute("UPDATE unified_worker.repos SET rev = 'zzzzzzzzzzzzz', sync = 2")
        assert await at.repair(3) == "behind"
        assert at.on.fetcher.counts == {"fetched": 1, "behind": 1}
        assert await at.left() == [("wanted", "behind")]


async def test_records_are_written_no_faster_than_they_may_be(database: str) -> None:
    async with repairing(database, history=300) as at:
        records = sum(len(at.on.records(number)) for number in range(3))
        begin = time.monotonic()
        allowance = Allowance(2 * records)
        for _ in range(3):
            await allowance.take(records)
        assert time.monotonic() - begin > 0.9, "the first at once, the others half a second each"
        assert await at.repair(0, allowance=10**6) == "ok"


async def test_a_database_without_room_is_told(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(worker.pool, 0)
    await room.look()
    monkeypatch.setattr(room_module, "LEAST", 1.1)
    await room.look()
    assert room.lacks == "disk", "the server is on this machine"
    monkeypatch.setattr(room_module, "LEAST", 0.0)
    await room.look()
    assert room.lacks is None
    room = Room(worker.pool, 1_000)
    await room.look()
    assert room.lacks == "size"
    monkeypatch.setattr(room_module, "LEAST", 1.1)
    await worker.connection.execute("SET ROLE pg_database_owner")
    room = Room(worker.pool, 10**15)
    await room.look()
    assert room.lacks == "disk"
