"""One hour of the live network's pace, every commit proven: do the worker's memory, descriptors or connections grow with time?

python -m benchmarks.hour [--seconds N] [--rate N]; exit 1 if one of them did, or if the pace was not
kept: the simulator alone takes one core for it. Dead rows of the tables are shown as well.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.bench import SERVER_SETTINGS
from benchmarks.machine import describe
from benchmarks.processes import child, child_folder, hosts_settings, relay, relay_url
from benchmarks.throughput import WORKER, fresh_database
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.embedded.server import PostgresServer

RATE = 2_000  # events a second: the most that the public relay has been seen to keep up
ACCOUNTS = 20_000
HISTORY = 50  # records of each from before
TENTHS = 10
KEPT = 0.95  # of the pace, from the second tenth on: in the first one accounts are met, and their keys asked for
INTERVAL = 10.0  # seconds between two samples; less in a run that is too short for one in each tenth
MB = 1_000_000
FINISHED = "unified_worker_events_finished_total"
STATE = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()) AS connections,
  (SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables) AS dead_rows
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the worker held at a moment: seconds since the first sample, events finished, bytes of memory, open descriptors,
    connections to the database; and the dead rows there."""

    at: float
    events: int
    rss: int
    descriptors: int
    connections: int
    dead_rows: int


@dataclass(frozen=True, slots=True)
class Tenth:
    """A tenth of the run: events a second, and medians of what its samples say."""

    rate: float
    rss: float
    descriptors: float
    connections: float
    dead_rows: float


async def watch(server: PostgresServer, folder: Path, seconds: float, rate: int) -> list[Sample]:
    """Has the worker follow a simulated relay, and looks at it until the time is over."""
    made = ("--now", "--rate", str(rate), "--accounts", str(ACCOUNTS), "--history", str(HISTORY))
    async with fresh_database(server) as url, aiohttp.ClientSession() as session:
        eye = await asyncpg.connect(url)
        try:
            with relay(folder, *made) as source:
                given = {
                    "DATABASE_URL": url,
                    "RELAY_URL": await relay_url(source),
                    "CURSOR": "oldest",
                    "VERIFY": "full",
                    "HTTP_BIND": "127.0.0.1:0",
                    **await hosts_settings(source),
                    "PLC_RATE": "1000",
                }
                with child("worker", WORKER, folder, given) as worker:
                    page = await worker.said(r"Live page: (http://\S+)")
                    process, found, began = psutil.Process(worker.process.pid), list[Sample](), time.monotonic()
                    interval = min(INTERVAL, seconds / TENTHS / 2)
                    while (passed := time.monotonic() - began) < seconds or len(found) <= 2 * TENTHS:
                        worker.check()
                        source.check()
                        finished, state = await _finished(session, page), await eye.fetchrow(STATE)
                        assert state is not None
                        found.append(
                            Sample(passed, finished, worker.rss(), process.num_fds(), state["connections"], state["dead_rows"])
                        )
                        await asyncio.sleep(max(0.0, began + len(found) * interval - time.monotonic()))
                    return found
        finally:
            await eye.close()


async def _finished(session: aiohttp.ClientSession, page: str) -> int:
    async with session.get(page + "metrics") as answer:
        text = await answer.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return int(next(sample.value for sample in samples if sample.name == FINISHED))


def tenths(samples: Sequence[Sample]) -> list[Tenth]:
    """The run in ten parts of as many samples each; what is left over counts in the last one."""
    size = (len(samples) - 1) // TENTHS
    found: list[Tenth] = []
    for number in range(TENTHS):
        first = number * size
        part = samples[first : len(samples) if number == TENTHS - 1 else first + size + 1]
        found.append(
            Tenth(
                (part[-1].events - part[0].events) / (part[-1].at - part[0].at),
                statistics.median(one.rss for one in part),
                statistics.median(one.descriptors for one in part),
                statistics.median(one.connections for one in part),
                statistics.median(one.dead_rows for one in part),
            )
        )
    return found


def grown(parts: Sequence[Tenth]) -> list[str]:
    """What grew from the second tenth, when all caches are in use, to the last: by a tenth and by more than chance does."""
    second, last = parts[1], parts[-1]
    compared = (
        ("memory", second.rss, last.rss, 10 * MB),
        ("descriptors", second.descriptors, last.descriptors, 5),
        ("connections", second.connections, last.connections, 2),
    )
    return [
        f"{name} grew from {before:,.0f} to {after:,.0f}"
        for name, before, after, least in compared
        if after > 1.1 * before and after - before > least
    ]


def slow(parts: Sequence[Tenth], rate: int) -> list[str]:
    """Where fewer events came than were to come."""
    kept = statistics.fmean(one.rate for one in parts[1:])
    return (
        []
        if kept >= KEPT * rate
        else [f"{kept:,.0f} events a second after the first tenth, of {rate:,}: is the machine quiet?"]
    )


def table(parts: Sequence[Tenth]) -> list[str]:
    """A line for each tenth."""
    return [
        f"{'tenth':>5}{'events/s':>10}{'memory':>10}{'descriptors':>13}{'connections':>13}{'dead rows':>12}",
        *(
            f"{number:>5}{one.rate:>10,.0f}{one.rss / MB:>7.0f} MB{one.descriptors:>13.0f}{one.connections:>13.0f}"
            f"{one.dead_rows:>12,.0f}"
            for number, one in enumerate(parts, 1)
        ),
    ]


def summary(samples: Sequence[Sample], parts: Sequence[Tenth]) -> str:
    """The run in a line."""
    first, last = samples[0], samples[-1]
    rate = (last.events - first.events) / (last.at - first.at)
    return (
        f"{last.events:,} events, {rate:,.0f} a second; memory {parts[1].rss / MB:.0f} MB in the second tenth and "
        f"{parts[-1].rss / MB:.0f} MB in the last, {parts[-1].descriptors:.0f} descriptors, {parts[-1].connections:.0f} "
        f"connections, {parts[-1].dead_rows:,.0f} dead rows"
    )


async def hour(seconds: float, rate: int) -> bool:
    """Measures on a server of its own, and prints; returns whether nothing grew and the pace was kept."""
    with child_folder() as folder:
        async with EmbeddedPostgres(folder / "postgres", settings=SERVER_SETTINGS) as server:
            print(*await describe(server, folder), "", sep="\n", flush=True)
            samples = await watch(server, folder, seconds, rate)
    parts = tenths(samples)
    faults = grown(parts)
    late = slow(parts, rate)
    said = [*(["IT GROWS", *faults] if faults else []), *(["TOO SLOW", *late] if late else [])]
    print(*table(parts), "", *said, summary(samples, parts), sep="\n")
    return not said


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="benchmarks.hour", description="The worker at a steady pace: does it grow?")
    parser.add_argument("--seconds", type=float, default=3_600.0, help="(%(default)s)")
    parser.add_argument("--rate", type=int, default=RATE, help="events a second (%(default)s)")
    arguments = parser.parse_args()
    sys.exit(not asyncio.run(hour(arguments.seconds, arguments.rate)))


if __name__ == "__main__":
    main()
