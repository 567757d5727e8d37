"""One forged commit in a thousand, of every kind in turn, at full speed: does the database hold what the honest ones come to?

python -m benchmarks.forged [--commits N] [--one-in N]; exit 1 if a row is wrong.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from benchmarks.bench import SERVER_SETTINGS
from benchmarks.machine import describe
from benchmarks.processes import START_TIMEOUT, child, child_folder, relay, relay_url
from benchmarks.stream import MESSAGES
from benchmarks.throughput import SLOWEST, WORKER, fresh_database
from relay_simulator.forge.forger import Forger
from relay_simulator.forge.told import Forged
from relay_simulator.frames_file import write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from testing.databases import differences
from testing.forgeries import OUTCOMES, learn, leave_handles_open
from testing.model import Model
from testing.waiting import until
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.embedded.server import PostgresServer

SEED = 3
PER_ACCOUNT = 10  # commits, so that most of them follow on one that was seen
HISTORY = 50  # records of each account from before
KINDS = [kind for kind in OUTCOMES if kind != "old-key"]  # no key changes in this stream
CURSOR = "SELECT max(cursor::bigint) FROM firehose_cursor"
LETTERS = "SELECT reason, count(*) FROM unified_worker.dead_letters GROUP BY reason"


@dataclass(frozen=True, slots=True)
class Result:
    """Frames a second; what was forged, by kind; dead letters that are left, by reason; and where rows are wrong."""

    rate: float
    forged: Counter[str]
    letters: dict[str, int]
    wrong: list[str]


async def forged(server: PostgresServer, folder: Path, commits: int, one_in: int) -> Result:
    """Serves such a stream to the worker, which knows all keys, and compares all rows with the model's."""
    quiet = replace(Mix.realistic(), **dict.fromkeys(MESSAGES, 0.0))
    settings = Settings(seed=SEED, accounts=max(commits // PER_ACCOUNT, 200), history=HISTORY, mix=quiet)
    model, counts, last_seq = Model(verify="full"), Counter[str](), 0

    def frames() -> Iterator[bytes]:
        nonlocal last_seq
        for sent in Forger(Generator(settings), KINDS, one_in).stream(commits):
            if sent.truth is not None:
                model.apply(sent.truth)
            if isinstance(sent, Forged):
                counts[sent.kind] += 1
            last_seq = sent.seq if isinstance(sent, Forged) else sent.truth.seq
            yield sent.frame

    path = folder / "frames"
    count = write_frames(path, frames())
    async with fresh_database(server) as url, Services(Ledger(settings)) as services:
        eye = await asyncpg.connect(url)
        try:
            await learn(eye, settings)
            with relay(folder, "--frames", str(path)) as source:
                given = {"DATABASE_URL": url, "RELAY_URL": await relay_url(source), "CURSOR": "oldest", "HTTP_BIND": ""}
                with child(
                    "worker", WORKER, folder, given | services.settings | {"VERIFY": "full", "BACKFILL": "off"}
                ) as worker:
                    await worker.said(r"(Connected) to ")
                    began = time.monotonic()

                    async def through() -> bool:
                        worker.check()
                        return await eye.fetchval(CURSOR) == last_seq

                    await until(through, f"the cursor is at {last_seq}", START_TIMEOUT + count / SLOWEST)
                    rate = count / (time.monotonic() - began)
            leave_handles_open(model)
            letters = {row["reason"]: row["count"] for row in await eye.fetch(LETTERS)}
            return Result(rate, counts, letters, await differences(url, model))
        finally:
            await eye.close()


def report(result: Result) -> Sequence[str]:
    """What is printed."""
    return [
        f"{result.rate:,.0f} frames a second, {result.forged.total():,} of them forged, of {len(result.forged)} kinds",
        "dead letters left: " + (", ".join(f"{count} {reason}" for reason, count in sorted(result.letters.items())) or "none"),
        *(f"WRONG: {wrong}" for wrong in result.wrong),
        f"the rows are {'NOT ' if result.wrong else ''}those of the honest commits",
    ]


async def _main(commits: int, one_in: int) -> int:
    with child_folder() as folder:
        async with EmbeddedPostgres(folder / "postgres", settings=SERVER_SETTINGS) as server:
            print(*await describe(server, folder), sep="\n")
            result = await forged(server, folder, commits, one_in)
    print("\n".join(report(result)))
    return 1 if result.wrong else 0


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forged", description=__doc__)
    parser.add_argument("--commits", type=int, default=100_000, help="honest ones (%(default)s)")
    parser.add_argument("--one-in", type=int, default=1_000, help="honest ones from one forgery to the next (%(default)s)")
    options = parser.parse_args()
    return asyncio.run(_main(options.commits, options.one_in))


if __name__ == "__main__":
    sys.exit(main())
