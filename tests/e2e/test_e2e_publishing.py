"""What follows the stream of PUBLISH has exactly what the tables have, whatever becomes of worker, server and database."""

from pathlib import Path

import pytest

from relay_simulator.encoding import seq_of
from relay_simulator.server import RelayServer
from testing.databases import connected, differences, saved, settled, terminate_backends
from testing.model import Model
from testing.processes import Process
from testing.published import Consumer, following
from testing.streams import each_program, valkey
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import finished, running, settings


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("unified_indexer.publishing.publisher.UNIT", 0.02)


def uris(model: Model) -> set[str]:
    return {stored.uri for repo in model.repos.values() for stored in repo.records.values()}


async def rows_of_outbox(database: str) -> int:
    async with connected(database) as connection:
        return await connection.fetchval("SELECT count(*) FROM unified_worker.outbox")


@pytest.mark.long
@pytest.mark.promise(2)
@each_program
async def test_a_consumer_has_what_the_tables_have_whatever_is_killed(database: str, tmp_path: Path, program: str) -> None:
    """The worker is killed thrice, the server twice, each in the middle of it; repeats are allowed, gaps and disorder not."""
    stream = traffic(3_000, awkward=True, accounts=300)
    async with valkey(program) as engine, RelayServer(stream.frames[:300], rate=3_000) as relay:
        publish = f"redis://127.0.0.1:{engine.port}/0"
        consumer = Consumer(engine, relay.url.partition("://")[2])
        env = settings(database, relay.url, PUBLISH=publish)
        fed = 300
        for turn in range(3):
            async with Process(tmp_path, **env) as worker:
                await worker.says("Connected to")
                before = consumer.entries
                for frame in stream.frames[fed : fed + 600]:
                    relay.append(frame)
                fed += 600

                async def told(before: int = before) -> bool:
                    return bool(await consumer.read()) and consumer.entries > before

                await until(told, "the first of them are told")
                if turn < 2:
                    engine.kill()
                    await engine.start()
                worker.kill()
        async with running(database, relay.url, PUBLISH=publish) as worker:
            for frame in stream.frames[fed:]:
                relay.append(frame)
            await finished(worker, stream.last_seq)
            await following(consumer, uris(stream.model))
    assert consumer.faults == []
    assert consumer.repeated > 0
    assert await differences(database, stream.model) == []


@pytest.mark.long
@pytest.mark.promise(2)
async def test_shares_tell_one_stream_and_another_one_goes_on_with_it(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers write, one of them sends what both have written; it is killed, and the other one sends all the rest."""
    monkeypatch.setattr("unified_indexer.database.connection.lock.LOCK_PATIENCE", 0.5)
    stream, third = traffic(3_000, awkward=True, seed=19, accounts=300), 1_000
    async with valkey() as engine, RelayServer(stream.frames[:third]) as relay:
        publish = f"redis://127.0.0.1:{engine.port}/0"
        consumer = Consumer(engine, relay.url.partition("://")[2])
        env = settings(database, relay.url, PUBLISH=publish, SHARE="1/2", DB_POOL_SIZE="3")
        async with Process(tmp_path, **env) as first:
            await first.says("Connected to")

            async def told() -> bool:
                return bool(await consumer.read())

            await until(told, "the first one sends")
            async with running(database, relay.url, PUBLISH=publish, SHARE="2/2", DB_POOL_SIZE="3") as second:
                for frame in stream.frames[third : 2 * third]:
                    relay.append(frame)
                seq = seq_of(stream.frames[2 * third - 1])
                await until(lambda: second.session.watermark.cursor == seq, "the second one has written its part")
                assert not second.keeper.keeps
                first.kill()
                async with running(database, relay.url, PUBLISH=publish, SHARE="1/2", DB_POOL_SIZE="3") as again:
                    for frame in stream.frames[2 * third :]:
                        relay.append(frame)
                    for worker in (second, again):
                        await finished(worker, stream.last_seq)
                    await following(consumer, uris(stream.model))
                    assert second.keeper.keeps or again.keeper.keeps
    assert consumer.faults == []
    assert await differences(database, stream.model) == []


@pytest.mark.long
@pytest.mark.promise(2)
async def test_a_server_that_is_away_loses_nothing_and_is_told_once(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries wait in the database; beyond the bound nothing is written until the server takes them."""
    monkeypatch.setattr("unified_indexer.publishing.publishing.MOST_WAITING", 300)
    monkeypatch.setattr("unified_indexer.publishing.publishing.INTERVAL", 0.01)
    stream, first = traffic(1_000), 500  # what is not written must fit into the lanes
    async with valkey() as engine, RelayServer(stream.frames[:first]) as relay:
        publish = f"redis://127.0.0.1:{engine.port}/0"
        consumer = Consumer(engine, relay.url.partition("://")[2])
        engine.kill()
        async with running(database, relay.url, PUBLISH=publish) as worker:
            await until(lambda: worker.metrics.publish_waiting >= 300, "as many wait as may wait")
            await until(lambda: "nothing more is written" in caplog.text, "it says so")
            for frame in stream.frames[first:]:
                relay.append(frame)
            await until(lambda: worker.session.position.seq == stream.last_seq, "all of it has arrived")
            with pytest.raises(AssertionError, match="more is written"):
                await until(lambda: worker.metrics.finished > first, "more is written", 1)
            assert worker.metrics.publish_failing_since is not None
            await engine.start()
            await finished(worker, stream.last_seq)
            await following(consumer, uris(stream.model))
            assert worker.metrics.publish_failing_since is None
    assert consumer.faults == []
    assert caplog.text.count("takes nothing") == 1


@pytest.mark.promise(4)
async def test_a_stop_does_not_wait_for_a_server_that_is_away(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is written, though as much waits as may wait; the next worker publishes it."""
    monkeypatch.setattr("unified_indexer.publishing.publishing.MOST_WAITING", 100)
    monkeypatch.setattr("unified_indexer.publishing.publishing.INTERVAL", 0.01)
    stream, first = traffic(600), 200
    async with valkey() as engine, RelayServer(stream.frames[:first]) as relay:
        publish = f"redis://127.0.0.1:{engine.port}/0"
        engine.kill()
        async with running(database, relay.url, PUBLISH=publish) as worker:
            await until(lambda: "nothing more is written" in caplog.text, "as many wait as may wait")
            for frame in stream.frames[first:]:
                relay.append(frame)
            await until(lambda: worker.session.position.seq == stream.last_seq, "all of it has arrived")
            assert worker.metrics.finished <= first
        assert worker.metrics.finished == len(stream.frames)
        assert await rows_of_outbox(database) > 100
        await engine.start()
        consumer = Consumer(engine, relay.url.partition("://")[2])
        async with running(database, relay.url, PUBLISH=publish):
            await following(consumer, uris(stream.model))
    assert consumer.faults == []
    assert await differences(database, stream.model) == []


@pytest.mark.promise(2)
async def test_entries_stay_until_the_server_has_them_on_its_disk(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that comes back without its last entries, or with nothing at all, is told them again."""
    stream = traffic(400)
    async with valkey() as engine, RelayServer(stream.frames) as relay:
        consumer = Consumer(engine, relay.url.partition("://")[2])
        async with running(database, relay.url, PUBLISH=f"redis://127.0.0.1:{engine.port}/0") as worker:
            await finished(worker, stream.last_seq)
            await following(consumer, uris(stream.model))
            engine.kill()
            engine.empty()
            await engine.start()
            again = Consumer(engine, relay.url.partition("://")[2])
            await following(again, uris(stream.model))
            monkeypatch.setattr("unified_indexer.publishing.publisher.KEPT", 0.0)

            async def nothing_left() -> bool:
                return await rows_of_outbox(database) == 0

            await until(nothing_left, "what the server has is deleted")
    await settled(database)
    assert again.faults == []


@pytest.mark.long
async def test_a_lost_lock_does_not_end_a_worker_whose_server_of_publish_refuses_it(database: str) -> None:
    """Only a start is refused: what is to be told waits in the database, as while the server is away."""
    stream = traffic(200)
    async with (
        valkey() as engine,
        RelayServer(stream.frames[:100]) as relay,
        running(database, relay.url, PUBLISH=f"redis://127.0.0.1:{engine.port}/0") as worker,
    ):
        await saved(database, relay.url, seq_of(stream.frames[99]) or 0)
        await engine.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        before = worker.session
        assert await terminate_backends(database, holding_lock=True) == 1
        await until(lambda: worker.session is not before, "a session begins under a new lock")
        for frame in stream.frames[100:]:
            relay.append(frame)
        await finished(worker, stream.last_seq)
    assert await differences(database, stream.model) == []
