"""Servers that can't hold a stream, and streams of another version: refused by ingester and worker, with the remedy."""

from pathlib import Path

import pytest

from testing.processes import Process
from testing.streams import Valkey, ingesting, needs_redis, valkey
from testing.workers import settings
from unified_indexer.errors import OperatorError

RELAY = "ws://127.0.0.1:1"
SENTINEL = "RELAY_URL names a sentinel: write the address of the primary that it watches"
UNUSABLE = pytest.mark.parametrize(
    ("program", "options", "says"),
    [
        ("valkey", {"maxmemory-policy": "allkeys-lru"}, "set it to noeviction"),
        ("valkey", {"cluster-enabled": "yes"}, "a node of a cluster"),
        ("valkey", {"requirepass": "hunter2"}, "write user and password into RELAY_URL"),
        ("valkey", {"sentinel": "yes"}, SENTINEL),
        pytest.param("redis", {"sentinel": "yes"}, SENTINEL, marks=needs_redis),
    ],
    ids=["evicts", "cluster", "password", "sentinel-valkey", "sentinel-redis"],
)


def url_of(engine: Valkey, options: dict[str, str]) -> str:
    return engine.url(RELAY, ":swordfish" if "requirepass" in options else "")


@pytest.mark.promise(2)
@UNUSABLE
async def test_the_ingester_refuses_a_server_that_can_t_hold_the_stream(
    database: str, program: str, options: dict[str, str], says: str
) -> None:
    async with valkey(program, **options) as engine:
        with pytest.raises(OperatorError, match=says) as told:
            async with ingesting(database, url_of(engine, options)):
                pass
        assert "swordfish" not in str(told.value)


@pytest.mark.promise(2)
@UNUSABLE
async def test_a_worker_refuses_a_server_that_can_t_hold_the_stream(
    database: str, tmp_path: Path, program: str, options: dict[str, str], says: str
) -> None:
    async with valkey(program, **options) as engine:
        await ends_with(database, tmp_path, url_of(engine, options), says)


@pytest.mark.promise(2)
async def test_the_ingester_refuses_another_number_of_partitions(database: str, engine: Valkey) -> None:
    await engine.ask("HSET", "firehose:127.0.0.1:1", "partitions", 8)
    with pytest.raises(OperatorError, match="has 8 partitions, this version needs 64"):
        async with ingesting(database, engine.url(RELAY)):
            pass


@pytest.mark.promise(2)
async def test_a_worker_refuses_another_number_of_partitions(database: str, tmp_path: Path, engine: Valkey) -> None:
    """It would take accounts for its own that another one has as well."""
    await engine.ask("HSET", "firehose:127.0.0.1:1", "partitions", 8)
    await ends_with(database, tmp_path, engine.url(RELAY), "has 8 partitions, this version needs 64")


async def ends_with(database: str, folder: Path, url: str, says: str) -> None:
    """A worker ends with the code for what an operator has to correct, and says this."""
    async with Process(folder, **settings(database, url)) as worker:
        await worker.says(says, 30)
        assert await worker.ends() == 2
        assert "Traceback" not in worker.output
        assert "swordfish" not in worker.output
