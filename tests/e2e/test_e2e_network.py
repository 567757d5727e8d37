"""A whole network is fetched while its accounts go on writing, and the worker is killed on the way: no row is wrong.

`make soak` does it with 20,000 repos; another size: `NETWORK="repos=2000 kills=10 rate=500 seed=7" make soak`.
"""

import asyncio
import gc
import os
import random
import resource
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from relay_simulator.feed import Feed, RecentFrames, first_seq
from relay_simulator.forge.told import Forged
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from relay_simulator.truth import Sent
from testing.databases import connected, differences, saved, settled
from testing.model import Model
from testing.model.parts import parts
from testing.networks import model_of_the_past
from testing.processes import Process
from testing.servers import make_server, server_directory
from testing.waiting import until
from testing.workers import settings
from unified_indexer.database.repair import listings
from unified_indexer.database.repair.listings import Kind

RECORDS = 100  # of a repo from before, in the mean
SPREAD = 1.65  # of its logarithm: the longest quarter of a percent have an eighth of all records, as the network's first have
PART = 2_000  # repos whose rows are compared at once
KEPT = 60_000  # frames for a worker that comes back
SERVER = {"fsync": "off", "shared_buffers": "512MB", "max_wal_size": "2GB"}
# Handles and the ends of accounts come by the stream alone, and who came late has missed some.
MIX = replace(
    Mix.realistic(), identity=0, handle_change=0, account=0, account_deleted=0, sync=0, delete=6, update=3, old_delete=3
)
# What depends on whether a record came by the stream or with its repo, and what of an account only its host tells.
UNDATED = "generic_records:"  # whose createdAt has another name
LATER = (
    "commit_seq is",
    "commit_rev is",
    "commit_time is",
    "sort_at is",
    "sync is",
    "sync_reason is",
    "inductive is",
    "handle is",
)
MAX_RSS = 300 * 10**6  # bytes of a worker


@dataclass(frozen=True)
class Size:
    """`rate`: commits a second."""

    repos: int
    kills: int
    rate: int = 500
    seed: int = 1

    @classmethod
    def asked(cls) -> "Size":
        """As the environment says, or the whole of it."""
        words = dict(word.split("=") for word in os.environ.get("NETWORK", "repos=20000 kills=20").split())
        return cls(**{name: int(value) for name, value in words.items()})


class Polite(Process):
    """A worker that finds one machine to be many: its hosts are all at one address."""

    constants = MappingProxyType(
        {
            "unified_indexer.backfill.pace.STARTS_A_SECOND": 1_000.0,
            "unified_indexer.backfill.pace.STARTS_AT_AN_ADDRESS": 1_000.0,
            "unified_indexer.backfill.pace.MOST_AT_AN_ADDRESS": 64,
        }
    )


class Network(NamedTuple):
    """`model`: of all that was sent by now."""

    relay: RelayServer
    services: Services
    feed: Feed
    model: Model
    newest: list[int]


@asynccontextmanager
async def network(size: Size) -> AsyncGenerator[Network]:
    """A network with a past, whose accounts write now."""
    now = datetime.now(UTC)
    made = Settings(size.seed, size.repos, MIX, start=now, first_seq=first_seq(now), history=RECORDS, spread=SPREAD, hosts=8)
    model, ledger = model_of_the_past(made), Ledger(made)
    newest = [made.first_seq - 1]

    def note(sent: Sent | Forged) -> None:
        assert isinstance(sent, Sent)
        ledger.note(sent.truth)
        model.apply(sent.truth)
        newest[0] = max(newest[0], sent.truth.seq)

    async with RelayServer(log=RecentFrames(KEPT)) as relay, Services(ledger) as services:
        relay.beside = services.relay_url
        feed = Feed(relay, Generator(made, ledger.archive), size.rate, note)
        running = asyncio.create_task(feed.run())
        try:
            yield Network(relay, services, feed, model, newest)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@pytest.fixture
async def large_database() -> AsyncGenerator[str]:
    """On disk, of a server that vacuums."""
    with server_directory() as directory:
        server = make_server(18, directory, SERVER)
        await server.start()
        yield server.url_of("postgres")
        await server.stop("immediate")


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(Size(60, 2, 100), marks=pytest.mark.long, id="small"),
        pytest.param(None, marks=[pytest.mark.soak, pytest.mark.timeout(7_200)], id="large"),
    ],
)
async def test_a_network_is_fetched_while_it_writes_and_the_worker_is_killed(
    large_database: str, tmp_path: Path, size: Size | None
) -> None:
    """Case 9 and 24 and 26, in one: all tables are the model's, and the check finds nothing."""
    url, size = large_database, size or Size.asked()
    rng, began = random.Random(size.seed), time.monotonic()
    say(size)
    # Looking through what the model holds, of which nothing is garbage, would take seconds.
    gc.disable()
    try:
        async with network(size) as made:
            said = (
                f"{sum(len(repo.records) for repo in made.model.repos.values()):,} records of {len(made.model.repos):,} repos"
            )
            say(f"{said}, made in {time.monotonic() - began:.0f} s")
            rss = await backfilled(url, tmp_path, size, made, rng)
            say(f"RSS of the worker {rss / 1e6:.0f} MB at most")
        wrong: list[str] = []
        began = time.monotonic()
        async with connected(url) as connection:
            await connection.execute("ANALYZE")
        for part in parts(made.model, -(-size.repos // PART)):
            wrong += await differences(url, part, part.within, excused)
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        say(f"compared in {time.monotonic() - began:.0f} s, {ours / 1e3:.0f} MB at most")
        assert wrong == []
        assert rss < MAX_RSS
        async with Process(tmp_path, "check", "--full", DATABASE_URL=url) as check:
            assert await check.ends(3_600) == 0, check.output
            say(check.output)
    finally:
        gc.enable()


async def backfilled(url: str, folder: Path, size: Size, made: Network, rng: random.Random) -> int:
    """Has all of it fetched by workers of which each is killed but the last; returns the most memory of one."""
    env = settings(
        url, made.relay.url, **({"VERIFY": "full", "BACKFILL": "repair"} | made.services.settings | {"PLC_RATE": "1000"})
    )
    marks = sorted(rng.uniform(0, 0.95) * size.repos for _ in range(size.kills))
    began, rss, job = time.monotonic(), 0, None
    async with connected(url) as connection:
        for mark in (*marks, None):
            async with Polite(folder, **env) as worker:
                await worker.says("Connected to ")
                if job is None:
                    job = await listings.ask(connection, Kind.NETWORK, "")

                async def reached(mark: float | None = mark, worker: Polite = worker, job: int = job) -> bool:
                    nonlocal rss
                    assert worker.code is None, worker.output
                    rss = max(rss, worker.highest_rss)
                    done = await connection.fetchval("SELECT coalesce(sum(repos_done), 0)::int FROM unified_worker.hosts")
                    ended = await connection.fetchval(
                        "SELECT ended_at IS NOT NULL AND NOT EXISTS (SELECT FROM unified_worker.repairs) "
                        "FROM unified_worker.backfill_jobs WHERE id = $1",
                        job,
                    )
                    return ended or (mark is not None and done >= mark)

                await until(reached, f"{mark or 'all'} repos are fetched", 3_600, poll=0.1)
                if mark is not None:
                    await asyncio.sleep(rng.uniform(0, 1))
                    say(f"killed at {time.monotonic() - began:.1f} s, after {mark:.0f} repos")
                    continue
                say(f"fetched in {time.monotonic() - began:.1f} s")
                made.feed.rate = 0
                await asyncio.sleep(0.1)
                await saved(url, made.relay.url, made.newest[0], 600)
                await settled(url)
                say(f"{made.relay.frames_sent:,} frames of the stream were sent")
    return rss


def say(what: object) -> None:
    """For who runs it with -s."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def excused(line: str) -> bool:
    """A record without a usable createdAt has the time of what brought it, and of what came with a repo nobody is told."""
    missing = line.startswith("notifications:") and line.endswith("is missing")
    return missing or line.startswith(UNDATED) or any(words in line for words in LATER)
