"""Fixtures: a worker in this process waits milliseconds where it would wait seconds for the relay to be back."""

import pytest

from indexer.backoff import Backoff


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("indexer.firehose.Backoff", lambda: Backoff(unit=0.01))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
