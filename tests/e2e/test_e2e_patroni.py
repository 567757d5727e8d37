"""Patroni moves the leader, and replaces one that has died: the worker follows by itself, and no row is missing."""

import logging
import time
from pathlib import Path

import pytest

from relay_simulator.encoding import seq_of
from relay_simulator.server import RelayServer
from testing.databases import connected, differences, saved
from testing.patroni import PASSWORD, Node, needs_patroni, patroni
from testing.processes import Process
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import settings

log = logging.getLogger(__name__)


def url_of(*nodes: Node) -> str:
    places = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    return f"postgresql://postgres:{PASSWORD}@{places}/postgres?sslmode=disable&target_session_attrs=read-write"


@needs_patroni
@pytest.mark.long
@pytest.mark.promise(4)
async def test_a_switchover_and_the_death_of_the_leader(tmp_path: Path) -> None:
    stream, third = traffic(1_800, awkward=True, seed=23), 600
    async with patroni() as (first, second), RelayServer(stream.frames[:third]) as relay:

        async def comes(leader: Node, part: int, since: float) -> None:
            for frame in stream.frames[part * third : (part + 1) * third]:
                relay.append(frame)
            seq = seq_of(stream.frames[(part + 1) * third - 1])
            assert seq is not None
            await saved(leader.url, relay.url, seq)
            log.info("written by the new leader after %.1f s", time.monotonic() - since)

        async with Process(tmp_path, **settings(url_of(first, second), relay.url, DB_POOL_SIZE="3")) as worker:
            seq = seq_of(stream.frames[third - 1])
            assert seq is not None
            await saved(first.url, relay.url, seq)
            began = time.monotonic()
            status, said = await first.ask("POST", "/switchover", leader="a", candidate="b")
            assert status == 200, said
            await until(lambda: second.is_("leader"), "the second one is the leader")
            await comes(second, 1, began)
            await until(lambda: first.is_("replica"), "the first one follows it")
            began = time.monotonic()
            second.kill()
            await until(lambda: first.is_("leader"), "the first one is the leader again")
            await comes(first, 2, began)
            assert "Traceback" not in worker.output
        assert await differences(first.url, stream.model) == []
        async with connected(first.url) as connection:
            assert await connection.fetchval("SELECT count(*) FROM unified_worker.gaps") == 0
