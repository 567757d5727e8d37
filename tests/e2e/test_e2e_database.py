"""The database goes away in mid-run, in every way it can: nothing is missing afterwards and nothing double."""

import asyncio
from functools import partial

import pytest

from relay_simulator.server import RelayServer
from testing.databases import backends, connected, differences, terminate_backends
from testing.servers import kill9
from testing.traffic import Traffic, traffic
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.config.settings import Config
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.pipeline.session import Session
from unified_indexer.relay.position import Stored
from unified_worker import UnifiedWorker

CALLS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CALL %' AND wait_event_type = 'Lock'
AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1)
"""
RATE = 750.0  # frames a second: the stream is still flowing when the database is back


async def midway(worker: UnifiedWorker, stream: Traffic, share: float = 0.25) -> None:
    """Wait until this share of the stream is finished."""
    await until(lambda: worker.metrics.finished >= share * len(stream.frames), "the stream is under way")


async def stopped_for(server: PostgresServer, seconds: float) -> None:
    stream = traffic(int(RATE * (seconds / 2 + 2)), awkward=True, seed=5)
    async with RelayServer(stream.frames, rate=RATE) as relay, running(server.url, relay.url) as worker:
        await midway(worker, stream)
        await server.stop()
        before = worker.metrics.finished
        await asyncio.sleep(seconds)
        assert worker.metrics.finished - before < 100  # nothing passes for finished meanwhile
        await server.start()
        await finished(worker, stream.last_seq, seconds=60)
    assert await differences(server.url, stream.model) == []


@pytest.mark.long
@pytest.mark.promise(2)
async def test_the_database_is_stopped_for_five_seconds(private_server: PostgresServer) -> None:
    await stopped_for(private_server, 5)


@pytest.mark.soak
@pytest.mark.promise(2)
async def test_the_database_is_stopped_for_twenty_seconds(private_server: PostgresServer) -> None:
    await stopped_for(private_server, 20)


@pytest.mark.long
@pytest.mark.parametrize("durable", ["on", "off"])
@pytest.mark.promise(2)
async def test_the_database_crashes(private_server: PostgresServer, durable: str) -> None:
    """kill -9 of the server. With SYNCHRONOUS_COMMIT=off the last calls may be lost there: the stored cursor knows."""
    stream = traffic(2_000, awkward=True, seed=6)
    async with (
        RelayServer(stream.frames, rate=2 * RATE) as relay,
        running(private_server.url, relay.url, SYNCHRONOUS_COMMIT=durable) as worker,
    ):
        await midway(worker, stream, 0.4)
        await kill9(private_server)
        await private_server.start()
        await finished(worker, stream.last_seq)
    assert await differences(private_server.url, stream.model) == []


@pytest.mark.long
async def test_the_lock_s_connection_is_ended(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time a new session begins, by itself, and asks the relay for what follows the stored cursor."""
    stream = traffic(2_000, awkward=True, seed=7)
    sessions: list[tuple[int | None, Session]] = []
    begin = UnifiedWorker.begin

    def noted(worker: UnifiedWorker, stored: Stored) -> None:
        begin(worker, stored)
        sessions.append((stored.seq, worker.session))

    monkeypatch.setattr(UnifiedWorker, "begin", noted)
    async with RelayServer(stream.frames, rate=2 * RATE) as relay, running(database, relay.url) as worker:
        for share in (0.3, 0.6):
            await midway(worker, stream, share)
            await until(partial(terminate_backends, database, holding_lock=True), "there is a lock, and its connection ends")
            await until(lambda share=share: len(sessions) == 1 + round(share / 0.3), "a new session begins")
        await finished(worker, stream.last_seq)
        assert relay.cursors == [0, *(seq or 0 for seq, _ in sessions[1:])]
    assert len({id(session) for _, session in sessions}) == 3
    assert await differences(database, stream.model) == []


async def test_the_lock_s_connection_is_ended_while_it_starts(database: str) -> None:
    """Between the schema's being ready and the cursor's being read: it begins once more, in place of ending."""
    stream = traffic(300, seed=10)
    async with RelayServer(stream.frames) as relay:
        async with running(database, relay.url) as worker:
            await finished(worker, stream.last_seq)
        worker = UnifiedWorker(Config.from_env(settings(database, relay.url)))
        async with connected(database) as connection:
            async with connection.transaction():
                await connection.execute("LOCK TABLE user_settings")
                starting = asyncio.create_task(worker.initialize())

                async def waits() -> bool:
                    return any("FROM public.user_settings" in query for query in await backends(database))

                await until(waits, "the start reads user_settings")
                assert await terminate_backends(database, holding_lock=True) == 1
            await asyncio.wait_for(starting, 20)
        assert worker.session.watermark.cursor == stream.last_seq
        worker.pool.terminate()


@pytest.mark.long
@pytest.mark.parametrize("size", ["1", "20"])
@pytest.mark.promise(2)
async def test_all_connections_are_ended_at_once(database: str, size: str) -> None:
    stream = traffic(2_000, awkward=True, seed=8)
    async with RelayServer(stream.frames, rate=2 * RATE) as relay, running(database, relay.url, DB_POOL_SIZE=size) as worker:
        for share in (0.2, 0.4, 0.6):
            await midway(worker, stream, share)
            await until(partial(terminate_backends, database), "the worker has connections again, and they are ended")
        await finished(worker, stream.last_seq)
    assert await differences(database, stream.model) == []


@pytest.mark.long
@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
@pytest.mark.promise(2)
async def test_calls_are_broken_off_one_by_one(database: str, how: str) -> None:
    """Calls that wait for a table are ended, with or without their connection; the lock's connection is left alone."""
    stream = traffic(2_250, awkward=True, seed=9)
    async with (
        RelayServer(stream.frames, rate=RATE) as relay,
        running(database, relay.url) as worker,
        connected(database) as connection,
        connected(database) as beside,
    ):
        for _ in range(2):
            async with connection.transaction():
                await connection.execute("LOCK TABLE likes")

                async def broken_off() -> bool:
                    # pg_stat_activity stands still within a transaction, so not on the connection that holds the table.
                    return bool(await beside.fetch(f"SELECT {how}(pid) FROM ({CALLS}) AS calls"))

                for _ in range(3):
                    await until(broken_off, "a call is under way, and broken off")
            await midway(worker, stream, (worker.metrics.finished + 300) / len(stream.frames))
        await finished(worker, stream.last_seq)
        assert relay.connections == 1  # it did not have to begin again
    assert await differences(database, stream.model) == []
