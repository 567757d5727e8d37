"""Commits that had to wait in dead_letters, and are applied when they can be: by themselves, without an operator.

Some were refused by a foreign key and wait for the row that they name (a database of our own has no foreign keys; an existing
one may); some came while their account's rows were being wiped. Letters are looked through in turn, so many a second, and those
whose time has come are applied again: past the rev guard, but holding the repo's row, and only while the letter is open.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence

import asyncpg

from indexer.batch import build
from indexer.database.apply import apply_one
from indexer.database.failures import DATABASE_ERRORS, Remedy, remedy, sqlstate
from indexer.database.letters import PENDING
from indexer.database.pool import Connection, DatabasePool
from indexer.database.sql import MODE_RETRY
from indexer.logs import warn_limited
from indexer.protocol.events import Commit
from indexer.protocol.frames import decode
from indexer.selection import EVERYTHING, Selection

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
LETTERS_A_TURN = 5_000  # looked at; an index look-up each, some 15 ms of the server's time in all

OPEN = f"""
SELECT l.id, l.did, l.rev, l.awaited FROM unified_worker.dead_letters AS l
WHERE l.reason IN ({PENDING}) AND l.frame_sha256 IS NOT NULL AND l.id > $1 AND NOT EXISTS (
  SELECT FROM unified_worker.repos AS r WHERE r.did = l.did AND (r.wiping OR NOT r.active))
ORDER BY l.id LIMIT $2
"""
ARRIVED = "SELECT value FROM unnest($1::text[]) AS value WHERE EXISTS (SELECT FROM {table} WHERE {column} = value)"
FRAME = f"""
SELECT f.frame, array_agg(l.path) AS paths FROM unified_worker.dead_letters AS l
JOIN unified_worker.dead_frames AS f ON f.sha256 = l.frame_sha256
WHERE l.did = $1 AND l.rev = $2 AND l.reason IN ({PENDING}) GROUP BY f.frame
"""
STILL = f"""
UPDATE unified_worker.dead_letters SET attempts = attempts + 1, last_seen = now(), reason = $3, detail = left($4, 2000),
  awaited = CASE WHEN $3 = 'foreign_key' AND $6::text IS NOT NULL THEN unified_worker.awaited($5, $6, $7, $8) END
WHERE did = $1 AND rev = $2 AND reason IN ({PENDING})
"""


class Pending:
    """Goes through what waits, for as long as the worker runs."""

    def __init__(self, pool: DatabasePool, selection: Selection = EVERYTHING) -> None:
        self._pool = pool
        self._selection = selection
        self._after = 0  # the id up to which this round has looked

    async def keep_applying(self) -> None:
        """Looks once a second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                async with self._pool.connection() as connection:
                    await self.turn(connection)
            except DATABASE_ERRORS as error:
                warn_limited(log, "pending", "Pending commits could not be looked at (%s); trying again", error)

    async def turn(self, connection: Connection) -> int:
        """Looks at the next letters and applies the commits whose row has arrived; returns how many were applied."""
        letters = await connection.fetch(OPEN, self._after, LETTERS_A_TURN)
        self._after = letters[-1]["id"] if len(letters) == LETTERS_A_TURN else 0
        waiting: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for letter in letters:
            if letter["awaited"]:
                table, column, value = letter["awaited"]
                waiting[table, column].add(value)
        arrived: set[tuple[str, str, str]] = set()
        for (table, column), values in waiting.items():
            rows = await connection.fetch(ARRIVED.format(table=table, column=column), list(values))
            arrived.update((table, column, row["value"]) for row in rows)
        ready = {
            (letter["did"], letter["rev"]): None
            for letter in letters
            if not letter["awaited"] or tuple(letter["awaited"]) in arrived
        }
        return sum([await self._retry(connection, did, rev) for did, rev in ready])

    async def _retry(self, connection: Connection, did: str, rev: str) -> bool:
        """Applies one commit's open operations in one transaction; False where it still can't be."""
        row = await connection.fetchrow(FRAME, did, rev)
        event = None if row is None else decode(row["frame"])
        if row is None or not isinstance(event, Commit):
            return False  # its frame was not kept: the letter stays, for people
        paths: Sequence[str] = row["paths"]
        ops = tuple(op for op in event.ops if f"{op.collection}/{op.rkey}" in paths)
        try:
            async with connection.transaction():
                await apply_one(connection, MODE_RETRY, build([event._replace(ops=ops, refused=())], selection=self._selection))
        except asyncpg.PostgresError as error:
            if remedy(error) is not Remedy.DATA:
                raise
            state = sqlstate(error)
            reason = "foreign_key" if state == "23503" else f"database_{state}"
            place = (error.schema_name, error.table_name, error.constraint_name, error.detail)
            await connection.execute(STILL, did, rev, reason, str(error), *place)
            return False
        return True
