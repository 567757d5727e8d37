"""What it costs the worker to be looked at: with metrics scraped every second and a page open, or with none of it, in turn."""

import asyncio
import contextlib
import statistics
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp

from benchmarks.processes import Child
from benchmarks.stream import Load
from benchmarks.throughput import WORKER, Run, fresh_database, run_into
from unified_indexer.embedded.server import PostgresServer

UNCOUNTED = ("-m", "benchmarks.uncounted")
INTERVAL = 1.0  # seconds between two scrapes: fifteen times as often as Prometheus is set up to


class Watched(NamedTuple):
    """The runs of each kind, in turn; how often metrics were fetched, and how many messages the page got, in all."""

    without: list[Run]
    watched: list[Run]
    scrapes: int
    messages: int

    @property
    def python(self) -> float:
        """How much more CPU time the worker's process takes for a commit: the median of the pairs' ratios, less one."""
        return self._more(lambda run: run.python_us)

    @property
    def time(self) -> float:
        """How much more time a commit takes, likewise."""
        return self._more(lambda run: 1 / run.rate)

    def _more(self, of: Callable[[Run], float]) -> float:
        pairs = zip(self.without, self.watched, strict=True)
        return statistics.median(of(watched) / of(without) for without, watched in pairs) - 1


class _Looks:
    """Who looks on, and what they saw."""

    def __init__(self) -> None:
        self.scrapes = self.messages = 0

    @contextlib.asynccontextmanager
    async def on(self, worker: Child) -> AsyncGenerator[None]:
        """Scrapes and keeps a page open while the block runs."""
        page = await worker.said(r"Live page: (http://\S+)")
        async with aiohttp.ClientSession() as session:
            looking = [asyncio.create_task(self._scrape(session, page)), asyncio.create_task(self._read(session, page))]
            try:
                yield
            finally:
                for task in looking:
                    task.cancel()
                await asyncio.wait(looking)

    async def _scrape(self, session: aiohttp.ClientSession, page: str) -> None:
        while True:
            async with session.get(page + "metrics") as answer:
                answer.raise_for_status()
                await answer.read()
            self.scrapes += 1
            await asyncio.sleep(INTERVAL)

    async def _read(self, session: aiohttp.ClientSession, page: str) -> None:
        async with session.get(page + "live", timeout=aiohttp.ClientTimeout()) as answer:
            async for line in answer.content:
                self.messages += line == b"\n"


async def compare(server: PostgresServer, frames: Path, load: Load, pairs: int) -> Watched:
    """So many pairs of runs with full indexing, from empty tables."""
    without, watched, looks = list[Run](), list[Run](), _Looks()
    for _ in range(pairs):
        async with fresh_database(server) as url:
            without.append(await run_into(url, server, UNCOUNTED, frames, load, settings={"HTTP_BIND": ""}))
        async with fresh_database(server) as url:
            served = {"HTTP_BIND": "127.0.0.1:0"}
            watched.append(await run_into(url, server, WORKER, frames, load, settings=served, beside=looks.on))
    return Watched(without, watched, looks.scrapes, looks.messages)
