"""A crew that is cancelled leaves nothing behind."""

import asyncio

import pytest

from unified_indexer.accounts.crew import Crew


async def test_a_job_that_never_began_is_closed_with_its_crew() -> None:
    """Otherwise Python warns of a coroutine that was never awaited, which is an error in these tests."""
    job, crew = asyncio.sleep(60), Crew(1)

    async def cancelled() -> None:
        async with crew:
            crew.start("did:plc:a", job)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await cancelled()
    assert crew.room == 1
    assert job.cr_frame is None
