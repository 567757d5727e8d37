"""PostgreSQL's primary is lost under workers that read a stream's server: rows and positions go back together."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from relay_simulator.encoding import seq_of
from relay_simulator.server import RelayServer
from testing.databases import connected, differences
from testing.failover import Pair, cut_off, promote, url_of
from testing.processes import Process
from testing.published import Consumer, following
from testing.servers import kill9
from testing.streams import ingesting, valkey
from testing.traffic import traffic
from testing.workers import settings
from tests.e2e.test_e2e_publishing import uris
from tests.e2e.test_e2e_streams import stored


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("unified_indexer.stream.ingest.UNIT", 0.02)
    monkeypatch.setattr("unified_indexer.stream.keeping.INTERVAL", 0.1)


@pytest.mark.long
@pytest.mark.promise(2)
@pytest.mark.parametrize("publishes", [False, True], ids=["", "publish"])
async def test_what_an_asynchronous_standby_lacks_is_read_again(pair: Pair, tmp_path: Path, publishes: bool) -> None:
    """Not from the relay: the server has kept it. What was published before the failover is published again."""
    primary, standby = pair
    stream = traffic(1_800, seed=21)
    parts = [stream.frames[at : at + 600] for at in range(0, 1_800, 600)]
    ends = [seq_of(part[-1]) or 0 for part in parts]
    async with valkey() as engine, RelayServer(parts[0]) as relay:

        def come(frames: Sequence[bytes]) -> None:
            for frame in frames:
                relay.append(frame)

        both, url = url_of(primary, standby), engine.url(relay.url)
        publish = {"PUBLISH": f"redis://127.0.0.1:{engine.port}/0"} if publishes else {}
        env = settings(both, url, DB_POOL_SIZE="3", **publish)
        consumer = Consumer(engine, relay.url.partition("://")[2])
        async with ingesting(both, url), Process(tmp_path, **env) as one, Process(tmp_path, **env) as other:
            for process in (one, other):
                await process.says("Reading 32 of 64 partitions")
            for server in pair:
                await stored(server.url, relay.url, ends[0])
            await cut_off(standby)
            come(parts[1])
            await stored(primary.url, relay.url, ends[1])
            if publishes:
                await following(consumer, uris(traffic(1_200, seed=21).model))
            come(parts[2][:300])  # so that it dies at work
            await kill9(primary)
            await promote(standby)
            come(parts[2][300:])
            await stored(standby.url, relay.url, ends[2])
            assert await differences(standby.url, stream.model) == []
            async with connected(standby.url) as connection:
                assert await connection.fetchval("SELECT count(*) FROM unified_worker.gaps") == 0
            if publishes:
                await following(consumer, uris(stream.model))
                assert consumer.faults == []
                assert consumer.repeated > 0
            assert relay.connections == 1
            for process in (one, other):
                process.signal(signal.SIGTERM)
                assert await process.ends() == 0
                assert "Traceback" not in process.output
