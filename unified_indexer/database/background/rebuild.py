"""Rebuild derived rows from the record tables, chunk by chunk, with or without a running worker.

How far it has come stands in `unified_worker.rebuild`, written with each chunk, so what was interrupted goes on from there. Two
processes that rebuilt at once would do no harm, only double work: a lock of the session keeps it to one.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy, sqlstate
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.functions.rebuild_steps import ONE_REBUILD, Step, steps
from unified_indexer.errors import Stop
from unified_indexer.log.handler import warn_limited
from unified_indexer.records import RECORD_TYPES

log = logging.getLogger(__name__)

FIRST_ROWS, MOST_ROWS = 500, 20_000  # rows a chunk
CHUNK_MS = 100.0  # what a chunk should take: commits wait for it
PAUSE = 1.0  # seconds after a passing failure
REPORT_INTERVAL = 10.0  # seconds between two lines of progress
# Rows a chunk where each chunk costs a look through a whole table.
ROWS_WITHOUT_INDEX = 1_000_000

TAKE_LOCK = f"SELECT pg_try_advisory_lock({ONE_REBUILD})"
RELEASE_LOCK = f"SELECT pg_advisory_unlock({ONE_REBUILD})"
STATE = "SELECT step, done FROM unified_worker.rebuild ORDER BY number"
BEGIN = "SELECT unified_worker.begin_rebuild()"
CHUNK = "SELECT * FROM unified_worker.rebuild_{step}($1, $2, $3)"
TOTALS = "SELECT sum(rows) AS rows, sum(changed) AS changed, sum(skipped) AS skipped FROM unified_worker.rebuild"
INDEXED = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
  WHERE i.indrelid = to_regclass((SELECT min(record_schema) FROM unified_worker.schema_version) || '.' || $1)
    AND a.attname = $2 AND i.indisvalid AND i.indpred IS NULL)
"""

NO_INDEX = "There is no index on %s (%s): commits wait while the whole table is read (CREATE INDEX CONCURRENTLY ON %s (%s))"
BUSY = "another process is rebuilding the derived rows of this database: wait for it, or stop it"


class Rebuild:
    """One rebuild on the pool's connections. `most_rows`: the largest chunk, as CHUNK_MS allows. `tell_steps`: log a line
    per step."""

    def __init__(self, pool: DatabasePool, *, most_rows: int = MOST_ROWS, tell_steps: bool = False) -> None:
        self._pool = pool
        self._rows = self._most_rows = most_rows
        self._tell_steps = tell_steps
        self._steps = steps(RECORD_TYPES)
        self._stopping = False
        self._reported_at = time.monotonic()

    async def finish(self) -> None:
        """Finish a rebuild that an upgrade asked for, or that was interrupted; otherwise do nothing. The worker uses this."""
        while True:
            try:
                if await self._is_under_way() and await self._take_lock():
                    await self._go_on()
                return
            except DATABASE_ERRORS as error:
                warn_limited(log, "rebuild", "Could not rebuild derived rows (%s); trying again", error)
            await asyncio.sleep(PAUSE)

    async def run(self) -> bool:
        """Resume an unfinished rebuild, or begin a new one. False if `stop` came before the end. The command uses this."""
        if not await self._take_lock():
            raise Stop(BUSY)
        if not await self._is_under_way():
            await self._begin()
        return await self._go_on()

    def stop(self) -> None:
        """End the run after the current chunk."""
        self._stopping = True

    async def _take_lock(self) -> bool:
        async with self._pool.lock_connection() as connection:
            return await connection.fetchval(TAKE_LOCK)

    async def _is_under_way(self) -> bool:
        async with self._pool.connection() as connection:
            return any(not row["done"] for row in await connection.fetch(STATE))

    async def _begin(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(BEGIN)

    async def _go_on(self) -> bool:
        """Takes all steps that are not done."""
        async with self._pool.connection() as connection:
            done = {row["step"]: row["done"] for row in await connection.fetch(STATE)}
        if done.keys() != {step.name for step in self._steps}:  # another version's
            await self._begin()
            done = {}
        for number, step in enumerate(self._steps, 1):
            if not done.get(step.name) and not await self._take(step, f"step {number} of {len(self._steps)} ({step.name})"):
                return False
        async with self._pool.lock_connection() as connection:
            rows, changed, skipped = await connection.fetchrow(TOTALS) or (0, 0, 0)
            await connection.execute(RELEASE_LOCK)
        log.info("Derived rows are rebuilt: %s rows checked, %s written or deleted", f"{rows:,}", f"{changed:,}")
        if skipped:
            log.warning("The database refused the derived rows of %s rows: these are unchanged", f"{skipped:,}")
        return True

    async def _take(self, step: Step, name: str) -> bool:
        """Goes through a step's table, from where it has come to. False: `stop` came before its end."""
        indexed = step.needs is None or await self._has_index(*step.needs)
        self._rows = min(FIRST_ROWS, self._most_rows)  # what suited the step before may be too much for this one
        began, rows, done = time.monotonic(), 0, False
        while not done:
            chunk = await self._chunk(step, indexed)
            if chunk is None:
                log.info("Rebuilding derived rows: stopped in %s; the next rebuild resumes there", name)
                return False
            rows += chunk["p_read"]
            done = chunk["p_done"]
            now = time.monotonic()
            if now - self._reported_at >= REPORT_INTERVAL or (done and self._tell_steps):
                self._reported_at = now
                pace = rows / max(now - began, 0.001)
                log.info("Rebuilding derived rows: %s, %s rows, %s rows/s", name, f"{rows:,}", f"{pace:,.0f}")
            if chunk["p_waited"]:  # commits did: they get as much time as the chunk took
                await asyncio.sleep(chunk["p_ms"] / 1000)
        return True

    async def _has_index(self, table: str, column: str) -> bool:
        async with self._pool.connection() as connection:
            found = await connection.fetchval(INDEXED, table, column)
        if not found:
            log.warning(NO_INDEX, table, column, table, column)
        return found

    async def _chunk(self, step: Step, indexed: bool) -> Mapping[str, Any] | None:
        """One chunk, repeated while its failure may pass; None after `stop`. A chunk that the database refuses is halved until
        one row is left, which is skipped."""
        rows, skip = self._rows if indexed else ROWS_WITHOUT_INDEX, False
        while not self._stopping:
            try:
                async with self._pool.connection() as connection:
                    chunk = await connection.fetchrow(CHUNK.format(step=step.name), rows, skip, indexed)
            except DATABASE_ERRORS as error:
                match remedy(error):
                    case Remedy.SCHEMA:
                        raise Stop(
                            f"cannot rebuild derived rows ({sqlstate(error)}: {error}): start the worker first"
                        ) from None
                    case Remedy.DATA:
                        warn_limited(log, "rebuild refused", "The database refuses the derived rows of a row (%s)", error)
                        rows, skip = max(rows // 2, 1), rows == 1
                    case Remedy.RETRY:
                        warn_limited(log, "rebuild", "Cannot rebuild derived rows now (%s); trying again", error)
                        rows = max(rows // 2, 1)  # it may have taken longer than the server allows
                        await asyncio.sleep(PAUSE)
            else:
                if indexed and chunk is not None and chunk["p_read"] == self._rows:
                    pace = min(max(CHUNK_MS / max(chunk["p_ms"], 1.0), 0.5), 2.0)
                    self._rows = min(max(int(rows * pace), 1), self._most_rows)
                return chunk
        return None
