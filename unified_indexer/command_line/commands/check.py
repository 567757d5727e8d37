"""The command `unified_worker.py check`: compare the database with a recount, of a sample or of everything."""

import json
import random
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence

from unified_indexer.command_line import program_name
from unified_indexer.command_line.command import Command
from unified_indexer.command_line.network_check import NetworkCheck
from unified_indexer.command_line.signals import Words, until_signal
from unified_indexer.command_line.stdout import say
from unified_indexer.config.settings import Config
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.recount.bookkeeping import books
from unified_indexer.database.recount.compare import Example, Found, KeySample, compare, has_application, is_rebuilding
from unified_indexer.database.recount.notifications import notifications
from unified_indexer.database.recount.rows import derived
from unified_indexer.database.schema.session import SessionLost, session
from unified_indexer.formatting import printable

DESCRIPTION = """\
Compare counts, references and bookkeeping with a recount from the record tables: of a random sample, or of everything.
It changes nothing, and may run while a worker runs: it reads each kind of rows in one snapshot.
With --network it asks the accounts' own servers instead, of random repos, whether the worker has their newest commit.
It does not check what no record holds: the application's own values (bookmarks, flags, what was read), the CIDs of likes,
reposts and follows, and the verdict of a thread gate about a reply at the time when that came.
A missing notification is reported, but counts as a difference with --strict only; one to a deleted account never counts.
Exit code: 0 if everything is equal, 1 if something differs or could not be checked, 2 if a setting is unusable."""

# Why notifications may be missing: if an application made the tables, and if the worker made them.
DELETED = "are missing; the application may have deleted them"
ABSENT = "are missing; rebuild-derived brings them back, except those from before their account was wiped"
SAMPLE = 1_000  # keys of each kind
SEEDS = 2**31
MOST_A_MINUTE = 600  # repos: as fast as two servers in flight, and a directory's patience, allow
MOST_MINUTES = 1_440
WORDS = Words("stopping", "The database did not close the connection within %.0f s")


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose what is checked."""
    much = parser.add_mutually_exclusive_group()
    much.add_argument(
        "--sample", metavar="N", type=_size, default=SAMPLE, help=f"check N random keys of each kind ({SAMPLE:,})"
    )
    much.add_argument("--full", action="store_true", help="check everything: half a minute for a million rows")
    much.add_argument(
        "--network", metavar="N", type=_rate, help=f"ask the servers of N random repos a minute, 1 to {MOST_A_MINUTE}"
    )
    parser.add_argument("--minutes", metavar="M", type=_minutes, default=1, help="how long --network asks (1)")
    parser.add_argument("--seed", type=_seed, help="seed of the sample, to check the same keys again")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="count missing notifications as differences; use it if the application deletes none",
    )


def _size(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise ArgumentTypeError("write a whole number from 1 to 1,000,000, or use --full to check everything")
    return int(text)


def _rate(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MOST_A_MINUTE:
        raise ArgumentTypeError(f"write a whole number from 1 to {MOST_A_MINUTE}")
    return int(text)


def _minutes(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MOST_MINUTES:
        raise ArgumentTypeError(f"write a whole number from 1 to {MOST_MINUTES}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= SEEDS:
        raise ArgumentTypeError(f"write a whole number from 0 to {SEEDS - 1}")
    return int(text)


class Check:
    """One check, on its own connection."""

    def __init__(self, config: Config, sample: KeySample | None, *, strict: bool) -> None:
        self._url = config.database_url
        self._sample = sample
        self._strict = strict
        self._pool: DatabasePool | None = None
        self._stopping = False
        self.sound = False

    async def initialize(self) -> None:
        """Do nothing: `run` connects."""

    def stop(self) -> None:
        """Stop the check."""
        self._stopping = True
        self.abandon()

    def abandon(self) -> None:
        """Close the database connection at once; the check changes nothing."""
        if self._pool is not None:
            self._pool.terminate()

    async def run(self) -> None:
        """Check each kind in turn, and print what was found."""
        try:
            await self._run()
        except SessionLost:
            if not self._stopping:
                raise
            say("Stopped before the end.")

    async def _run(self) -> None:
        async with session(self._url, "check") as (self._pool, connection, schema):
            kinds = [
                *derived(schema),
                notifications(schema, strict=self._strict),
                *books(schema),
            ]
            if await is_rebuilding(connection):
                say("Derived rows are not checked: a rebuild is running, or was interrupted (rebuild-derived completes it).")
                kinds = [kind for kind in kinds if not kind.derived]
            absent = DELETED if await has_application(connection) else ABSENT
            say(_head(self._sample), _line("kind", "checked", "differences", "seconds"))
            found: list[Found] = []
            for kind in kinds:
                found.append(await compare(connection, kind, self._sample))
                say(*_report(found[-1], absent))
        self.sound = all(one.looked is not None and not one.differences for one in found)
        say(*_verdict(found))


def _head(sample: KeySample | None) -> str:
    if sample is None:
        return "Everything:"
    return f"A sample of {sample.size:,} keys of each kind (--seed {sample.seed}):"


def _line(kind: str, looked: str, differences: str, seconds: str) -> str:
    return f"{kind:<32}{looked:>12}{differences:>13}{seconds:>9}"


def _report(found: Found, absent: str) -> list[str]:
    """A line of a kind, and its differences below it; what to say of rows that need not be there."""
    if found.looked is None:
        return [_line(found.kind.name, "too long", "?", f"{found.seconds:.1f}")]
    lines = [_line(found.kind.name, f"{found.looked:,}", f"{found.differences:,}", f"{found.seconds:.1f}")]
    if found.absent:
        lines.append(f"  {found.absent:,} {absent} (--strict counts them)")
    for example in found.examples:
        lines.append(f"  {printable(example.key)}")
        lines += [f"    {name:<11}{printable(said)}" for name, said in zip(("has", "should be"), _apart(example), strict=True)]
    if found.differences > len(found.examples):
        lines.append(f"  and {found.differences - len(found.examples):,} more")
    return lines


def _apart(example: Example) -> list[str]:
    """What is there, and what should be: of two rows only where they differ."""
    if example.has is None or example.should is None:
        return [said or "no row" for said in (example.has, example.should)]
    has, should = (json.loads(said) for said in (example.has, example.should))
    return [json.dumps({name: row[name] for name in row if has[name] != should[name]}) for row in (has, should)]


def _verdict(found: Sequence[Found]) -> list[str]:
    seconds, looked = sum(one.seconds for one in found), sum(one.looked or 0 for one in found)
    differing = [one for one in found if one.differences]
    total = sum(one.differences for one in differing)
    lines = [f"{f'Differences: {total:,},' if total else 'No differences'} in {looked:,} rows, {seconds:.1f} s."]
    if late := [one.kind.name for one in found if one.looked is None]:
        lines.append(f"Not checked, because that took over a minute (an index may be missing; try --full): {', '.join(late)}.")
    remedies = {one.kind.remedy or program_name.line("rebuild-derived"): None for one in differing}
    return lines + [f"Remedy: {remedy}" for remedy in remedies]


async def run(config: Config, options: Namespace) -> int:
    """Run the check; return the exit code."""
    if options.network is not None:
        network = NetworkCheck(config, options.network, options.minutes)
        await until_signal(network, WORDS)
        return 0 if network.sound else 1
    seed = random.randrange(SEEDS) if options.seed is None else options.seed
    check = Check(config, None if options.full else KeySample(options.sample, seed), strict=options.strict)
    await until_signal(check, WORDS)
    return 0 if check.sound else 1


COMMAND = Command(
    name="check",
    summary="compare counts and references with a recount",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
    needs=("LOG_LEVEL", "PLC_URL", "PLC_RATE", "IDENTITY_TTL", "ALLOW_PRIVATE_HOSTS", "DNS_SERVERS"),
)
