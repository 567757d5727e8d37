"""The process around the worker: command line, logging, signals, the embedded database, exit codes.

0: stopped as asked. 1: the worker can't go on without a decision. 2: what the operator set is unusable. Anything
unforeseen ends with its traceback.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeVar, cast

import uvloop

from indexer import cli, heartbeat, logs
from indexer.config import Config
from indexer.database_url import redacted
from indexer.embedded import EmbeddedPostgres
from indexer.errors import OperatorError, Stop
from indexer.rebuild_derived import RebuildDerived
from indexer.version import VERSION

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Exception)

GRACE = 9.0  # seconds to drain after a signal; the process is to be gone within ten
STUCK = 0.5  # seconds for tasks to end once their connections are cut


class Worker(Protocol):
    """What the process runs: the stream's worker, or a rebuild."""

    async def initialize(self) -> None:
        """Readies the worker."""
        ...

    async def run(self) -> None:
        """Works until `stop`, to the end of what was taken in."""
        ...

    def stop(self) -> None:
        """Ends the reading; `run` returns when all that was read is finished."""
        ...

    def abandon(self) -> None:
        """Cuts the database's connections, so that nothing waits for it any more."""
        ...


class Words(NamedTuple):
    """What is said when a signal came, and when the grace period (%.0f s) has run out."""

    stopping: str
    too_late: str


STREAM = Words(
    "stopping; what was read is written first",
    "The database did not take what was read within %.0f s: the cursor stays where it was, nothing is lost",
)
REBUILD = Words(
    "stopping; the rows in hand are finished first",
    "The database did not finish the rows in hand within %.0f s: they are as they were, nothing is lost",
)


def main(make: Callable[[Config, bool], Worker], argv: Sequence[str]) -> int:
    """Runs the worker that `make(config, reset_cursor)` gives until a signal or a fault ends it; returns the exit code."""
    arguments = cli.parse(argv)
    code = 0
    try:
        config = Config.from_env(embedded=arguments.embedded is not None)
        logs.configure(config.log_level)
        uvloop.run(_serve(make, config, arguments))
    except* OperatorError as group:
        code = 2
        for fault in (fault for error in _leaves(group) for fault in error.faults):
            print(f"unified_worker: {fault}", file=sys.stderr)  # noqa: T201 -- LOG_LEVEL itself may be the fault
    except* Stop as group:
        code = 1
        for stop in _leaves(group):
            log.error("%s", stop)
    return code


async def _serve(make: Callable[[Config, bool], Worker], config: Config, arguments: cli.Arguments) -> None:
    async with AsyncExitStack() as stack:
        if arguments.embedded is not None:
            server = await stack.enter_async_context(EmbeddedPostgres(arguments.embedded))
            config = replace(config, database_url=server.url)
        if arguments.rebuild:
            log.info("unified-worker %s rebuilds derived rows of %s", VERSION, redacted(config.database_url))
            await _until_signal(RebuildDerived(config), REBUILD)
        else:
            log.info("unified-worker %s starts: %s into %s", VERSION, config.relay_url, redacted(config.database_url))
            async with _heart():
                await _until_signal(make(config, arguments.reset_cursor), STREAM)
    log.info("Stopped")


@asynccontextmanager
async def _heart() -> AsyncGenerator[None]:
    """Beats for the health check, which asks for the stream's worker alone."""
    beating = asyncio.create_task(heartbeat.beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})


async def _until_signal(worker: Worker, words: Words) -> None:
    """Runs the worker. The first signal asks it to stop, and gives it its grace; the second leaves at once."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if asked.is_set():
            os._exit(128 + number)
        log.info("%s: %s", number.name, words.stopping)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    running = asyncio.create_task(_live(worker))
    waiting = asyncio.create_task(asked.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if asked.is_set() and not running.done():
        worker.stop()
        await asyncio.wait({running}, timeout=GRACE)
    if not running.done():
        log.warning(words.too_late, GRACE)
        worker.abandon()
        running.cancel()
        await asyncio.wait({running}, timeout=STUCK)
        if not running.done():
            logging.shutdown()
            os._exit(0)
    if not (asked.is_set() and running.cancelled()):
        running.result()


async def _live(worker: Worker) -> None:
    await worker.initialize()
    await worker.run()


def _leaves(group: ExceptionGroup[E]) -> list[E]:
    """The errors in a group of groups."""
    found: list[E] = []
    for error in group.exceptions:
        found += _leaves(cast("ExceptionGroup[E]", error)) if isinstance(error, ExceptionGroup) else [error]
    return found
