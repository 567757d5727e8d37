"""One of two workers hangs. Its machine answers for it, so nothing is closed; the other one has all partitions within 15 s."""

import signal
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.databases import differences
from testing.processes import Process
from testing.streams import ingesting, valkey
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import running, settings
from tests.e2e.test_e2e_streams import POOL, all_taken, nothing_written, partitions, stored

HANGS = 15.0  # seconds until the partitions of a worker that hangs are read by others, as docs/streams.md says


@pytest.mark.long
@pytest.mark.promise(2)
async def test_the_partitions_of_a_worker_that_hangs_are_read_by_the_other(database: str, tmp_path: Path) -> None:
    """It hangs with what it has read and not written. When it is back, it finds its lock gone, and has half again."""
    stream, half = traffic(1_500), 750
    async with valkey() as engine, RelayServer(stream.frames[:half]) as relay:
        url = engine.url(relay.url)
        async with (
            ingesting(database, url),
            Process(tmp_path, **settings(database, url)) as hangs,
            running(database, url, DB_POOL_SIZE=str(POOL)) as worker,
        ):
            await until(lambda: len(partitions(worker)) == 32, "two workers have half each")
            await hangs.says("Connected to")
            async with nothing_written(database, 1) as waiting:
                for frame in stream.frames[half:]:
                    relay.append(frame)
                await until(waiting, "both wait for the database")
                hangs.signal(signal.SIGSTOP)
            try:
                await all_taken(worker, HANGS)
                await stored(database, relay.url, stream.last_seq)
            finally:
                hangs.signal(signal.SIGCONT)
            await until(lambda: len(partitions(worker)) == 32, "two workers have half each again")
            hangs.signal(signal.SIGTERM)
            assert await hangs.ends() == 0
            assert "Traceback" not in hangs.output
    assert await differences(database, stream.model) == []
