"""What it costs to bring whole repos into the tables: `python -m benchmarks.backfilled [--records N]`.

Repos as people have them (likes, follows, posts, reposts, blocks; on posts that everybody likes) are compared and written as
after a fetch: as sets, and in another database record by record, as deletions and updates are. In a third one the same records
come as commits of the stream, as they were written: the only way that there was before repos were fetched. All is in one
process, as in the worker, whose stream writes 500 commits/s in one of the runs.

CPU is that of this process and of PostgreSQL's. What decodes the stream's commits is left out. Each bar is said to be met or
not; exit 1 if one is not.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from datetime import timedelta
from random import Random
from statistics import quantiles
from typing import Any

import libipld
import psutil

from benchmarks.backfilled_report import BESIDE, COMMITS, LIVE_RATE, ROWS, SAME, SETS, TOGETHER, Figure, Found, say
from benchmarks.processes import child_folder, server_cpu
from benchmarks.throughput import fresh_database
from relay_simulator.encoding import cid_of, tid
from testing.commits import (
    FOLLOW,
    LIKE,
    POST,
    REPOST,
    START,
    Stream,
    did,
    follow,
    like,
    post,
    put,
    quoting,
    ref,
    replying,
    uri,
)
from testing.database_side import Worker, opened
from testing.garbage import BLOCK
from testing.whole import Whole
from unified_indexer import collector
from unified_indexer.backfill.calm import Calm
from unified_indexer.backfill.repairs import CALLS
from unified_indexer.backfill.together import Together
from unified_indexer.database.connection.few import Few
from unified_indexer.database.repair import arrays, queue, steps
from unified_indexer.database.repair.bringing import Tables
from unified_indexer.database.repair.steps import Word
from unified_indexer.database.repair.writing import Job, Writing
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.metrics import LATENCY_BOUNDS, Histogram
from unified_indexer.pipeline.lanes import MAX_BATCH
from unified_indexer.protocol.events import Commit
from unified_indexer.selection import EVERYTHING

AT_ONCE = 64  # repos, as the worker fetches
LARGE, SMALL = 2_000, 10  # records of a repo
EVERYBODY = 2_000  # accounts whose posts are liked
REV, NEXT_REV = (tid(int((START + timedelta(days=days)).timestamp() * 1_000_000), 0) for days in (1, 2))

POOL = 20  # connections: DB_POOL_SIZE's default
LANES = 4  # that write commits, as in a worker
STORED = f"""
SELECT {" + ".join(f"(SELECT count(*) FROM {table})" for table in ("likes", "reposts", "follows", "posts", "blocks"))}
  + (SELECT count(*) FROM unified_worker.duplicate_records) AS records,
  (SELECT count(*) FROM likes) AS likes, (SELECT sum(like_count) FROM post_aggregations) AS counted
"""


def repo(name: str, records: int, seed: int) -> Whole:
    """The repo of this account."""
    rng = Random(seed)
    made: dict[str, Any] = {}
    micros = int(START.timestamp() * 1_000_000)
    for number in range(records):
        subject = uri(f"n{int(EVERYBODY * rng.random() ** 2)}", tid(micros + rng.randrange(200) * 1_000_000, 0))
        key, draw = tid(micros + number * 1_000_000, 0), rng.random()
        if draw < 0.57:
            made[f"{LIKE}/{key}"] = like(subject, number / 60)
        elif draw < 0.75:
            made[f"{FOLLOW}/{key}"] = follow(did(f"f{rng.randrange(10**9)}"), number / 60)
        elif draw < 0.84:
            made[f"{REPOST}/{key}"] = {**like(subject, number / 60), "$type": REPOST}
        elif draw < 0.87:
            made[f"{BLOCK}/{key}"] = {**follow(did(f"f{rng.randrange(10**9)}")), "$type": BLOCK}
        else:
            more = {"reply": replying(ref(subject))} if rng.random() < 0.45 else {}
            more |= {"embed": quoting(ref(subject))} if rng.random() < 0.06 else {}
            made[f"{POST}/{key}"] = post("This is what I wanted to say about it, and nothing more.", number / 60, **more)
    return Whole(REV, made)


async def written(worker: Worker, postmaster: int, repos: dict[str, Whole], *, live: bool = False) -> Figure:
    """Brings these repos in, from the claim to the end."""
    latency = Histogram(LATENCY_BOUNDS)
    few = Few(worker.pool, CALLS, Calm(latency))
    together = Together(Writing(Tables(few), EVERYTHING, notify=timedelta(days=7)), few.size)
    await queue.want(worker.connection, list(map(did, repos)), "network", queue.NETWORK)
    room = asyncio.Semaphore(AT_ONCE)
    claims = {one.did: one.claim for one in await queue.claim(worker.connection, "bench", len(repos))}

    async def one(name: str, whole: Whole) -> None:
        async with room:
            async with few.connection() as connection:
                marked = await steps.mark(connection, claims[did(name)])
            assert marked.word is Word.OK
            ended = await together.write(Job(claims[did(name)], whole, proven=True))
            assert ended.word in (Word.OK, Word.SAME), ended

    def cpu() -> tuple[float, float]:
        return time.process_time(), server_cpu(postmaster)

    memory = psutil.Process().memory_info().rss
    before, began = cpu(), time.monotonic()
    async with stream(worker, latency, live=live) as waits:
        await asyncio.gather(*(one(name, whole) for name, whole in repos.items()))
        seconds = time.monotonic() - began
    ours, theirs = (after - start for after, start in zip(cpu(), before, strict=True))
    records = sum(whole.records for whole in repos.values())
    p99 = quantiles(waits, n=100)[98] * 1_000 if len(waits) > 100 else None
    rss = psutil.Process().memory_info().rss
    return Figure(len(repos), records, seconds, 1e6 * ours / records, 1e6 * theirs / records, rss, p99, rss - memory)


async def committed(worker: Worker, postmaster: int, repos: dict[str, Whole]) -> Figure:
    """The same records, each by a commit of its own; the commits are decoded beforehand."""
    commits, room = Stream(), asyncio.Semaphore(LANES)
    lanes = [
        [commits.commit(name, put(one.path, libipld.decode_dag_cbor(one.block))) for part in whole.slices() for one in part]
        for name, whole in repos.items()
    ]

    async def one(events: Sequence[Commit]) -> None:
        async with room:
            for number in range(0, len(events), MAX_BATCH):
                await worker.write(*events[number : number + MAX_BATCH])

    memory = psutil.Process().memory_info().rss
    ours, theirs, began = time.process_time(), server_cpu(postmaster), time.monotonic()
    await asyncio.gather(*map(one, lanes))
    seconds = time.monotonic() - began
    ours, theirs = time.process_time() - ours, server_cpu(postmaster) - theirs
    records = sum(map(len, lanes))
    rss = psutil.Process().memory_info().rss
    return Figure(len(repos), records, seconds, 1e6 * ours / records, 1e6 * theirs / records, rss, None, rss - memory)


@asynccontextmanager
async def stream(worker: Worker, latency: Histogram, *, live: bool) -> AsyncGenerator[list[float]]:
    """Live commits of likes meanwhile; how long each took, in seconds."""
    waits: list[float] = []
    if not live:
        yield waits
        return
    commits, rng = Stream(10**6), Random(5)

    async def keep_coming() -> None:
        """All that is due in one call, as a lane does."""
        began, number = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) * LIVE_RATE)
            some = range(number, min(due, number + 250))
            likes = [like(uri(f"n{rng.randrange(EVERYBODY)}", tid(int(START.timestamp() * 1_000_000), 0))) for _ in some]
            events = [commits.commit(f"l{each}", put(f"{LIKE}/1", liked)) for each, liked in zip(some, likes, strict=True)]
            if events:
                await worker.write(*events)
                took = [time.monotonic() - began - each / LIVE_RATE for each in some]
                waits.extend(took)
                for seconds in took:
                    latency.observe(seconds)
            number = some.stop
            await asyncio.sleep(max(0.0, began + (number + 1) / LIVE_RATE - time.monotonic()))

    task = asyncio.create_task(keep_coming())
    try:
        yield waits
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def compare(server: PostgresServer, records: int) -> Found:
    """Every way, one after the other, each on a database of its own; the same repos once more on the one of the sets."""
    postmaster = server.pid
    assert postmaster is not None
    large = {f"w{number}": repo(f"w{number}", LARGE, number) for number in range(max(1, records // LARGE))}
    small = {f"s{number}": repo(f"s{number}", SMALL, 10**6 + number) for number in range(max(1, records // 5 // SMALL))}
    runs: dict[str, Figure] = {}
    in_sets = arrays.IN_SETS
    for name in (ROWS, SETS):
        arrays.IN_SETS = in_sets if name == SETS else frozenset()
        async with fresh_database(server) as url, opened(url, size=POOL) as worker:
            runs[name] = await written(worker, postmaster, large)
            if name == SETS:
                runs[SAME] = await written(worker, postmaster, again(large))
                runs[TOGETHER] = await written(worker, postmaster, small)
            await sound(worker, [large, small] if name == SETS else [large])
    async with fresh_database(server) as url, opened(url, size=POOL) as worker:
        async with stream(worker, Histogram(LATENCY_BOUNDS), live=True) as waits:
            await asyncio.sleep(5)
        runs[BESIDE] = await written(worker, postmaster, large, live=True)
    async with fresh_database(server) as url, opened(url, size=POOL) as worker:
        runs[COMMITS] = await committed(worker, postmaster, large)
        await sound(worker, [large])
    return Found(quantiles(waits, n=100)[98] * 1_000, runs)


def again(repos: Mapping[str, Whole]) -> dict[str, Whole]:
    """The same records at a later rev."""
    later = {name: copy(whole) for name, whole in repos.items()}
    for whole in later.values():
        whole.rev, whole.data = NEXT_REV, cid_of(whole.data)
    return later


async def sound(worker: Worker, repos: Sequence[Mapping[str, Whole]]) -> None:
    """Every record has its row, and every like is counted."""
    row = await worker.connection.fetchrow(STORED)
    assert row is not None
    assert row["records"] == sum(whole.records for some in repos for whole in some.values())
    assert row["likes"] == row["counted"]


async def bench(records: int, *, as_json: bool) -> bool:
    """Measures and prints; returns whether each bar is met."""
    collector.settle()
    with child_folder() as folder:
        async with EmbeddedPostgres(folder / "postgres", settings={"shared_buffers": "1GB", "max_wal_size": "4GB"}) as server:
            found = await compare(server, records)
    return say(found, as_json=as_json)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backfilled")
    parser.add_argument("--records", type=int, default=50_000, help="records of a run (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args()
    sys.exit(not asyncio.run(bench(options.records, as_json=options.json)))


if __name__ == "__main__":
    main()
