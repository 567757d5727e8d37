"""The publisher with a server that takes nothing for a while."""

import asyncio

import pytest

from testing.commits import POST, Stream, post, put
from testing.database_side import opened
from testing.published import Consumer
from testing.streams import valkey
from testing.waiting import until
from unified_indexer.config.stream_url import publish_address
from unified_indexer.metrics import Metrics
from unified_indexer.publishing.publisher import Publisher


@pytest.mark.promise(2)
async def test_what_a_full_server_refuses_is_sent_when_there_is_room(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.publishing.publisher.UNIT", 0.02)
    async with valkey(maxmemory="1") as engine, opened(database, publishes=True) as worker:
        await worker.write(Stream().commit("a", put(f"{POST}/1", post())))
        metrics, consumer = Metrics(), Consumer(engine, "relay.test")
        address = publish_address(f"redis://127.0.0.1:{engine.port}")
        task = asyncio.create_task(Publisher(worker.pool, address, 1_000, metrics).keep_publishing())
        try:
            await until(lambda: metrics.publish_failing_since is not None, "the server takes nothing")
            await engine.ask("CONFIG", "SET", "maxmemory", "256mb")
            await until(lambda: metrics.publish_failing_since is None, "the server takes entries again")

            async def arrived() -> bool:
                return bool(await consumer.read())

            await until(arrived, "what it refused is there")
        finally:
            task.cancel()
        assert len(consumer.uris) == 1
