"""The command `unified_worker.py backfill`: ask for whole repos, and see or end what was asked for. The worker does it."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from unified_indexer.backfill.lists import origin
from unified_indexer.command_line.command import Command
from unified_indexer.command_line.signals import Words, until_signal
from unified_indexer.command_line.stdout import say
from unified_indexer.command_line.texts import backfill as texts
from unified_indexer.config.chosen import read_dids
from unified_indexer.config.settings import Config
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import asked, listings
from unified_indexer.database.repair.listings import Kind
from unified_indexer.database.schema.session import SessionLost, session
from unified_indexer.errors import OperatorError, Stop
from unified_indexer.protocol.syntax import is_did, is_nsid

DESCRIPTION = """\
Have the worker fetch whole repos, with all that their accounts wrote before it saw them, while it follows the stream.
Name the accounts (DIDs), or let lists name them: --file, --follows-of, --collection, --hosts, --network. What is complete
already is not fetched again. The worker reads the lists and fetches; this command only asks for it, with or without a worker.
Without a word, or with `status`, it tells how far everything is. `pause` and `resume` are for all fetching, or for one job;
`cancel` ends a job: what was fetched stays.
Exit code: 0; 1 if there is no such job; 2 if the command or a setting is unusable."""

NAME = "backfill"
ACTIONS = ("status", "pause", "resume", "cancel")
CHUNK = 1_000  # DIDs
FULL_PAUSE = 2.0  # seconds between two looks whether there is room for more
SHOWN = 20  # jobs
WORDS = Words(
    "stopping after the current thousand", "The database did not finish within %.0f s: the current thousand is unchanged"
)


def add_options(parser: ArgumentParser) -> None:
    """Add the accounts, the lists, and the actions."""
    parser.add_argument("words", metavar="DID", nargs="*", help=f"accounts; or one of {', '.join(ACTIONS)}, and a job's number")
    parser.add_argument("--file", metavar="FILE", type=Path, help="the accounts of a text file with a DID per line")
    parser.add_argument("--follows-of", metavar="DID", help="an account, and those whom it follows")
    parser.add_argument("--collection", metavar="NSID", help="those that have records of a collection, as the relay lists them")
    parser.add_argument("--via", metavar="HOST", help="ask this host for the --collection, and not the relay")
    parser.add_argument("--hosts", metavar="HOST", nargs="+", help="the accounts of these servers (PDS)")
    parser.add_argument("--network", action="store_true", help="all accounts of all servers that the relay reads")
    parser.add_argument("--json", action="store_true", help="with status: print a line of JSON")


async def run(config: Config, options: Namespace) -> int:
    """Ask, or do the chosen action; return 0."""
    words: list[str] = options.words
    chosen = [option for option in ("file", "follows_of", "collection", "hosts", "network") if getattr(options, option)]
    if options.via and chosen != ["collection"]:
        raise OperatorError([f"{NAME}: --via says who is asked for a --collection: add that, or leave --via out"])
    if (words[:1] and words[0] in ACTIONS) or not (words or chosen):
        if chosen:
            raise OperatorError([f"{NAME} {words[0]} takes no --{chosen[0].replace('_', '-')}: leave one of the two out"])
        return await _act(config, words or ["status"], as_json=options.json)
    if len(chosen) + bool(words) > 1:
        raise OperatorError([f"{NAME} takes one kind of accounts at a time: ask for each in a command of its own"])
    match chosen:
        case ["follows_of"]:
            await _ask(config, options, Kind.FOLLOWS, _did(options.follows_of))
        case ["collection"]:
            await _ask(config, options, Kind.COLLECTION, _collection(config, options.collection, options.via))
        case ["hosts"]:
            await _ask(config, options, Kind.HOSTS, " ".join(_host(config, name) for name in options.hosts))
        case ["network"]:
            await _ask(config, options, Kind.NETWORK, "")
        case ["file"]:
            try:
                dids = sorted(read_dids(options.file))
            except ValueError as error:
                raise OperatorError([f"--file {error}"]) from None
            await until_signal(Naming(config, str(options.file), dids), WORDS)
        case _:
            await until_signal(Naming(config, " ".join(words)[:200], sorted({*map(_did, words)})), WORDS)
    return 0


def _did(text: str) -> str:
    if not is_did(text):
        raise OperatorError([f"{NAME}: {text[:60]!r} is no DID; write did:plc:… (or one of {', '.join(ACTIONS)}, alone)"])
    return text


def _collection(config: Config, collection: str, via: str | None) -> str:
    if not is_nsid(collection):
        raise OperatorError([f"--collection is {collection[:60]!r}; write the NSID of one, such as app.bsky.feed.generator"])
    return collection if via is None else f"{collection} {_host(config, via)}"


def _host(config: Config, name: str) -> str:
    url = origin(name, allow_private=config.allow_private_hosts)
    if url is None:
        raise OperatorError([f"{name[:60]!r} is no server that may be asked; write its name, such as pds.example.com"])
    return url


async def _ask(config: Config, options: Namespace, kind: Kind, argument: str) -> None:
    async with session(config.database_url, NAME) as (_, connection, _):
        job = await listings.ask(connection, kind, argument)
    where = "" if options.embedded is None else f" --embedded {options.embedded}"  # or the next command asks for DATABASE_URL
    say(f"Backfill {job} is asked for: a worker reads its lists and fetches. `{NAME} status{where}` tells how far it is.")


async def _act(config: Config, words: Sequence[str], *, as_json: bool) -> int:
    action, *numbers = words
    job = int(numbers[0]) if len(numbers) == 1 and numbers[0].isdecimal() and len(numbers[0]) < 19 else None
    if (numbers and job is None) or (action == "cancel" and job is None) or (action == "status" and numbers):
        raise OperatorError([f"{NAME}: write status, pause [JOB], resume [JOB], or cancel JOB, with the number of a job"])
    async with session(config.database_url, NAME) as (_, connection, _):
        if action == "status":
            found = await asked.overview(connection, SHOWN)
            say(*([texts.as_json(found)] if as_json else texts.listed(found)))
            return 0
        if action == "cancel" and job is not None:
            left = await asked.cancel(connection, job)
            done = left is not None
            said = f"Backfill {job} is cancelled: {left or 0:,} repos are not fetched."
        else:
            done = await asked.pause(connection, job, action == "pause")
            what = "All fetching" if job is None else f"Backfill {job}"
            said = f"{what} is paused." if action == "pause" else f"{what} continues."
    if not done:
        raise Stop(f"there is no backfill {job} that could be {action}d: `{NAME} status` shows them")
    say(said)
    return 0


class Naming:
    """Asks for repos one by one, as long as there is room for them."""

    def __init__(self, config: Config, argument: str, dids: Sequence[str]) -> None:
        self._config = config
        self._argument = argument
        self._dids = dids
        self._pool: DatabasePool | None = None
        self._stopping = False

    async def initialize(self) -> None:
        """Do nothing: `run` connects."""

    def stop(self) -> None:
        """Stop after the current thousand."""
        self._stopping = True

    def abandon(self) -> None:
        """Close the database connection at once."""
        if self._pool is not None:
            self._pool.terminate()

    async def run(self) -> None:
        """Ask for all of them, or until `stop`."""
        try:
            async with session(self._config.database_url, NAME) as (self._pool, connection, _):
                job = await asked.add_dids(connection, self._argument)
                named = wanted = 0
                while named < len(self._dids) and not self._stopping:
                    if await asked.room(connection) < CHUNK:
                        sys.stderr.write(f"{named:,} of {len(self._dids):,} accounts; waiting until some of them are fetched\n")
                        await asyncio.sleep(FULL_PAUSE)
                        continue
                    chunk = self._dids[named : named + CHUNK]
                    wanted += await asked.want_dids(connection, job, chunk)
                    named += len(chunk)
        except SessionLost:
            if not self._stopping:
                raise
            return
        rest = (
            "" if named == len(self._dids) else f" Stopped after {named:,} of {len(self._dids):,}: the same command continues."
        )
        say(f"Backfill {job}: {wanted:,} of {named:,} accounts are to be fetched, the others are complete or asked for.{rest}")


COMMAND = Command(
    name=NAME,
    summary="fetch whole repos: of accounts, of whom they follow, of servers, of the network",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
)
