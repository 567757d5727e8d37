"""The command `unified_worker.py rebuild-derived`: recomputes what follows from records, beside a running worker or not."""

import logging
import math
from argparse import Namespace

from indexer.command_line.command import Command
from indexer.command_line.signals import Words, until_signal
from indexer.config.database_url import redacted
from indexer.config.settings import Config
from indexer.database.background.rebuild import Rebuild
from indexer.database.connection.pool import DatabasePool, LockLost
from indexer.database.schema.ready import START_PATIENCE, make_ready
from indexer.records import RECORD_TYPES
from indexer.version import VERSION

log = logging.getLogger(__name__)

DESCRIPTION = """\
Recompute the derived rows from the record tables, and correct differences: counts, feed items, quotes, viewer states, thread
contexts, notifications, and the restrictions of gates. Use it for rows that an older application left wrong, or never wrote.
It works while a worker runs, and without one. After a stop, the next run resumes; only one can run at a time."""

WORDS = Words(
    "stopping after the current rows",
    "The database did not finish the current rows within %.0f s: they are unchanged, nothing is lost",
)


class RebuildDerived:
    """One rebuild, on a connection of its own; it takes no relay's lock, so a worker may run."""

    def __init__(self, config: Config) -> None:
        self._pool = DatabasePool(config.database_url, size=1, name="rebuild-derived", durable=True, exclusive=False)
        self._rebuild = Rebuild(self._pool, tell_steps=True)

    async def initialize(self) -> None:
        """Connects, and prepares the schema as the worker does."""
        await make_ready(self._pool, RECORD_TYPES, START_PATIENCE)

    async def run(self) -> None:
        """Works until all is rebuilt, or until `stop`. Stop (the error) where another process is at it."""
        again = True
        while again:
            try:
                await self._rebuild.run()
                again = False
            except LockLost:
                log.warning("Lost the database connection: the rebuild resumes where it was")
                await make_ready(self._pool, RECORD_TYPES, math.inf)
        self._pool.terminate()

    def stop(self) -> None:
        """Ends the run after the chunk that is being worked on."""
        self._rebuild.stop()

    def abandon(self) -> None:
        """Cuts the database's connection; what the chunk did is taken back."""
        self._pool.terminate()


async def run(config: Config, options: Namespace) -> int:
    """The command, until all is rebuilt or a signal comes; 0."""
    log.info("unified-worker %s rebuilds derived rows of %s", VERSION, redacted(config.database_url))
    await until_signal(RebuildDerived(config), WORDS)
    log.info("Stopped")
    return 0


COMMAND = Command(
    name="rebuild-derived", summary="recompute the derived rows from the records", description=DESCRIPTION, run=run
)
