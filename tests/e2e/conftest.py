"""Fixtures: a worker in this process waits milliseconds where it would wait seconds."""

import pytest

from unified_indexer.relay.backoff import Backoff


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("unified_indexer.relay.firehose.Backoff", lambda: Backoff(unit=0.01))
    monkeypatch.setattr("unified_indexer.database.background.wiper.INTERVAL", 0.05)
    monkeypatch.setattr("unified_indexer.database.background.waiting.INTERVAL", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
