"""How long the worker takes to be up to date again after an outage, while the stream goes on."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.processes import START_TIMEOUT, ChildFailed, child, relay, relay_url
from benchmarks.stream import Load
from benchmarks.throughput import SLOWEST, fresh_database, here
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.records.base.record_type import RecordType

RATE = 350  # events a second: the public relay's mean
OUTAGE = 3_600  # seconds
LAG = 1.0  # seconds behind the stream that count as up to date
POLL = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds until the `missed` events were worked off, and until the worker was up to date with `live` more; bytes of memory
    at most."""

    missed: int
    live: int
    worked_off: float
    up_to_date: float
    peak_rss: int


async def recover(
    server: PostgresServer,
    arguments: Sequence[str],
    record_types: Sequence[RecordType],
    frames: Path,
    load: Load,
    missed: int,
) -> Recovery:
    """Serves `missed` frames at once and the rest at RATE, to `python ARGUMENTS` on an empty database.

    The clock starts when the worker connects. Up to date is who has durably written what the relay had LAG ago.
    """
    folder = frames.parent
    async with fresh_database(server, record_types) as url:
        with relay(folder, "--frames", str(frames), "--held", str(missed), "--rate", str(RATE)) as source:
            settings = {
                "DATABASE_URL": url,
                "RELAY_URL": await relay_url(source),
                "CURSOR": "oldest",
                "VERIFY": "off",
                "BACKFILL": "off",
                "HTTP_BIND": "127.0.0.1:0",
            }
            eye = await asyncpg.connect(url)
            with child("recovering", arguments, folder, settings) as worker:
                await worker.said(r"(Connected) to ")
                began, worked_off = time.monotonic(), 0.0
                while True:
                    await asyncio.sleep(POLL)
                    worker.check()
                    passed = time.monotonic() - began
                    sent = missed + max(0, int((passed - LAG) * RATE))
                    if not worked_off and await here(eye, [_mark(load, missed)]):
                        worked_off = passed
                    if worked_off and await here(eye, [_mark(load, sent)]):
                        break
                    if sent > load.commits or passed > START_TIMEOUT + load.commits / SLOWEST:
                        raise ChildFailed(f"not up to date after {passed:.0f} s; there are {load.commits:,} frames")
                rss = worker.highest_rss()
            await eye.close()
    return Recovery(missed, sent - missed, worked_off, passed, rss)


def _mark(load: Load, number: int) -> tuple[str, str]:
    """The (did, rev) of the last commit that was marked among the first `number`."""
    return load.marks[number - number % load.mark_every]
