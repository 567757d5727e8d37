"""A whole worker in this process, against a real relay and a real database."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from testing.databases import settled
from testing.waiting import DEADLINE, until
from unified_indexer.config.settings import Config
from unified_worker import UnifiedWorker


def settings(url: str, relay_url: str, **env: str) -> dict[str, str]:
    """The worker's environment: everything that the relay holds, unless `env` says otherwise.

    The relay is believed, because no directory knows the accounts of most streams (testing.directory has one); so nothing is
    fetched from their hosts.
    """
    return {
        "DATABASE_URL": url,
        "RELAY_URL": relay_url,
        "CURSOR": "oldest",
        "HTTP_BIND": "",
        "VERIFY": "off",
        "BACKFILL": "off",
    } | env


@contextlib.asynccontextmanager
async def running(url: str, relay_url: str, *, reset_cursor: bool = False, **env: str) -> AsyncGenerator[UnifiedWorker]:
    """A worker in this process. Afterwards it is stopped, and must end within ten seconds."""
    worker = UnifiedWorker(Config.from_env(settings(url, relay_url, **env)), reset_cursor)
    await worker.initialize()
    body = asyncio.current_task()
    assert body is not None
    task = asyncio.create_task(worker.run())
    # So that the test ends at once where the worker fails.
    task.add_done_callback(lambda ended: body.cancel() if not ended.cancelled() and ended.exception() else None)
    try:
        yield worker
        assert not task.done()
    finally:
        worker.stop()
        await asyncio.wait({task}, timeout=10)
        assert task.done(), "the worker did not stop within ten seconds"
        if body.cancelling():
            body.uncancel()
        task.result()


async def finished(worker: UnifiedWorker, seq: int, seconds: float = DEADLINE) -> None:
    """Wait until the worker in this process has finished everything up to this seq."""

    def through() -> bool:
        watermark = worker.session.watermark  # of now: a lost lock brings another one
        return watermark.cursor == seq and not len(watermark)

    await until(through, f"the worker is through to {seq}", seconds)
    await settled(worker.config.database_url, seconds)
