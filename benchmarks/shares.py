"""What it costs to share a stream: workers with SHARE, a stream's server between relay and worker, and PUBLISH.

CPU µs alone: on a machine where PostgreSQL has no core of its own, several workers are no faster than one.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import psutil

from benchmarks.processes import POLL, START_TIMEOUT, Child, ChildFailed, child, relay, relay_url, server_cpu
from benchmarks.stream import Load, make_stream
from benchmarks.throughput import SLOWEST, WORKER, count_rows, fresh_database
from relay_simulator.encoding import seq_of
from relay_simulator.frames_file import read_frames, write_frames
from testing.streams import Valkey
from unified_indexer.config.stream_url import PARTITIONS, StreamAddress
from unified_indexer.config.values import MOST_SHARES
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.metrics import Metrics
from unified_indexer.protocol.events import Foreign
from unified_indexer.protocol.frames import decode
from unified_indexer.shares import Share
from unified_indexer.stream.partitions import Partition, Partitions, Place
from unified_indexer.stream.reading import Reader

CURSORS = "SELECT count(*), min(cursor::bigint), max(cursor::bigint) FROM firehose_cursor WHERE cursor IS NOT NULL"
COUNTS = (1, 2, 4)
PROJECTED = (4, 8)
OF_MANY = Share(1, MOST_SHARES)  # it runs over commits that are all another's
OTHERS = f"1 of {MOST_SHARES} shares, none of it its own"
BETWEEN = "through a stream's server"
TOLD = "with PUBLISH"
CORES = 16  # of the machine on paper
MARK = 11.0  # µs that a foreign commit may take


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU µs a commit of the stream: of each worker, of PostgreSQL, of the ingester, of the stream's server. `seconds`: by the
    clock. `wrong`: tables that lack rows, or have too many. `read`: CPU µs a frame, only to read it there."""

    workers: tuple[float, ...]
    postgres: float
    ingester: float
    engine: float
    seconds: float
    wrong: tuple[str, ...]
    read: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What `compare` measured, by the names of the runs."""

    costs: Mapping[str, Cost]
    load: Load

    @property
    def foreign(self) -> float:
        """CPU µs that a worker takes for a commit of another share."""
        return self.costs[OTHERS].workers[0]

    @property
    def held(self) -> bool:
        """Whether a foreign commit takes no more than it may."""
        return self.foreign <= MARK

    @property
    def wrong(self) -> list[str]:
        """What is wrong about the rows."""
        return [f"{name}: {fault}" for name, cost in self.costs.items() for fault in cost.wrong]


@asynccontextmanager
async def engine() -> AsyncGenerator[Valkey]:
    """A server in memory, as the tests start it, with room for the stream."""
    folder = Path(tempfile.mkdtemp(prefix="unified-bench-stream-"))
    server = Valkey(folder, maxmemory="4gb")
    try:
        await server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


async def run(
    server: PostgresServer,
    frames: Path,
    load: Load,
    shares: Sequence[str],
    *,
    through: Valkey | None = None,
    publish: Valkey | None = None,
) -> Cost:
    """Have workers with these SHAREs read the frames until their cursors are at the end. `through`: by an ingester and this
    server. `publish`: with PUBLISH."""
    last = max(seq_of(frame) or 0 for frame in read_frames(frames))
    folder = frames.parent
    async with fresh_database(server) as url:
        with relay(folder, "--frames", str(frames)) as source, ExitStack() as children:
            given = {
                "DATABASE_URL": url,
                "RELAY_URL": await relay_url(source),
                "CURSOR": "oldest",
                "VERIFY": "off",
                "BACKFILL": "off",
                "HTTP_BIND": "",
            }
            if publish is not None:
                given["PUBLISH"] = f"redis://127.0.0.1:{publish.port}"
            ingester = None
            if through is not None:
                given["RELAY_URL"] = through.url(given["RELAY_URL"])
            workers = [
                children.enter_context(child(f"share-{share.replace('/', '-')}", WORKER, folder, given | {"SHARE": share}))
                for share in shares
            ]
            for worker in workers:
                await worker.said("(Connected to)")
            if through is not None:  # last, because all that it does from here on is to be measured
                ingester = children.enter_context(child("ingester", [*WORKER, "ingest"], folder, given))
                await ingester.said("(Connected to)")
            cursors = PARTITIONS if through is not None else len(shares)
            cost = await _watch(server, url, load, workers, ingester, through or publish, last, cursors)
            if through is None:
                return cost
            address = through.address(await relay_url(source))  # the last minute of the stream is still there
    return replace(cost, read=await read(address))


async def _watch(
    server: PostgresServer,
    url: str,
    load: Load,
    workers: Sequence[Child],
    ingester: Child | None,
    between: Valkey | None,
    last: int,
    cursors: int,
) -> Cost:
    postmaster = server.pid
    assert postmaster is not None

    def cpu() -> list[float]:
        times = psutil.Process(between.pid).cpu_times() if between is not None else None
        return [
            server_cpu(postmaster),
            0.0 if ingester is None else ingester.cpu(),
            0.0 if times is None else times.user + times.system,
            *(worker.cpu() for worker in workers),
        ]

    before, began = cpu(), time.monotonic()
    deadline = began + START_TIMEOUT + load.commits / SLOWEST * 4
    eye = await asyncpg.connect(url)
    try:
        while True:
            row = await eye.fetchrow(CURSORS)
            assert row is not None
            if tuple(row)[:2] == (cursors, last) or (not load.rows and row[2] == last):  # shares that don't run stay behind
                break
            for one in (*workers, *([ingester] if ingester else [])):
                one.check()
            if time.monotonic() > deadline:
                raise ChildFailed(f"the cursors are at {tuple(row)}, not at {last}")
            await asyncio.sleep(10 * POLL)
        after, seconds = cpu(), time.monotonic() - began
        tables = [table for table in load.rows if table != "notifications"]  # some of these depend on the order of repos
        found = await count_rows(eye, tables)
        wrong = tuple(f"{table}: {found[table]:,} rows" for table in tables if found[table] != load.rows[table])
    finally:
        await eye.close()
    postgres, ingested, engined, *rest = (1e6 * (end - start) / load.commits for start, end in zip(before, after, strict=True))
    return Cost(tuple(rest), postgres, ingested, engined, seconds, wrong)


async def read(address: StreamAddress) -> float:
    """CPU µs a frame of this process, as it reads all that the stream's server holds as a worker does, and drops it."""
    host = address.relay.partition("://")[2]
    partitions = Partitions(Place(host))
    partitions.parts = {number: Partition(number, None) for number in range(1, PARTITIONS + 1)}
    reader = Reader(address, host, partitions, Metrics())
    frames, before, last = 0, time.process_time(), time.process_time()

    async def drain() -> None:
        nonlocal frames, last
        async for _ in reader.frames():
            frames, last = frames + 1, time.process_time()

    draining = asyncio.create_task(drain())
    known = -1
    while known < frames or not frames:  # for a second nothing came
        known = frames
        await asyncio.sleep(1)
        if draining.done():
            break
    reader.stop()
    await draining
    return 1e6 * (last - before) / frames


def others(frames: Path) -> tuple[Path, Load]:
    """Of the frames, those that are not OF_MANY's, in a file.

    Its own would come one by one, and one alone costs several times what one of a batch does.
    """
    chosen = [frame for frame in read_frames(frames) if type(decode(frame, takes=OF_MANY.takes)) is Foreign]
    path = frames.with_name("others.bin")
    return path, Load(commits=write_frames(path, chosen))


async def compare(server: PostgresServer, folder: Path, commits: int) -> Found:
    """Runs everything, one after the other."""
    frames = folder / "shares.bin"
    load = make_stream(frames, commits)
    found: dict[str, Cost] = {}
    for count in COUNTS:
        shares = [f"{number}/{count}" for number in range(1, count + 1)]
        name = f"{count} share{'s' if count > 1 else ''}"
        print(f"{name} …", flush=True)
        found[name] = await run(server, frames, load, shares)
    print(f"{OTHERS} …", flush=True)
    found[OTHERS] = await run(server, *others(frames), [f"{OF_MANY.number}/{OF_MANY.of}"])
    async with engine() as between:
        found[BETWEEN] = await run(server, frames, load, ["1/1"], through=between)
    async with engine() as told:
        found[TOLD] = await run(server, frames, load, ["1/1"], publish=told)
    return Found(found, load)


def carried(own: float, foreign: float, count: int) -> float:
    """Commits of the stream a second that so many shares carry, each with a core of its own: all of them see each commit."""
    return 1e6 / (own / count + foreign * (1 - 1 / count))


def lines(found: Found) -> list[str]:
    """The table, and what follows from it."""
    alone, between, told = found.costs["1 share"], found.costs[BETWEEN], found.costs[TOLD]
    own = alone.workers[0]
    return [
        f"Shares: {found.load.commits:,} commits, CPU µs a commit of the stream",
        f"{'':<36}{'each worker':>28}{'all of them':>14}{'PostgreSQL':>12}{'ingester':>10}{'server':>8}{'seconds':>9}",
        *(
            f"{name:<36}{', '.join(f'{one:.1f}' for one in cost.workers):>28}{sum(cost.workers):>14.1f}"
            f"{cost.postgres:>12.1f}{cost.ingester:>10.1f}{cost.engine:>8.1f}{cost.seconds:>9.1f}"
            for name, cost in found.costs.items()
        ),
        "",
        f"An own commit takes a worker {own:.1f} µs, a foreign one {found.foreign:.1f} µs (at most {MARK:g}: "
        f"{'held' if found.held else 'NOT HELD'}).",
        f"A stream's server takes the ingester {between.ingester:.1f} µs a frame, itself {between.engine:.1f} µs, and a worker "
        f"{between.workers[0] - own:+.1f} µs a frame against the relay itself.",
        f"Reading a frame from the stream's server, and nothing else, takes a worker {between.read:.1f} µs.",
        f"PUBLISH takes the worker {told.workers[0] - own:+.1f} µs, PostgreSQL {told.postgres - alone.postgres:+.1f} µs and "
        f"the server {told.engine:.1f} µs a commit.",
        f"On paper, not measured, with {CORES} cores, of which each worker fills one and PostgreSQL has the others: "
        + ", ".join(
            f"{count} shares {carried(own, found.foreign, count):,.0f} commits/s "
            f"(PostgreSQL's cores allow {1e6 * (CORES - count) / alone.postgres:,.0f})"
            for count in PROJECTED
        )
        + ".",
    ]
