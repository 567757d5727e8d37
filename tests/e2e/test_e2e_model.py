"""The database after a stream equals an independent model of it: plain runs, replays, every pool size, order per repo."""

from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.authors import Author, liking, toggling
from testing.databases import connected, differences, saved
from testing.processes import Process
from testing.traffic import traffic, traffic_of
from testing.workers import finished, running, settings
from unified_indexer.pipeline.lanes import MOST_LANES


@pytest.mark.long
@pytest.mark.parametrize("size", ["1", "2", "20"])
@pytest.mark.promise(4)
async def test_realistic_traffic_at_every_pool_size(database: str, size: str) -> None:
    stream = traffic(3_000)
    async with RelayServer(stream.frames) as relay, running(database, relay.url, DB_POOL_SIZE=size) as worker:
        await finished(worker, stream.last_seq)
        assert worker.metrics.finished == len(stream.frames)
        assert worker.metrics.dead_letters - worker.metrics.refused["wiping"] == len(stream.model.refused)
    assert await differences(database, stream.model) == []


@pytest.mark.parametrize("size", ["1", "2", "20"])
@pytest.mark.promise(4)
async def test_awkward_traffic_at_every_pool_size(database: str, size: str) -> None:
    """Duplicates, moves, updates before their creates, stale and early revs, broken records: a quarter of the stream."""
    stream = traffic(3_000, awkward=True)
    async with RelayServer(stream.frames) as relay, running(database, relay.url, DB_POOL_SIZE=size) as worker:
        await finished(worker, stream.last_seq)
        assert worker.metrics.finished == len(stream.frames)
        assert worker.metrics.stale + worker.metrics.rev_fork == stream.model.stale
        assert worker.metrics.dead_letters - worker.metrics.refused["wiping"] == len(stream.model.refused)
    assert await differences(database, stream.model) == []


@pytest.mark.promise(4)
async def test_awkward_traffic_in_as_many_lanes_as_there_can_be(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has: on two cores there would be two lanes at any pool size."""
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    stream = traffic(3_000, awkward=True)
    async with RelayServer(stream.frames) as relay, running(database, relay.url, DB_POOL_SIZE="20") as worker:
        assert len(worker.session.lanes.all) == MOST_LANES == 4
        await finished(worker, stream.last_seq)
        assert worker.metrics.stale + worker.metrics.rev_fork == stream.model.stale
    assert await differences(database, stream.model) == []


async def test_awkward_traffic_on_every_postgresql(any_database: str) -> None:
    """Here with real trees and signatures."""
    stream = traffic(400, awkward=True, cheap=False, accounts=60, seed=3)
    async with RelayServer(stream.frames) as relay, running(any_database, relay.url) as worker:
        await finished(worker, stream.last_seq)
    assert await differences(any_database, stream.model) == []


async def test_trees_and_signatures_make_no_difference(database: str) -> None:
    stream = traffic(300, cheap=False, accounts=50, seed=4)
    async with RelayServer(stream.frames) as relay, running(database, relay.url) as worker:
        await finished(worker, stream.last_seq)
    assert await differences(database, stream.model) == []


@pytest.mark.long
@pytest.mark.parametrize("size", ["1", "2", "20"])
@pytest.mark.promise(4)
async def test_one_record_created_and_deleted_over_and_over_between_thousands_of_others(database: str, size: str) -> None:
    stream = traffic_of(toggling(others=2_500))
    async with RelayServer(stream.frames) as relay, running(database, relay.url, DB_POOL_SIZE=size) as worker:
        await finished(worker, stream.last_seq)
        assert worker.metrics.stale == 0  # a commit that overtakes another of its repo makes that one stale
    assert await differences(database, stream.model) == []


async def test_a_sync_moves_the_rev(database: str) -> None:
    """What was written before the rev that a #sync tells, and comes after it, is stale."""
    author = Author("syncing")
    stream = traffic_of(
        [
            author.commit(1, 1, liking("create", "a", 1)),
            author.sync(2, 100),
            author.commit(3, 101, liking("create", "late", 2), rev_second=50),
            author.commit(4, 102, liking("create", "b", 3)),
        ]
    )
    assert stream.model.stale == 1
    async with RelayServer(stream.frames) as relay, running(database, relay.url) as worker:
        await finished(worker, stream.last_seq)
    assert await differences(database, stream.model) == []


@pytest.mark.long
@pytest.mark.promise(3)
async def test_a_replay_from_the_oldest_changes_nothing(database: str, tmp_path: Path) -> None:
    """The whole stream again over the filled database, also by way of the command line."""
    stream = traffic(2_000, awkward=True)
    tables = ("likes", "posts", "reposts", "follows", "users")
    async with RelayServer(stream.frames) as relay:
        async with running(database, relay.url) as worker:
            await finished(worker, stream.last_seq)
        async with connected(database) as connection:
            before = {table: await connection.fetch(f"SELECT *, xmin FROM {table} ORDER BY 1") for table in tables}
        async with Process(tmp_path, "--reset-cursor", **settings(database, relay.url)) as process:
            await process.says(r"Connected to .* from cursor 0$")
            await saved(database, relay.url, stream.last_seq)
        assert relay.cursors == [0, 0]
        async with connected(database) as connection:
            for table, rows in before.items():
                assert await connection.fetch(f"SELECT *, xmin FROM {table} ORDER BY 1") == rows  # xmin: not even rewritten
    assert await differences(database, stream.model) == []
