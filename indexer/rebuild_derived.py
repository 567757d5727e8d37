"""The command `unified_worker.py rebuild-derived`: recomputes what follows from records, beside a running worker or not."""

import logging
import math

from indexer.config import Config
from indexer.database.pool import DatabasePool, LockLost
from indexer.database.ready import START_PATIENCE, make_ready
from indexer.database.rebuild import Rebuild
from indexer.records import RECORD_TYPES

log = logging.getLogger(__name__)


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
                log.warning("The database connection is gone: the rebuild goes on where it was")
                await make_ready(self._pool, RECORD_TYPES, math.inf)
        self._pool.terminate()

    def stop(self) -> None:
        """Ends the run after the chunk that is being worked on."""
        self._rebuild.stop()

    def abandon(self) -> None:
        """Cuts the database's connection; what the chunk did is taken back."""
        self._pool.terminate()
