"""A worker that came late, and had the network fetched beside the stream: its tables are those of one that saw all of it."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from testing.databases import connected, differences, saved, settled
from testing.processes import Process
from testing.traffic import Traffic, traffic_of
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.database.repair import listings
from unified_indexer.database.repair.listings import Kind

EVENTS = 2_400
# Handles and the ends of accounts come by the stream alone, and who came late has missed some.
MIX = replace(Mix.realistic(), identity=0, handle_change=0, account=0, account_deleted=0, sync=0, delete=6, update=3)
SETTINGS = Settings(accounts=150, history=0, hosts=3, mix=MIX)
# What a record's commit was, and who is told of it, depends on whether it came by the stream or with its repo; so does where
# it sorts, if its createdAt is later than its key.
UNDATED = "generic_records:"  # whose createdAt has another name
BY_COMMIT = ("commit_seq is", "commit_rev is", "commit_time is", "sort_at is")
LATER = (*BY_COMMIT, "sync is", "sync_reason is", "inductive is", "handle is")


@asynccontextmanager
async def late(stream: Traffic, ledger: Ledger, relay: RelayServer, url: str) -> AsyncGenerator[Services]:
    async with relay, Services(ledger) as services:
        relay.beside = services.relay_url
        given = {"VERIFY": "full", "PLC_RATE": "1000", "BACKFILL": "repair"} | services.settings
        async with running(url, relay.url, reset_cursor=False, **given) as worker:
            yield services
            await finished(worker, stream.last_seq)


async def fetched(url: str, job: int) -> None:
    """Wait until the job's lists are read, and nothing is wanted any more."""
    async with connected(url) as connection:

        async def done() -> bool:
            return await connection.fetchval(
                "SELECT ended_at IS NOT NULL AND NOT EXISTS (SELECT FROM unified_worker.repairs) "
                "FROM unified_worker.backfill_jobs WHERE id = $1",
                job,
            )

        await until(done, "all is fetched", 200)


async def wrong(url: str, stream: Traffic) -> list[str]:
    """Where the rows are not the model's. A record without a usable createdAt has the time of what brought it."""

    def excused(line: str) -> bool:
        return line.startswith(("notifications:", UNDATED)) or any(words in line for words in LATER)

    return await differences(url, stream.model, excused=excused)


@pytest.mark.long
@pytest.mark.parametrize("seen", [0.0, 0.5, 1.0])
async def test_a_network_that_is_fetched_beside_the_stream_is_whole(database: str, seen: float) -> None:
    """`seen`: how much of the stream the worker gets, the last of it. The rest comes with the repos."""
    since = int(EVENTS * (1 - seen))
    ledger = Ledger(SETTINGS, upto=lambda: max(relay.sent_seq, before))
    sent = list(ledger.noted(Generator(SETTINGS, ledger.archive).stream(EVENTS)))
    stream = traffic_of(sent, "full")
    before = max((one.truth.seq for one in sent[:since]), default=0)
    relay = RelayServer(stream.frames[since:] or stream.frames[-1:], rate=400)
    async with late(stream, ledger, relay, database) as services:
        async with connected(database) as connection:
            job = await listings.ask(connection, Kind.NETWORK, "")
        await fetched(database, job)
        assert services.requests.count("getRepo") >= len({one.truth.did for one in sent[:since]}) * bool(since)
    assert await wrong(database, stream) == []


@pytest.mark.parametrize("kills", [pytest.param(8, marks=pytest.mark.long), pytest.param(20, marks=pytest.mark.soak)])
async def test_kills_on_the_way_leave_nothing_out(database: str, tmp_path: Path, kills: int) -> None:
    """A worker that reads long lists in short pages is killed again and again: each repo is fetched, and the rows are right."""
    rng = random.Random(24)
    ledger = Ledger(SETTINGS)
    sent = list(ledger.noted(Generator(SETTINGS, ledger.archive).stream(EVENTS)))
    stream = traffic_of(sent, "full")
    relay = RelayServer(stream.frames[-1:])
    async with relay, Services(ledger) as services:
        relay.beside = services.relay_url
        services.faults.put(Altered("short-pages", 3), "listRepos")
        env = settings(
            database, relay.url, **({"VERIFY": "full", "BACKFILL": "repair"} | services.settings | {"PLC_RATE": "1000"})
        )
        job = 0
        for kill in range(kills):
            async with Process(tmp_path, **env) as worker:
                await worker.says("Connected to ")
                if kill == 0:
                    async with connected(database) as connection:
                        job = await listings.ask(connection, Kind.NETWORK, "")
                await asyncio.sleep(rng.uniform(0.0, 1.5))
                worker.kill()
        async with Process(tmp_path, **env) as worker:
            await fetched(database, job)
            await saved(database, relay.url, stream.last_seq)
            await settled(database)
    assert await wrong(database, stream) == []
    async with connected(database) as connection:
        (row,) = await connection.fetch("SELECT found, wanted FROM unified_worker.backfill_jobs WHERE id = $1", job)
        assert row["found"] == len(ledger.listed())
        assert row["wanted"] <= row["found"]


@pytest.mark.long
@pytest.mark.promise(4)
async def test_shares_fetch_what_is_theirs_and_one_that_dies_goes_on_later(database: str, tmp_path: Path) -> None:
    """The network's first half comes with its repos, while the second half is written. One of two workers is killed on the way,
    and comes back."""
    half = EVENTS // 2
    ledger = Ledger(SETTINGS, upto=lambda: max(relay.sent_seq, before))
    sent = list(ledger.noted(Generator(SETTINGS, ledger.archive).stream(EVENTS)))
    stream = traffic_of(sent, "full")
    before = max(one.truth.seq for one in sent[:half])
    relay = RelayServer(stream.frames[half:], rate=300)
    async with relay, Services(ledger) as services, connected(database) as connection:
        relay.beside = services.relay_url
        given = {"VERIFY": "full", "PLC_RATE": "1000", "BACKFILL": "repair"} | services.settings
        env = settings(database, relay.url, **given, SHARE="2/2", DB_POOL_SIZE="4")
        async with running(database, relay.url, reset_cursor=False, **given, SHARE="1/2", DB_POOL_SIZE="4") as worker:
            async with Process(tmp_path, **env) as killed:
                await killed.says("Connected to ")
                job = await listings.ask(connection, Kind.NETWORK, "")

                async def at_work() -> bool:
                    rows = await connection.fetch("SELECT DISTINCT right(holder, 4) FROM unified_worker.repairs")
                    return {row[0] for row in rows} >= {"#1/2", "#2/2"}

                await until(at_work, "both repair")
                killed.kill()
            async with Process(tmp_path, **env) as other:
                await other.says("Connected to ")
                await fetched(database, job)
                await finished(worker, stream.last_seq)

                async def stored() -> bool:
                    found = "SELECT min(cursor::bigint) FROM firehose_cursor HAVING count(*) = 2"
                    return await connection.fetchval(found) == stream.last_seq

                await until(stored, "both cursors are stored at the end")
                await settled(database)
    assert await wrong(database, stream) == []


@pytest.mark.long
async def test_whom_an_account_follows_is_fetched_whole(database: str) -> None:
    """From nothing: one account and its follows, and nobody else."""
    network = Settings(accounts=60, history=80)
    ledger = Ledger(network, upto=lambda: relay.sent_seq)
    sent = list(ledger.noted(Generator(network, ledger.archive).stream(100)))
    stream = traffic_of(sent, "full")
    relay = RelayServer(stream.frames[-1:])
    did = ledger.did(2)
    async with late(stream, ledger, relay, database), connected(database) as connection:
        await fetched(database, await listings.ask(connection, Kind.FOLLOWS, did))
        follows = {row[0] for row in await connection.fetch("SELECT following_did FROM follows WHERE follower_did = $1", did)}
        complete = {row[0] for row in await connection.fetch("SELECT did FROM unified_worker.repos WHERE sync = 1")}
        assert follows
        assert complete == {did, *follows}
        for each in complete:
            truth = ledger.repo(each)
            assert truth is not None
            for table, collection, author in (("likes", "like", "user_did"), ("posts", "post", "author_did")):
                uris = {
                    f"at://{each}/{record.collection}/{record.rkey}"
                    for record in truth.records
                    if record.collection.endswith(f".{collection}")
                }
                rows = await connection.fetch(f"SELECT uri FROM {table} WHERE {author} = $1", each)
                there = {row[0] for row in rows}
                waiting = await connection.fetch(
                    "SELECT uri FROM unified_worker.duplicate_records WHERE uri LIKE $1", f"at://{each}/%.{collection}/%"
                )
                assert there | {row[0] for row in waiting} == uris
