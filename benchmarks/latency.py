"""The time from a frame to its durable commit, at a steady rate.

It begins when the frame is handed to the relay, which runs in this process; the handing over is paced by the clock, whatever
the worker does. It ends when, in the worker, the call that made the commit durable has returned. So the relay, the socket, the
decoding, the waiting in the lane, the transaction and the flush to disk are all in it.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from benchmarks.processes import POLL, START_TIMEOUT, Child, ChildFailed, child
from benchmarks.throughput import SLOWEST, fresh_database
from relay_simulator.encoding import seq_of
from relay_simulator.frames_file import read_frames
from relay_simulator.server import RelayServer
from unified_indexer.embedded.server import PostgresServer

CONNECT_TIMEOUT = 30.0  # seconds
CURSOR = "SELECT max(cursor::bigint) FROM firehose_cursor"
WARM_UP = 2.0  # seconds at the beginning that do not count: connections are opened, plans made


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds, and how many events they are of. `rate` is events a second; `times` are all of them, in order."""

    rate: int
    events: int
    p50: float
    p99: float
    longest: float
    times: tuple[float, ...] = field(repr=False)


async def measure(
    server: PostgresServer,
    frames: Path,
    *,
    rate: int,
    seconds: float,
    template: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> Latency:
    """Hands over the first frames of the file, `rate` a second, for so many seconds.

    The database is empty, or a copy of `template`; `settings`: more of the worker's.
    """
    folder = frames.parent
    notes = folder / "finished.txt"
    async with fresh_database(server, template=template) as url, RelayServer() as relay:
        given = {
            "DATABASE_URL": url,
            "RELAY_URL": relay.url,
            "CURSOR": "oldest",
            "VERIFY": "off",
            "BACKFILL": "off",
            "IDLE_TIMEOUT": "0",
            "HTTP_BIND": "127.0.0.1:0",
        }
        with child("stamped", ["-m", "benchmarks.stamped_worker", str(notes)], folder, given | dict(settings or {})) as worker:
            await _connected(relay, worker)
            handed_over = await _hand_over(relay, frames, rate, int(rate * (WARM_UP + seconds)))
            await _finished(url, max(handed_over, default=0), worker, START_TIMEOUT + len(handed_over) / SLOWEST)
            await asyncio.to_thread(worker.end)
    finished = {int(seq): float(at) for seq, at in map(str.split, notes.read_text().splitlines())}
    counted = itertools.islice(handed_over.items(), int(rate * WARM_UP), None)
    times = sorted(1000 * (finished[seq] - at) for seq, at in counted)
    if len(times) < 100:
        raise ValueError(f"{len(times)} events beyond the first {WARM_UP:.0f} s are too few to say anything: make more commits")
    cuts = statistics.quantiles(times, n=100)
    return Latency(rate, len(times), cuts[49], cuts[98], times[-1], tuple(times))


async def _connected(relay: RelayServer, worker: Child) -> None:
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while not relay.open:
        worker.check()
        if time.monotonic() > deadline:
            raise ChildFailed("the worker did not connect to the relay")
        await asyncio.sleep(POLL)


async def _finished(url: str, last_seq: int, worker: Child, seconds: float) -> None:
    """Waits until all is durable: a worker that does not keep up reads the last frames late."""
    deadline = time.monotonic() + seconds
    eye = await asyncpg.connect(url)
    try:
        while await eye.fetchval(CURSOR) != last_seq:
            worker.check()
            if time.monotonic() > deadline:
                raise ChildFailed(f"the worker has not written all {seconds:.0f} s after the last frame")
            await asyncio.sleep(POLL)
    finally:
        await eye.close()


async def _hand_over(relay: RelayServer, frames: Path, rate: int, count: int) -> dict[int, float]:
    """Gives the relay each frame at its time; returns when, by seq."""
    handed_over: dict[int, float] = {}
    began = time.monotonic()
    for place, frame in enumerate(itertools.islice(read_frames(frames), count)):
        if (early := began + place / rate - time.monotonic()) > 0:
            await asyncio.sleep(early)
        seq = seq_of(frame)
        assert seq is not None
        handed_over[seq] = time.monotonic()
        relay.append(frame)
    return handed_over
