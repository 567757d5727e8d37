"""Workers that read a stream's server: tables equal the model's, whatever becomes of workers, ingester and server."""

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest

from relay_simulator.server import RelayServer
from testing.databases import connected, differences, settled
from testing.processes import Process
from testing.streams import Valkey, each_program, ingesting, valkey
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_worker import UnifiedWorker

log = logging.getLogger(__name__)

FREED = 1.0  # seconds until PostgreSQL frees the locks of a worker that was killed, as docs/streams.md says
POOL = 3  # connections of each worker in this process; one that is killed has more
CURSORS = 0.1  # seconds from one storing of the cursors to the next one
SPARE = 3.0  # seconds that a busy machine may take besides


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("unified_indexer.stream.ingest.UNIT", 0.02)
    monkeypatch.setattr("unified_indexer.stream.reading.UNIT", 0.02)
    monkeypatch.setattr("unified_indexer.stream.keeping.INTERVAL", 0.1)
    monkeypatch.setattr("unified_indexer.stream.keeping.KEPT", 1.0)
    monkeypatch.setattr("unified_indexer.stream.cursors.INTERVAL", CURSORS)
    monkeypatch.setattr("unified_indexer.stream.partitions.TICK", 0.1)


def partitions(worker: UnifiedWorker) -> set[int]:
    return set(getattr(worker.session.watermark, "parts", {}))


async def all_taken(worker: UnifiedWorker, within: float) -> None:
    """Wait until this worker has all partitions, as many seconds as the page says."""
    began = time.monotonic()
    await until(lambda: len(partitions(worker)) == 64, "the other worker has all partitions", within + SPARE)
    log.info("the other worker has all partitions after %.1f s", time.monotonic() - began)


@contextlib.asynccontextmanager
async def nothing_written(database: str, others: int) -> AsyncGenerator[Callable[[], Awaitable[bool]]]:
    """What was read can't be written, until the block ends; whether more wait for that than so many of `running`'s have
    connections."""
    async with connected(database) as connection, connected(database) as eye:

        async def waiting() -> bool:
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            return await eye.fetchval(query) > others * POOL

        async with connection.transaction():
            await connection.execute("LOCK TABLE unified_worker.repos IN EXCLUSIVE MODE")
            yield waiting


async def stored(database: str, relay_url: str, seq: int) -> None:
    """Wait until each partition's cursor is stored at this seq."""
    host = relay_url.partition("://")[2]
    async with connected(database) as connection:

        async def reached() -> bool:
            rows = await connection.fetch("SELECT cursor FROM firehose_cursor WHERE service LIKE $1", f"{host}#%/64")
            return len(rows) == 64 and all(row["cursor"] == str(seq) for row in rows)

        await until(reached, f"each partition's cursor is stored at {seq}")
    await settled(database)


class Quick(Process):
    """A worker that looks more often who else is there."""

    constants = MappingProxyType(
        {
            "unified_indexer.stream.reading.UNIT": 0.02,
            "unified_indexer.stream.cursors.INTERVAL": CURSORS,
            "unified_indexer.stream.partitions.TICK": 0.1,
        }
    )


@pytest.mark.long
@pytest.mark.promise(2)
@each_program
async def test_workers_come_and_go_while_the_server_crashes(database: str, tmp_path: Path, program: str) -> None:
    """One worker, then two and three; the server is killed and started; one worker is killed at work, another one takes its
    place, and one stops; the server is killed again, and has lost all."""
    stream = traffic(3_600, awkward=True)
    begins, goes_on, comes, ends = (stream.frames[at : at + 900] for at in range(0, 3_600, 900))
    async with valkey(program) as engine, RelayServer(begins, rate=700) as relay, contextlib.AsyncExitStack() as workers:
        url = engine.url(relay.url)

        def come(frames: Sequence[bytes]) -> None:
            for frame in frames:
                relay.append(frame)

        async with ingesting(database, url):
            first = await workers.enter_async_context(running(database, url, DB_POOL_SIZE=str(POOL)))
            await until(lambda: len(partitions(first)) == 64, "the first worker has all partitions")
            second = await workers.enter_async_context(running(database, url, DB_POOL_SIZE=str(POOL)))
            await until(lambda: len(partitions(first)) == len(partitions(second)) == 32, "two workers have half each")
            async with Quick(tmp_path, **settings(database, url)) as killed:
                await killed.says("Connected to")
                await killed.says("Reading 2[0-2] of 64 partitions; workers: 3")
                await until(lambda: len(partitions(first) | partitions(second)) <= 44, "three workers have a third each")
                engine.kill()
                await engine.start()
                await until(lambda: killed.output.count("Connected to") >= 2, "the third worker reads again")
                async with nothing_written(database, 2) as waiting:
                    come(goes_on)
                    await until(waiting, "each of the three waits for the database")
                    began = time.monotonic()
                    await until(lambda: time.monotonic() - began > 5 * CURSORS, "cursors are stored, if any moves")
                    killed.kill()
            assert "Traceback" not in killed.output
            await until(lambda: len(partitions(first)) == len(partitions(second)) == 32, "two workers have half each again")
            async with running(database, url) as third:

                def thirds() -> bool:
                    parts = [partitions(worker) for worker in (first, second, third)]
                    return max(map(len, parts)) == 22 and parts[0] | parts[1] | parts[2] == set(range(1, 65))

                await until(thirds, "three workers have a third each, and nothing is left over")
                at = third.metrics.finished
                come(comes)
                await until(lambda: third.metrics.finished > at, "the third worker reads")
            engine.kill()
            engine.empty()
            await engine.start()
            come(ends)
            await until(lambda: len(partitions(first)) == len(partitions(second)) == 32, "two workers have half each again")
            await stored(database, relay.url, stream.last_seq)
            assert first.metrics.gaps == second.metrics.gaps == 0
            await nothing_left(engine, relay.url)
    assert await differences(database, stream.model) == []


async def nothing_left(engine: Valkey, relay_url: str) -> None:
    """Wait until all is trimmed but the last entry of each partition."""

    async def trimmed() -> bool:
        return await engine.entries(relay_url) <= 64

    await until(trimmed, "what PostgreSQL has is trimmed")


@pytest.mark.long
@pytest.mark.promise(2)
async def test_a_worker_that_is_killed_leaves_its_partitions_to_the_other(database: str, tmp_path: Path) -> None:
    stream = traffic(1_500)
    async with valkey() as engine, RelayServer(stream.frames, rate=500) as relay:
        url = engine.url(relay.url)
        async with ingesting(database, url), Process(tmp_path, **settings(database, url)) as killed:
            await killed.says("Reading 64 of 64 partitions")
            async with running(database, url) as worker:
                await until(lambda: len(partitions(worker)) == 32, "two workers have half each")
                killed.kill()
                await all_taken(worker, FREED)
                await stored(database, relay.url, stream.last_seq)
    assert await differences(database, stream.model) == []


async def test_cursors_pass_from_the_relay_to_the_stream_and_back(database: str) -> None:
    """A worker at the relay, then one at the server, then one at the relay: each continues where the last one was."""
    stream = traffic(900)
    async with valkey() as engine, RelayServer(stream.frames, rate=400) as relay:
        url = engine.url(relay.url)
        async with running(database, relay.url) as first:
            await until(lambda: first.metrics.finished > 100, "the relay's events are written")
        async with ingesting(database, url) as ingest, running(database, url) as second:
            await until(lambda: second.metrics.finished > 100, "the stream's events are written")
        async with running(database, relay.url) as third:
            await finished(third, stream.last_seq)
    assert ingest.metrics.finished + first.metrics.finished <= len(stream.frames)  # it began where the first one was
    assert await differences(database, stream.model) == []
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM unified_worker.gaps") == 0
