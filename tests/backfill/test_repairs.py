"""Repos that are wanted: what is fetched of them, what is not, and what is counted."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import asyncpg
import pytest

from relay_simulator.hosts.faults import Status
from relay_simulator.ports import free_port
from testing.database_side import Worker
from testing.fetching import Fetching, fetching
from testing.finding import nothing
from testing.waiting import until
from unified_indexer.accounts.crew import Crew
from unified_indexer.backfill import fetch
from unified_indexer.backfill import repairs as module
from unified_indexer.backfill import room as room_module
from unified_indexer.backfill.allowance import Allowance
from unified_indexer.backfill.repairs import CALLS, LEAST_POOL, Repairs
from unified_indexer.backfill.retries import ATTEMPTS
from unified_indexer.backfill.room import Room
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.repair import queue, steps
from unified_indexer.database.repair.steps import Claim, Marked
from unified_indexer.metrics import Metrics
from unified_indexer.selection import EVERYTHING, Selection

ROWS = "SELECT (SELECT count(*) FROM posts) + (SELECT count(*) FROM likes) + (SELECT count(*) FROM follows)"
OURS = 2  # sessions of a test: its own, and the lock's
# Not those of autovacuum.
SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
"""


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
        return await self.repairs(selection, allowance).repair(claimed)

    def repairs(self, selection: Selection = EVERYTHING, allowance: int = 0) -> Repairs:
        """As a worker has them."""
        return Repairs(
            self.worker.pool, self.metrics, selection, self.on.fetcher, notify=timedelta(0), stream_first=nothing,
            allowance=Allowance(allowance),
        )  # fmt: skip

    async def left(self) -> list[tuple[str, str | None]]:
        """(state, reason) of what is still wanted."""
        return [tuple(row) for row in await self.worker.connection.fetch("SELECT state, reason FROM unified_worker.repairs")]


@asynccontextmanager
async def repairing(
    database: str, history: int = 40, web_ports: Sequence[int] = (), accounts: int = 12, connections: int = 3
) -> AsyncGenerator[Repairing]:
    async with fetching(database, history=history, web_ports=web_ports, accounts=accounts, connections=connections) as on:
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


@pytest.mark.promise(6)
async def test_a_repo_that_the_database_failed_is_repaired_by_the_same_worker(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that was not to be had in time, a lost connection: its claim is left behind, and nobody works at it."""
    monkeypatch.setattr(module, "MISSED_INTERVAL", 0.0)
    mark, failures = steps.mark, [asyncpg.LockNotAvailableError("not in time")]

    async def fail_once(connection: Connection, claim: Claim) -> Marked:
        marked = await mark(connection, claim)
        if failures:
            raise failures.pop()
        return marked

    monkeypatch.setattr(steps, "mark", fail_once)
    async with repairing(database) as at:
        connection, repairs = at.worker.connection, at.repairs()
        await queue.want(connection, [at.on.did(3)], "missed", queue.MISSING)
        async with Crew(1) as crew:
            await repairs.turn(crew)
            await until(lambda: not crew.under_way, "the attempt has ended")
            await repairs.turn(crew)
            assert await at.left() == [("fetching", None)], "until its lease ends"
            await connection.execute("UPDATE unified_worker.repairs SET lease_until = now() - interval '1 second'")
            await repairs.turn(crew)
            await until(lambda: at.metrics.repair_ends["done"] == 1, "it is repaired", 20)
        assert await at.left() == []


async def test_what_a_worker_has_in_hand_is_not_taken_from_it(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it waits for its turn: the worker says so as long as it lives, and another one sees that."""
    monkeypatch.setattr(module, "MISSED_INTERVAL", 0.0)
    go_on = asyncio.Event()
    mark = steps.mark

    async def slowly(connection: Connection, claim: Claim) -> Marked:
        await go_on.wait()
        return await mark(connection, claim)

    monkeypatch.setattr(steps, "mark", slowly)
    async with repairing(database) as at:
        connection, repairs = at.worker.connection, at.repairs()
        await queue.want(connection, [at.on.did(3)], "missed", queue.MISSING)
        async with Crew(1) as crew:
            await repairs.turn(crew)
            await connection.execute("UPDATE unified_worker.repairs SET lease_until = now() - interval '1 second'")
            await repairs.turn(crew)
            assert await steps.expire(connection, []) == 0, "for another worker"
            assert await at.left() == [("fetching", None)]
            go_on.set()
            await until(lambda: at.metrics.repair_ends["done"] == 1, "it is repaired", 20)
        assert await at.left() == []


async def test_what_a_worker_has_in_hand_stays_its_own_while_nothing_may_be_begun(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is behind, or a full disk, may last longer than a lease."""
    monkeypatch.setattr(module, "KEEP_INTERVAL", 0.05)
    held, mark, written = asyncio.Event(), steps.mark, asyncio.Event()

    async def slowly(connection: Connection, claim: Claim) -> Marked:
        held.set()
        await written.wait()
        return await mark(connection, claim)

    async def stream_first() -> None:
        if held.is_set():
            await asyncio.Event().wait()

    monkeypatch.setattr(steps, "mark", slowly)
    async with repairing(database) as at:
        connection, did = at.worker.connection, at.on.did(3)
        await queue.want(connection, [did], "missed", queue.MISSING)
        repairs = Repairs(at.worker.pool, at.metrics, EVERYTHING, at.on.fetcher, notify=timedelta(0), stream_first=stream_first)
        task = asyncio.create_task(repairs.keep_repairing())
        await asyncio.wait_for(held.wait(), 20)
        await connection.execute("UPDATE unified_worker.repairs SET lease_until = now() + interval '1 minute'")

        async def is_kept() -> bool:
            return await connection.fetchval("SELECT lease_until > now() + interval '2 minutes' FROM unified_worker.repairs")

        await until(is_kept, "its lease is longer", 20)
        task.cancel()
        await asyncio.wait([task])


async def test_nothing_is_written_while_the_stream_has_much_to_write(database: str) -> None:
    """Also of a repo that is fetched already."""
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def stream_first() -> None:
        asked.set()
        await goes_on.wait()

    async with repairing(database) as at:
        connection, did = at.worker.connection, at.on.did(3)
        await queue.want(connection, [did], "asked", queue.ASKED)
        claimed = await queue.claim_one(connection, "relay.test", did)
        assert claimed is not None
        repairs = Repairs(at.worker.pool, at.metrics, EVERYTHING, at.on.fetcher, notify=timedelta(0), stream_first=stream_first)
        repair = asyncio.create_task(repairs.repair(claimed))
        await asyncio.wait_for(asked.wait(), 20)
        assert at.on.fetcher.counts == {"fetched": 1}
        assert await connection.fetchval(ROWS) == 0
        goes_on.set()
        assert await repair == "ok"
        assert await connection.fetchval(ROWS) > 0


async def test_a_step_that_the_database_refuses_ends_that_repair_alone(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application's rules may stand anywhere."""
    async with repairing(database) as at:
        connection, repairs = at.worker.connection, at.repairs()
        await connection.execute(f"""
            ALTER TABLE unified_worker.repairs ADD CHECK (did <> '{at.on.did(3)}' OR state <> 'writing')""")
        await queue.want(connection, [at.on.did(number) for number in (2, 3, 4)], "asked", queue.ASKED)
        async with Crew(3) as crew:
            await repairs.turn(crew)
        assert at.metrics.repairs == {"done": 2, "database": 1}
        assert await at.left() == [("failed", "database")]


@pytest.mark.parametrize(("pool", "most"), [(LEAST_POOL - 1, 1), (LEAST_POOL, CALLS)])
async def test_however_many_repos_are_wanted_few_connections_are_used(database: str, pool: int, most: int) -> None:
    """The others are the stream's. What looks for work has one more."""
    async with repairing(database, accounts=20, connections=pool) as at:
        connection = at.worker.connection
        for number in range(20):
            await at.on.fetch(number)  # where it is, is known from here on
        before: int = await connection.fetchval(SESSIONS)
        await queue.want(connection, [at.on.did(number) for number in range(20)], "asked", queue.ASKED)
        repairs = at.repairs()
        async with Crew(20) as crew:
            await repairs.turn(crew)
            assert len(crew.under_way) == 20
        assert at.metrics.repair_ends["done"] == 20
        assert await connection.fetchval(SESSIONS) <= max(before, OURS + most + 1)


@pytest.mark.promise(6)
async def test_a_repo_that_was_not_found_is_asked_for_again_after_a_day(database: str) -> None:
    """A server that is being moved, or one before it, says 404 of repos that it has."""
    async with repairing(database) as at:
        connection, did = at.worker.connection, at.on.did(3)
        await connection.execute("INSERT INTO unified_worker.repos (did, rev, sync) VALUES ($1, '', 2)", did)

        async def attempt() -> str:
            await queue.want_missed(connection, "", 10)
            return "".join([await at.repairs().repair(one) for one in await queue.claim(connection, "relay.test", 10)])

        at.on.services.faults.put(Status(404), "getRepo")
        assert await attempt() == "not_found"
        at.on.services.faults.clear()
        await connection.execute("UPDATE unified_worker.repairs SET retry_at = now() - interval '23 hours'")
        assert await attempt() == ""
        assert await at.left() == [("unavailable", "not_found")]
        await connection.execute("UPDATE unified_worker.repairs SET retry_at = now() - interval '2 days'")
        assert await attempt() == "ok"
        assert await at.left() == []


async def test_an_account_whose_own_host_is_silent_is_tried_once_a_day_at_last(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PATIENCE", 0.05)
    async with repairing(database, web_ports=[free_port()]) as at:
        at.on.services.faults.put(Status(503), "web")
        for attempt in range(1, ATTEMPTS + 1):
            assert await at.repair(0) == "no_document"
            assert await at.left() == [("failed" if attempt == ATTEMPTS else "wanted", "no_document")]
