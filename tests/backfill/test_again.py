"""What is done in the background goes on after the database has failed, and says so; any other failure is not hidden."""

import logging

import asyncpg
import pytest

from unified_indexer.backfill.again import keep


async def test_a_step_is_taken_again_after_the_database_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[Exception] = [asyncpg.CannotConnectNowError("it starts"), RuntimeError("a fault of ours")]

    async def step() -> None:
        raise failures.pop(0)

    with pytest.raises(RuntimeError, match="a fault of ours"):
        await keep(step, 0.0, logging.getLogger("again"), "again test", "Could not look")
    assert caplog.messages == ["Could not look (it starts); trying again"]
