"""Commits that had to wait in dead_letters, and are applied when they can be: by themselves, without an operator.

Some were refused by a foreign key and wait for the row that they name (a database of our own has no foreign keys; an existing
one may); some came while their account's rows were being wiped. Letters are looked through in turn, so many a second, and those
whose time has come are applied again: past the rev guard, but holding the repo's row, and only while the letter is open.
"""

import asyncio
import logging
from collections import defaultdict

from indexer.database.failures import DATABASE_ERRORS
from indexer.database.letters import PENDING
from indexer.database.pool import DatabasePool
from indexer.database.retry import APPLIED, Kept, retry
from indexer.database.sessions import Connection
from indexer.logs import warn_limited
from indexer.selection import EVERYTHING, Selection

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
LETTERS_A_TURN = 5_000  # looked at; an index look-up each, some 15 ms of the server's time in all

OPEN = f"""
SELECT l.id, l.did, l.rev, l.reason, l.frame_sha256, l.awaited FROM unified_worker.dead_letters AS l
WHERE l.reason IN ({PENDING}) AND l.frame_sha256 IS NOT NULL AND l.id > $1 AND NOT EXISTS (
  SELECT FROM unified_worker.repos AS r WHERE r.did = l.did AND (r.wiping OR NOT r.active))
ORDER BY l.id LIMIT $2
"""
ARRIVED = "SELECT value FROM unnest($1::text[]) AS value WHERE EXISTS (SELECT FROM {table} WHERE {column} = value)"


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
            Kept(letter["did"], letter["rev"], letter["reason"], letter["frame_sha256"]): None
            for letter in letters
            if self._selection.takes_account(letter["did"]) and (not letter["awaited"] or tuple(letter["awaited"]) in arrived)
        }
        fates = [await retry(connection, kept, self._selection) for kept in ready]
        return sum(APPLIED in fate.values() for fate in fates)
