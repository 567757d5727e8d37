"""Two ingesters as processes of their own: one fills the stream, and the other one takes over when that one dies."""

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.databases import connected, differences
from testing.processes import Process
from testing.streams import valkey
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import settings
from tests.e2e.test_e2e_streams import stored
from unified_indexer.stream.keys import turn_key

log = logging.getLogger(__name__)

TAKES_OVER = 15.0  # seconds, as docs/streams.md says
LOOKS = 1.5  # seconds from one look at the turn to the next one
SPARE = 3.0  # seconds that a busy machine may take besides
WAITS = "Another ingester fills this stream"


@pytest.mark.long
@pytest.mark.promise(2)
async def test_a_second_ingester_takes_over(
    database: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The first one is killed at work; the second one is stopped in good order when all is there."""
    stream = traffic(3_000, awkward=True)
    begins, meanwhile, ends = stream.frames[:1_200], stream.frames[1_200:2_100], stream.frames[2_100:]
    async with valkey() as engine, RelayServer(begins, rate=600) as relay:
        env, turn = settings(database, engine.url(relay.url)), turn_key(relay.url.partition("://")[2])
        async with (
            Process(tmp_path, "ingest", **env) as one,
            Process(tmp_path, "ingest", **env) as other,
            Process(tmp_path, **env) as worker,
            Process(tmp_path, **env) as beside,
        ):
            await until(lambda: WAITS in one.output + other.output, "one of them waits")
            first, second = (one, other) if WAITS in other.output else (other, one)

            async def at_work() -> bool:
                return await engine.entries(relay.url) > 300

            await until(at_work, "the first one fills the stream")
            assert relay.connections == 1
            first.kill()
            began, there = time.monotonic(), (await engine.own(relay.url))["cursor"]
            left = await engine.ask("PTTL", turn) / 1000
            assert 0 < left < TAKES_OVER - LOOKS  # whatever moment it died in
            for frame in meanwhile:
                relay.append(frame)

            async def fills() -> bool:
                return relay.connections == 2 and (await engine.own(relay.url))["cursor"] != there

            await until(fills, "the second one fills the stream")
            seconds = time.monotonic() - began
            log.info("the second ingester takes over after %.1f s", seconds)
            record_property("a second ingester takes over", round(seconds, 1))
            for frame in ends:
                relay.append(frame)
            await stored(database, relay.url, stream.last_seq)
            second.signal(signal.SIGTERM)
            assert await second.ends() == 0
            assert "Stopped" in second.output
            for process in (worker, beside):
                process.signal(signal.SIGTERM)
                assert await process.ends() == 0
            for process in (one, other, worker, beside):
                assert "Traceback" not in process.output
        assert relay.connections == 2
        assert await engine.ask("EXISTS", turn) == 0  # the next one need not wait
        assert seconds < TAKES_OVER + SPARE
    assert await differences(database, stream.model) == []
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM unified_worker.gaps") == 0
