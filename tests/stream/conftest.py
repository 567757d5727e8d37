"""Fixtures: a Valkey server that is emptied for each test; what waits seconds waits milliseconds."""

from collections.abc import AsyncIterator

import pytest

from testing.streams import Valkey, valkey
from unified_indexer.relay.backoff import Backoff


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("unified_indexer.relay.firehose.Backoff", lambda: Backoff(unit=0.01))
    monkeypatch.setattr("unified_indexer.stream.ingest.UNIT", 0.02)
    monkeypatch.setattr("unified_indexer.stream.keeping.INTERVAL", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
async def engine() -> AsyncIterator[Valkey]:
    async with valkey() as server:
        yield server
