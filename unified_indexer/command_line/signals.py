"""Signals: the first one asks the program to stop, with a grace period; the second ends it at once."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import NamedTuple, Protocol

from unified_indexer.monitoring.gauges import Gauges

log = logging.getLogger(__name__)

GRACE = 9.0  # seconds to drain after a signal; the process is to be gone within ten
STUCK = 0.5  # seconds for tasks to end once their connections are cut


class Worker(Protocol):
    """What a process runs until a signal: the worker, or a command."""

    async def initialize(self) -> None:
        """Prepare the run."""
        ...

    async def run(self) -> None:
        """Work until `stop`, and finish what was taken in."""
        ...

    def stop(self) -> None:
        """End the reading; `run` returns when everything that was read is finished."""
        ...

    def abandon(self) -> None:
        """Close the database connections at once, so that nothing waits for them any more."""
        ...


class StreamWorker(Worker, Protocol):
    """The stream's worker, which stores in the database why it stopped, and whose state others may read."""

    gauges: Gauges

    def stop(self, why: str = ...) -> None:
        """Like Worker.stop; `why` is the signal's name."""
        ...

    def hold(self, decision: str) -> None:
        """Release the database, because an operator must make this decision first."""
        ...


class Words(NamedTuple):
    """The messages after a signal, and after the grace period (%.0f s)."""

    stopping: str
    too_late: str


async def until_signal(worker: Worker, words: Words, stop: Callable[[str], None] | None = None) -> None:
    """Run the worker. The first signal asks it to stop, with a grace period; the second ends it at once.

    `stop`: what to call, with the signal's name, in place of the worker's own.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    by, reading = "", False

    def on_signal(number: signal.Signals) -> None:
        nonlocal by
        if asked.is_set():
            logging.shutdown()
            os._exit(128 + number)
        log.info("%s: %s", number.name, words.stopping)
        by = number.name
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    started = asyncio.Event()
    running = asyncio.create_task(_live(worker, started))
    waiting = asyncio.create_task(asked.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if asked.is_set() and not running.done():
        if stop is None:
            worker.stop()
        else:
            stop(by)
        reading = started.is_set()  # before that nothing was read, and what it waits for may never come
        if reading:
            await asyncio.wait({running}, timeout=GRACE)
    if not running.done():
        if reading:
            log.warning(words.too_late, GRACE)
        worker.abandon()
        running.cancel()
        await asyncio.wait({running}, timeout=STUCK)
        if not running.done():
            logging.shutdown()
            os._exit(0)
    if not (asked.is_set() and running.cancelled()):
        running.result()


async def signalled() -> str:
    """Wait for a signal that asks to stop; return its name."""
    loop, came = asyncio.get_running_loop(), asyncio.Queue[str]()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, came.put_nowait, number.name)
    return await came.get()


async def _live(worker: Worker, started: asyncio.Event) -> None:
    await worker.initialize()
    started.set()
    await worker.run()
