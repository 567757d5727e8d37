"""The command `unified_worker.py rebuild-derived`: recompute the derived rows, with or without a running worker."""

import logging
import math
from argparse import Namespace

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.signals import Words, until_signal
from unified_indexer.config.database_url import redacted
from unified_indexer.config.settings import Config
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.database.schema.ready import START_PATIENCE, make_ready
from unified_indexer.database.schema.session import in_words
from unified_indexer.records import RECORD_TYPES
from unified_indexer.version import VERSION

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
    """One rebuild on its own connection. It takes no relay's lock, so a worker may run."""

    def __init__(self, config: Config) -> None:
        self._pool = DatabasePool(config.database_url, size=1, name="rebuild-derived", durable=True, exclusive=False)
        self._rebuild = Rebuild(self._pool, tell_steps=True)

    async def initialize(self) -> None:
        """Connect, and prepare the schema as the worker does."""
        await make_ready(self._pool, RECORD_TYPES, START_PATIENCE)

    async def run(self) -> None:
        """Work until everything is rebuilt, or until `stop`. Raises as `session`, and Stop if another process is rebuilding."""
        again = True
        with in_words():
            while again:
                try:
                    await self._rebuild.run()
                    again = False
                except LockLost:
                    log.warning("Lost the database connection: the rebuild resumes where it was")
                    await make_ready(self._pool, RECORD_TYPES, math.inf)
        self._pool.terminate()

    def stop(self) -> None:
        """End the run after the current chunk."""
        self._rebuild.stop()

    def abandon(self) -> None:
        """Close the database connection at once; the current chunk is rolled back."""
        self._pool.terminate()


async def run(config: Config, options: Namespace) -> int:
    """Run the command until everything is rebuilt or a signal comes; return 0."""
    log.info("unified-worker %s rebuilds derived rows of %s", VERSION, redacted(config.database_url))
    await until_signal(RebuildDerived(config), WORDS)
    log.info("Stopped")
    return 0


COMMAND = Command(
    name="rebuild-derived", summary="recompute the derived rows from the records", description=DESCRIPTION, run=run
)
