"""The record of a worker's run: when it began, what it counted, and how it ended; `status` reads it."""

import asyncio
import json
import logging
import os
import socket
from datetime import UTC, datetime
from itertools import chain, repeat

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.version import VERSION

log = logging.getLogger(__name__)

SOON = 10.0  # seconds from the first note, which has counted nothing yet, to the second
INTERVAL = 60.0  # seconds between two later ones
END_PATIENCE = 2.0  # seconds: a worker that stops is not held up by a database that hangs
KEPT = 100  # runs a relay
MOST_TOLD = 500  # characters of a fault

# The whole row each time: a crash of the server may have taken the row of the beginning back.
NOTE = """
WITH old AS (
  DELETE FROM unified_worker.runs WHERE service = $1 AND started_at < (
    SELECT started_at FROM unified_worker.runs WHERE service = $1 AND started_at <> $2
    ORDER BY started_at DESC OFFSET $8 LIMIT 1)
)
INSERT INTO unified_worker.runs AS r (service, started_at, version, host, pid, updated_at, stopped_at, how, counts)
VALUES ($1, $2, $3, $4, $5, now(), CASE WHEN $6::text IS NOT NULL THEN now() END, $6, $7::jsonb)
ON CONFLICT (service, started_at) DO UPDATE SET updated_at = excluded.updated_at, stopped_at = excluded.stopped_at,
  how = excluded.how, counts = excluded.counts
"""


class Run:
    """The record of this process's run, written on the connection that holds the lock."""

    def __init__(self, pool: DatabasePool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._place = (pool.service, datetime.now(UTC), VERSION, socket.gethostname(), os.getpid())

    async def keep_noting(self) -> None:
        """Store the counts now, soon, and then every minute, until cancelled."""
        for pause in chain((SOON,), repeat(INTERVAL)):
            try:
                await self._note(None)
            except DATABASE_ERRORS as error:
                warn_limited(log, "run", "Could not store the counts of this run (%s)", error)
            await asyncio.sleep(pause)

    async def end(self, how: str) -> None:
        """Store how the run ended, if the database allows it."""
        try:
            async with asyncio.timeout(END_PATIENCE):
                await self._note(how[:MOST_TOLD])
        except (LockLost, *DATABASE_ERRORS) as error:
            log.info("Could not store how this run ended (%s)", str(error) or type(error).__name__)

    async def _note(self, how: str | None) -> None:
        async with self._pool.lock_connection() as connection:
            await connection.execute(NOTE, *self._place, how, json.dumps(self._metrics.counts()), KEPT - 2)
