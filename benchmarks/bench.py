"""`make bench`: how many commits a second, where the time goes, how long an event takes; exit 1 if rows are wrong.

python -m benchmarks.bench [--quick | --long | --shares | --partitions] [--commits N] [--rows N] [--runs N]
                           [--seconds N] [--missed N] [--proven N] [--server NAME=VALUE]… [--worker NAME=VALUE]…

--shares ends with 1 as well if a commit of another share takes more than it may.
"""

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from benchmarks import backfilled, backfilled_report, latency, outage, partitions, report, shares, verified, watched
from benchmarks.bare import BARE_TYPES
from benchmarks.by_type import costs
from benchmarks.ceiling import copy_rows, save_rows
from benchmarks.machine import describe
from benchmarks.preload import preload
from benchmarks.processes import child_folder
from benchmarks.stream import Load, dids, make_stream
from benchmarks.throughput import BARE_WORKER, CLASSIC, WORKER, Run, fresh_database, run_into
from relay_simulator.mix import Mix
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType

LIVE_RATE = 2_000  # events a second: the most that the public relay has been seen to keep up
FIVE_WORKER, FIVE_CLASSIC = "five types, no derived rows: worker", "five types, no derived rows: classic"
COPIED = "five types, no derived rows: COPY"
FROM_EMPTY = "full indexing from empty tables"
# As an operator sets a server that has 24 GB for these tables; the embedded one's own are for a small machine.
SERVER_SETTINGS = {"shared_buffers": "4GB", "max_wal_size": "8GB"}
LIVE = 60 * outage.RATE * 4  # commits that come while an outage is recovered from: four minutes of them
WATCHED_PAIRS = 3
LEAST_BY_TYPE, MOST_BY_TYPE = 10_000, 50_000  # commits that it takes to tell something by what they do
SHARED = 40_000  # commits of the stream that is shared, and of that into partitions
PARTS, PARTED_PAIRS = 16, 3  # of each of the tables; runs with and without them
OLD = "bench_old"  # the database that holds the rows from before


@dataclass(frozen=True, slots=True)
class Design:
    """What is run, on which database, over which frames, and the rows that must then be there. `copied`: the name under which
    its rows are then copied into the same tables, to compare."""

    arguments: Sequence[str]
    record_types: Sequence[RecordType]
    frames: Path
    load: Load
    wanted: Mapping[str, int]
    template: str | None = None
    copied: str | None = None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.bench", description="Measures throughput and latency.")
    parser.add_argument("--commits", type=int, default=200_000, help="commits in a run (%(default)s)")
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the preloaded database (%(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="runs of each design, in turn; medians are shown (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the latency run (%(default)s)")
    parser.add_argument("--missed", type=int, default=0, help="commits of an outage to recover from; 0: none (%(default)s)")
    parser.add_argument(
        "--proven", type=int, default=50_000, help="signed commits in a run of each VERIFY; 0: none (%(default)s)"
    )
    parser.add_argument("--long", action="store_true", help="a million commits, nine million rows, an hour's outage")
    parser.add_argument("--shares", action="store_true", help="only what it costs to share a stream, of 40,000 commits")
    parser.add_argument("--partitions", action="store_true", help="only what 16 partitions cost, of 40,000 commits")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: does it work, not how fast")
    parser.add_argument("--server", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="PostgreSQL's own")
    parser.add_argument("--worker", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="the worker's")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.commits, arguments.rows, arguments.seconds, arguments.proven = 20_000, 500_000, 5.0, 5_000
    if arguments.long:
        arguments.missed = outage.RATE * outage.OUTAGE
        arguments.commits, arguments.rows = arguments.missed + LIVE, 9_000_000
    return arguments


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return name, value


async def bench(
    commits: int,
    rows: int,
    runs: int,
    seconds: float,
    missed: int,
    proven: int,
    ours: Mapping[str, str],
    settings: Mapping[str, str],
) -> bool:
    """Measures and prints; returns whether every run left the rows that it should. `ours`: more settings of PostgreSQL;
    `settings`: of the worker in the runs that are compared."""
    with child_folder() as folder:
        frames, five_frames = folder / "frames.bin", folder / "five.bin"
        print(f"Making {commits:,} commits beforehand, of all types and of five …", flush=True)
        load, five = make_streams(commits, {frames: None, five_frames: Mix.five_types()})
        async with EmbeddedPostgres(folder / "postgres", settings=SERVER_SETTINGS | dict(ours)) as server:
            _say("", *await describe(server, folder), report.stream("All types", load, frames.stat().st_size))
            _say(report.stream("Five types", five, five_frames.stat().st_size))
            bare = five.bare_rows()
            designs = {
                FIVE_WORKER: Design(BARE_WORKER, BARE_TYPES, five_frames, five, bare, copied=COPIED),
                FIVE_CLASSIC: Design(CLASSIC, BARE_TYPES, five_frames, five, bare),
                FROM_EMPTY: Design(WORKER, RECORD_TYPES, frames, load, load.rows),
            }
            async with old_database(server, commits, rows) as before:
                held = sum(before.values())
                wanted = on_top(before, load)
                designs[f"full indexing on {held / 1e6:.1f} million rows"] = Design(
                    WORKER, RECORD_TYPES, frames, load, wanted, OLD
                )
                done = await throughput(server, designs, runs, settings)
            _say("", *report.comparison(done), "")
            _say(*report.ratios(done[FIVE_WORKER], done[FIVE_CLASSIC], done[COPIED]), "")
            for name in (FIVE_WORKER, FROM_EMPTY) if missed else ():
                ran = designs[name]
                found = await outage.recover(server, ran.arguments, ran.record_types, ran.frames, ran.load, missed)
                _say(report.recovery(name, found), "")
            _say(report.watching(await watched.compare(server, frames, load, WATCHED_PAIRS)), "")
            _say(*report.by_type(await costs(server, frames, min(max(commits // 4, LEAST_BY_TYPE), MOST_BY_TYPE))), "")
            _say(report.latency(await latency.measure(server, frames, rate=LIVE_RATE, seconds=seconds)))
            _say("", *backfilled_report.lines(await backfilled.compare(server, max(commits // 4, backfilled.LARGE))))
            if proven:
                _say("", f"Making {proven:,} signed commits …")
                found = await verified.compare(server, folder, proven, runs, seconds)
                done |= found.runs
                _say(*verified.lines(found))
    wrong = [f"{name}: {fault}" for name, results in done.items() for result in results for fault in result.wrong]
    _say(*(["WRONG ROWS", *wrong] if wrong else ["Every run left exactly the rows that its stream comes to, in every table."]))
    return not wrong


async def bench_shares(ours: Mapping[str, str]) -> bool:
    """Measures and prints what it costs to share a stream; returns as `say_shares`."""
    with child_folder() as folder:
        async with EmbeddedPostgres(folder / "postgres", settings=SERVER_SETTINGS | dict(ours)) as server:
            _say(*await describe(server, folder), "")
            found = await shares.compare(server, folder, SHARED)
    return say_shares(found)


async def bench_partitions(ours: Mapping[str, str]) -> bool:
    """Measures and prints what partitions cost; returns whether the rows are right."""
    return await partitions.compare(SHARED, PARTS, PARTED_PAIRS, ours)


def say_shares(found: shares.Found) -> bool:
    """Prints it; returns whether the rows are right, and a foreign commit takes no more than it may."""
    wrong = found.wrong
    _say(*shares.lines(found), "")
    _say(*(["WRONG ROWS", *wrong] if wrong else ["All of them left the rows that the stream comes to."]))
    return found.held and not wrong


def make_streams(commits: int, mixes: Mapping[Path, Mix | None]) -> list[Load]:
    """Writes a stream of each mix, side by side in processes of their own, whose memory is given back."""
    with ProcessPoolExecutor(len(mixes), get_context("spawn")) as processes:
        return list(processes.map(make_stream, mixes, repeat(commits), mixes.values()))


@asynccontextmanager
async def old_database(server: PostgresServer, commits: int, rows: int) -> AsyncGenerator[dict[str, int]]:
    """A database with about so many rows, to be copied, gone afterwards; gives its rows by table."""
    async with fresh_database(server, RECORD_TYPES, name=OLD) as url:
        began = time.monotonic()
        before = await preload(url, dids(commits), rows)
        _say(*report.preloaded(before, time.monotonic() - began), "")
        yield before


def on_top(before: Mapping[str, int], load: Load) -> dict[str, int]:
    """The rows by table once the stream is in the database as well: it knows all accounts, and none of the records."""
    accounts = {"users", "unified_worker.repos"}
    return {table: before[table] + (0 if table in accounts else more) for table, more in load.rows.items()}


async def throughput(
    server: PostgresServer, designs: Mapping[str, Design], runs: int, settings: Mapping[str, str]
) -> dict[str, list[Run]]:
    """Runs the designs in turn, so that a slow minute of the machine hits all; the results by name, also of the copies."""
    done: defaultdict[str, list[Run]] = defaultdict(list)
    for number in range(1, runs + 1):
        for name, design in designs.items():
            saved: dict[str, Path] = {}
            async with fresh_database(server, design.record_types, template=design.template) as url:
                run = run_into(url, server, design.arguments, design.frames, design.load, design.wanted, settings=settings)
                told = {name: await run}
                if design.copied:
                    saved = await save_rows(url, list(design.wanted), design.frames.parent)
            if design.copied:
                commits = design.load.commits
                told[design.copied] = await copy_rows(server, design.record_types, saved, commits, design.wanted)
            for ran, result in told.items():
                _say(f"Run {number} of {runs}, {ran}: {result.rate:,.0f} commits/s, {result.seconds:.1f} s")
                done[ran].append(result)
    return done


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


def main() -> None:
    """Runs the command."""
    arguments = _arguments()
    try:
        if arguments.shares:
            sys.exit(not asyncio.run(bench_shares(dict(arguments.server))))
        if arguments.partitions:
            sys.exit(not asyncio.run(bench_partitions(dict(arguments.server))))
        amounts = (arguments.commits, arguments.rows, arguments.runs, arguments.seconds, arguments.missed, arguments.proven)
        sys.exit(not asyncio.run(bench(*amounts, dict(arguments.server), dict(arguments.worker))))
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
