"""Monitoring tasks: a sample every second, HTTP, the terminal's status line, and the first minute's messages. Indexing never
waits for them.

None of it is awaited by the stream.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from unified_indexer.config.settings import Config
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.monitoring.fetching import line
from unified_indexer.monitoring.gauges import Gauges
from unified_indexer.monitoring.history import History
from unified_indexer.monitoring.readiness import reasons, state
from unified_indexer.monitoring.terminal_line import Now, keep_showing
from unified_indexer.monitoring.welcome import first_events, greet

log = logging.getLogger(__name__)

WORDS = {"ready": "live", "behind": "catching up"}


@asynccontextmanager
async def views(config: Config, gauges: Gauges, embedded: PostgresServer | None, began: float) -> AsyncGenerator[None]:
    """Run the monitoring tasks until the block ends. `embedded`: the server of --embedded; `began`: the process's start, by
    time.monotonic.

    OperatorError where HTTP_BIND can't be listened on.
    """
    history = History(gauges)
    async with AsyncExitStack() as stack:
        notes: list[str] = []
        tasks = [_begun(history.run()), _begun(keep_showing(lambda: _now(history, config.ready_lag, tuple(notes))))]
        stack.push_async_callback(_end, tasks)
        if config.http_bind is not None:
            from unified_indexer.monitoring.http.hosts import Hosts
            from unified_indexer.monitoring.http.server import HttpServer  # its libraries take 14 MB, which no HTTP saves

            hosts = Hosts(config.http_bind.host, config.http_hosts)
            server = HttpServer(config.http_bind, hosts, history, config.relay_host, config.ready_lag)
            await stack.enter_async_context(server)
            tasks.append(_begun(server.run()))
            notes += [f"Live page: {server.url}"] if server.url else []
        if embedded is not None:
            greet(config.relay_url, embedded.directory)
            notes.append(f"The data is in {embedded.directory}; open it with: {embedded.psql}")
            words = first_events(
                gauges.metrics,
                connected=lambda: gauges.connected,
                relay_url=config.relay_url,
                psql=embedded.psql,
                began=began,
            )
            tasks.append(_begun(words))
        yield


def _begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    task.add_done_callback(_log_fault)
    return task


def _log_fault(task: asyncio.Task[None]) -> None:
    """A monitoring task may fail by a fault of its own: log it, and let indexing continue."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("A monitoring task failed; indexing continues without it", exc_info=error)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _now(history: History, ready_lag: float, notes: tuple[str, ...]) -> Now:
    gauges, rate = history.gauges, history.rate
    amiss = reasons(gauges, ready_lag)
    word = state(amiss, rate)
    shown = WORDS.get(word) or (word if amiss[0].name == "lag" else amiss[0].name.replace("_", " "))
    if amiss and amiss[0].name == "not_connected" and gauges.next_attempt is not None:
        shown += f", next attempt in {gauges.next_attempt:.0f} s"
    return Now(
        state=shown,
        events_per_second=rate,
        lag=gauges.lag,
        busy=gauges.pool.busy,
        size=gauges.pool.size,
        waiting=gauges.waiting,
        refused=gauges.metrics.refused.total(),
        finished=gauges.metrics.finished,
        uptime=gauges.uptime,
        notes=notes if (backfill := line(gauges.backfill)) is None else (backfill, *notes),
    )
