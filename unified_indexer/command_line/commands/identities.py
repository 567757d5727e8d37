"""The command `unified_worker.py identities import`: fill the table of identities from a log of the did:plc directory."""

import sys
import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.signals import Words, until_signal
from unified_indexer.command_line.stdout import say
from unified_indexer.config.addresses import http_origin
from unified_indexer.config.settings import Config
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.schema.session import SessionLost, session
from unified_indexer.errors import OperatorError, Stop
from unified_indexer.identity.client import Client
from unified_indexer.identity.errors import FetchError
from unified_indexer.identity.following import Log
from unified_indexer.identity.importing import Import, Progress

DESCRIPTION = """\
Fill the table of identities with the signing keys of all did:plc accounts, so that few have to be looked up one by one.
SOURCE is a directory (https://plc.directory), which is read page by page, or a file of its lines (JSON lines, .gz too).
A worker may run. After a stop, the same command resumes where it was. A directory that was read to its end is followed by the
worker from then on, if PLC_URL names it."""

WORDS = Words("stopping after the current page", "The database did not write the current page within %.0f s: it is unchanged")
TELL_INTERVAL = 1.0  # seconds between two lines of progress


def add_options(parser: ArgumentParser) -> None:
    """Add what is imported."""
    parser.add_argument("action", choices=["import"], help="the only action")
    parser.add_argument("source", metavar="SOURCE", help="https://plc.directory, or a file")


class Importing:
    """One import, on its own connection."""

    def __init__(self, config: Config, source: str) -> None:
        self._config = config
        self._source = source
        self._pool: DatabasePool | None = None
        self._import: Import | None = None
        self._stopping = False
        self._told_at = 0.0
        self._began_at: float | None = None  # the time of the first operation

    async def initialize(self) -> None:
        """Do nothing: `run` connects."""

    def stop(self) -> None:
        """Stop after the current page."""
        self._stopping = True
        if self._import is not None:
            self._import.stop()

    def abandon(self) -> None:
        """Close the database connection at once; the current page is rolled back."""
        if self._pool is not None:
            self._pool.terminate()

    async def run(self) -> None:
        """Import until the end, or until `stop`."""
        try:
            async with session(self._config.database_url, "identities", prepares=True) as (self._pool, connection, _):
                self._import = Import(connection, self._tell)
                done = await self._from(self._import)
                sys.stderr.write("\n")
                refused = "".join(f", {count:,} lines refused ({why})" for why, count in self._import.refused.items())
                say(f"{'Complete' if done else 'Stopped: the same command resumes here'}{refused}.")
        except SessionLost:
            if not self._stopping:
                raise

    async def _from(self, importing: Import) -> bool:
        private = self._config.allow_private_hosts
        if "://" not in self._source:
            try:
                return await importing.from_file(Path(self._source), allow_private=private)
            except (OSError, EOFError) as error:
                raise OperatorError([f"{self._source} cannot be read: {error}"]) from None
        try:
            directory = http_origin(self._source)
        except ValueError:
            raise OperatorError([f"{self._source[:100]} is no directory; write https://host, or a file"]) from None
        async with Client(allow_private=private) as client:
            try:
                return await importing.from_directory(Log(client, directory, allow_private=private))
            except FetchError as error:
                raise Stop(f"{directory} does not answer ({error}): the same command resumes where it was") from None

    def _tell(self, progress: Progress) -> None:
        """A line on stderr, about once a second."""
        now = time.monotonic()
        if now - self._told_at < TELL_INTERVAL and progress.share != 1:
            return
        self._told_at = now
        sys.stderr.write(f"\r{line(progress, time.time(), self._first(progress)):<100}")
        sys.stderr.flush()

    def _first(self, progress: Progress) -> float:
        if self._began_at is None:
            self._began_at = float(progress.position.through)
        return self._began_at


def line(progress: Progress, now: float, first: float) -> str:
    """The progress in words: how many, how fast, how far, how much longer. `first`: up to when the log was known at first."""
    rate = progress.operations / max(progress.seconds, 0.001)
    reached = datetime.fromtimestamp(progress.position.through, UTC)
    share = progress.share
    if share is None:  # a log has no end that is known before; its time is a measure, since it grows with time
        share = (progress.position.through - first) / max(now - first, 1.0)
    left = progress.seconds * (1 - share) / share if share > 0 else 0.0
    return f"{progress.operations:,} operations, {rate:,.0f}/s, up to {reached:%Y-%m-%d}, about {left / 60:,.0f} min left"


async def run(config: Config, options: Namespace) -> int:
    """Run the import; return 0."""
    await until_signal(Importing(config, options.source), WORDS)
    return 0


COMMAND = Command(
    name="identities",
    summary="import the signing keys of all accounts",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
)
