"""The machine of one of two workers is gone: no connection is closed, and the other worker has all partitions within 15 s."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.databases import differences
from testing.machines import HERE, THERE, There, cut_cable, second_machine
from testing.servers import FAST, copy_cluster, fast_parent, make_server, server_directory
from testing.streams import ingesting, valkey
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import running, settings
from tests.e2e.test_e2e_streams import all_taken, partitions, stored
from unified_indexer.embedded.server import PostgresServer

GONE = 15.0  # seconds until the partitions of a machine that is gone are read by others, as docs/streams.md says


@pytest.fixture
async def server() -> AsyncIterator[PostgresServer]:
    """A server that the second machine reaches by TCP."""
    with second_machine(), server_directory(fast_parent()) as directory:
        copy_cluster(18, directory)
        with (directory / "cluster" / "pg_hba.conf").open("w") as file:
            file.write(f"local all all trust\nhost all all {THERE}/32 trust\n")
        made = make_server(18, directory, FAST | {"listen_addresses": HERE})
        await made.start()
        yield made
        await made.stop("immediate")


@pytest.mark.long
@pytest.mark.promise(2)
async def test_the_partitions_of_a_machine_that_is_gone_are_read_by_the_other(server: PostgresServer, tmp_path: Path) -> None:
    stream, half = traffic(1_500), 750
    options = {"bind": "0.0.0.0", "protected-mode": "no"}
    async with valkey(**options) as engine, RelayServer(stream.frames[:half]) as relay:
        url = engine.url(relay.url)
        there = settings(f"postgresql://unified@{HERE}/unified?sslmode=disable", url.replace("127.0.0.1", HERE, 1))
        async with (
            ingesting(server.url, url),
            There(tmp_path, **there) as gone,
            running(server.url, url) as worker,
        ):
            await until(lambda: len(partitions(worker)) == 32, "two workers have half each")
            await gone.says("Connected to")
            for frame in stream.frames[half:]:
                relay.append(frame)
            cut_cable()
            await all_taken(worker, GONE)
            await stored(server.url, relay.url, stream.last_seq)
    assert await differences(server.url, stream.model) == []
