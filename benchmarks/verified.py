"""What proving commits costs: VERIFY=off, signatures and full beside each other, over signed commits of accounts whose keys are
stored: `python -m benchmarks.verified [--commits N] [--runs N] [--seconds N] [--rate N]`; exit 1 if rows are wrong.

No directory is asked: this is the worker as it runs once it has met its accounts.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import latency, report
from benchmarks.bare import BARE_TYPES
from benchmarks.machine import describe
from benchmarks.processes import START_TIMEOUT, ChildFailed, child, child_folder, relay, relay_url
from benchmarks.stream import Load, make_stream
from benchmarks.throughput import BARE_WORKER, SLOWEST, WORKER, Run, fresh_database, run_into
from relay_simulator.mix import Mix
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.identity import store
from unified_indexer.protocol.keys import key_bytes, signing_key
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType

RATE = 2_000  # events a second in the latency runs: the most that the public relay has been seen to keep up
PDS = "https://pds.simulator.test"
KNOWN = "bench_known"  # the database that holds the accounts' keys
NOWHERE = {"PLC_URL": "http://127.0.0.1:1", "BACKFILL": "off"}  # nobody answers: nothing may have to be asked
OFF, SIGNATURES, FULL = "off", "signatures", "full"
POLL = 0.02  # seconds
SERVER_SETTINGS = {"shared_buffers": "4GB", "max_wal_size": "8GB"}  # as an operator sets a server of 24 GB


class Signed(NamedTuple):
    """A signed stream in a file."""

    frames: Path
    load: Load


class Replay(NamedTuple):
    """A stream that comes once more: commits a second, and the worker's CPU µs per commit."""

    rate: float
    python_us: float


class Found(NamedTuple):
    """All runs by name; the replays by VERIFY; how long an event takes by VERIFY."""

    runs: dict[str, list[Run]]
    replays: dict[str, list[Replay]]
    latency: dict[str, latency.Latency]


def streams(folder: Path, commits: int) -> tuple[Signed, Signed]:
    """Signed commits of all types, and of five."""
    every, five = folder / "signed.bin", folder / "signed_five.bin"
    return (
        Signed(every, make_stream(every, commits, signed=True)),
        Signed(five, make_stream(five, commits, Mix.five_types(), signed=True)),
    )


@asynccontextmanager
async def keys_known(server: PostgresServer, load: Load, record_types: Sequence[RecordType]) -> AsyncGenerator[str]:
    """A database that is empty but for the keys of the stream's accounts; gives its name, to be copied."""
    async with fresh_database(server, record_types, name=KNOWN) as url:
        now = int(time.time())
        rows = [
            store.Row(did, key_bytes(signing_key(did, document)), PDS, now, store.State.KNOWN)
            for did, document in load.documents.items()
        ]
        connection = await asyncpg.connect(url)
        await store.write(connection, rows)
        await connection.close()
        yield KNOWN


async def compare(server: PostgresServer, folder: Path, commits: int, runs: int, seconds: float, rate: int = RATE) -> Found:
    """Measures each so many times, in turn, so that a slow minute of the machine hits all."""
    every, five = streams(folder, commits)
    done, replays = defaultdict[str, list[Run]](list), defaultdict[str, list[Replay]](list)
    late: dict[str, latency.Latency] = {}
    async with keys_known(server, every.load, RECORD_TYPES) as known:
        for _ in range(runs):
            for mode in (OFF, SIGNATURES, FULL):
                async with fresh_database(server, template=known) as url:
                    settings = NOWHERE | {"VERIFY": mode}
                    run = await run_into(url, server, WORKER, every.frames, every.load, settings=settings)
                    done[f"full indexing, VERIFY={mode}"].append(run)
                    if mode != SIGNATURES:
                        replays[mode].append(await replay(url, every, settings))
        for mode in (OFF, FULL):
            settings = NOWHERE | {"VERIFY": mode}
            late[mode] = await latency.measure(
                server, every.frames, rate=rate, seconds=seconds, template=known, settings=settings
            )
    async with keys_known(server, five.load, BARE_TYPES) as known:
        for _ in range(runs):
            for mode in (OFF, FULL):
                async with fresh_database(server, BARE_TYPES, template=known) as url:
                    settings, wanted = NOWHERE | {"VERIFY": mode}, five.load.bare_rows()
                    run = await run_into(url, server, BARE_WORKER, five.frames, five.load, wanted, settings=settings)
                    done[f"five types, VERIFY={mode}"].append(run)
    return Found(dict(done), dict(replays), late)


async def replay(url: str, stream: Signed, settings: Mapping[str, str]) -> Replay:
    """Serves the stream once more, from a relay without a stored cursor, into the database that has it all."""
    folder, commits = stream.frames.parent, stream.load.commits
    with relay(folder, "--frames", str(stream.frames)) as source:
        given = {"DATABASE_URL": url, "RELAY_URL": await relay_url(source), "CURSOR": "oldest", "HTTP_BIND": "127.0.0.1:0"}
        with child("replayed", WORKER, folder, given | dict(settings)) as worker:
            page = await worker.said(r"Live page: (http://\S+)")
            async with aiohttp.ClientSession() as session:
                deadline = time.monotonic() + START_TIMEOUT + commits / SLOWEST
                began, before = time.monotonic(), worker.cpu()
                while (finished := await _finished(session, page)) < commits:
                    if finished == 0:
                        began, before = time.monotonic(), worker.cpu()
                    worker.check()
                    if time.monotonic() > deadline:
                        raise ChildFailed(f"{finished:,} of {commits:,} commits were read once more")
                    await asyncio.sleep(POLL)
                seconds, cpu = time.monotonic() - began, worker.cpu() - before
    return Replay(commits / seconds, 1e6 * cpu / commits)


async def _finished(session: aiohttp.ClientSession, page: str) -> int:
    async with session.get(page + "metrics") as answer:
        text = await answer.text()
    values = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    return int(values["unified_worker_events_finished_total"])


def lines(found: Found) -> list[str]:
    """What is printed: the table, then each against VERIFY=off, as medians of the runs' ratios."""
    told = [*report.comparison(found.runs), ""]
    for kind in ("full indexing", "five types"):
        off = found.runs[f"{kind}, VERIFY={OFF}"]
        for name, runs in found.runs.items():
            if name.startswith(kind) and runs is not off:
                told.append(f"{name}: {_ratio(off, runs):.2f} of the commits/s with VERIFY=off, {_memory(off, runs):+.0f} MB")
    off, full = found.replays[OFF], found.replays[FULL]
    told.append(
        f"Replay of what is stored: {statistics.median(one.rate for one in full):,.0f} commits/s with VERIFY=full, "
        f"{_ratio(off, full):.2f} of those with VERIFY=off; the worker's CPU "
        f"{statistics.median(one.python_us for one in full):.0f} µs per commit instead of "
        f"{statistics.median(one.python_us for one in off):.0f}"
    )
    told += [f"VERIFY={mode}: {report.latency(one)}" for mode, one in found.latency.items()]
    return told


def _ratio(off: Sequence[Any], other: Sequence[Any]) -> float:
    return statistics.median(after.rate / before.rate for before, after in zip(off, other, strict=True))


def _memory(off: Sequence[Run], other: Sequence[Run]) -> float:
    return (max(run.peak_rss for run in other) - max(run.peak_rss for run in off)) / report.MB


def wrong(found: Found) -> list[str]:
    """Where a run left other rows than its stream comes to."""
    return [f"{name}: {fault}" for name, runs in found.runs.items() for run in runs for fault in run.wrong]


async def bench(commits: int, runs: int, seconds: float, rate: int) -> bool:
    """Measures and prints; returns whether the rows were right."""
    with child_folder() as folder:
        async with EmbeddedPostgres(folder / "postgres", settings=SERVER_SETTINGS) as server:
            print(*await describe(server, folder), "", sep="\n", flush=True)
            found = await compare(server, folder, commits, runs, seconds, rate)
    faults = wrong(found)
    print(*lines(found), *(["WRONG ROWS", *faults] if faults else []), sep="\n")
    return not faults


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="benchmarks.verified", description="Measures what proving commits costs.")
    parser.add_argument("--commits", type=int, default=50_000, help="commits in a run (%(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="runs of each, in turn; medians are shown (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the latency runs (%(default)s)")
    parser.add_argument("--rate", type=int, default=RATE, help="events a second of the latency runs (%(default)s)")
    arguments = parser.parse_args()
    sys.exit(not asyncio.run(bench(arguments.commits, arguments.runs, arguments.seconds, arguments.rate)))


if __name__ == "__main__":
    main()
