"""Fixtures: a worker in this process waits milliseconds where it would wait seconds; a primary and its standby.

pair    both, running: copies of what is made once for each file
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from testing.failover import Pair, Places, make_template, started
from testing.servers import fast_parent, server_directory
from unified_indexer.relay.backoff import Backoff


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("unified_indexer.relay.firehose.Backoff", lambda: Backoff(unit=0.01))
    monkeypatch.setattr("unified_indexer.database.background.wiper.INTERVAL", 0.05)
    monkeypatch.setattr("unified_indexer.database.background.waiting.INTERVAL", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    # A runner with a loop factory leaves the current event loop alone, which is pytest-asyncio's.
    with server_directory(fast_parent()) as folder, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner.run(make_template(folder))


@pytest.fixture
async def pair(places: Places) -> AsyncIterator[Pair]:
    async with started(places) as servers:
        yield servers
