"""Apply commits that wait in dead_letters as soon as they can be applied, without an operator.

Some were refused by a foreign key (a database of our own has none; an existing one may). They wait for the row that they name,
or until nothing refers any more to the row that they delete. Some came while their account's rows were being wiped. Letters are
looked through in turn, so many a second, and those whose time has come are applied again: past the rev guard, but holding the
repo's row, and only while the letter is open. What was tried in vain is tried later and later; an error is its letter's alone.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence

import asyncpg

from unified_indexer.database.connection.failures import DATABASE_ERRORS, is_everybodys
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.dead_letters.retry import APPLIED, Kept, postpone, retry
from unified_indexer.database.functions.dead_letters import PENDING
from unified_indexer.log.handler import warn_limited
from unified_indexer.selection import EVERYTHING, Selection

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
LETTERS_PER_TURN = 5_000  # looked at; an index look-up each, some 15 ms of the server's time in all
SLOW = 0.5  # seconds that a look at a table takes: it has no index, maybe
REST = 20  # times as long as a slow look took: until the next look there

OPEN = f"""
SELECT l.id, l.did, l.rev, l.reason, l.frame_sha256, l.awaited FROM unified_worker.dead_letters AS l
WHERE l.reason IN ({PENDING}) AND l.frame_sha256 IS NOT NULL AND l.id > $1 AND coalesce(l.retry_at <= now(), true)
  AND NOT EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = l.did AND (r.wiping OR NOT r.active))
ORDER BY l.id LIMIT $2
"""
ARRIVED = "SELECT value FROM unnest($1::text[]) AS value WHERE EXISTS (SELECT FROM {table} WHERE {column} = value)"
LET_GO = "SELECT value FROM unnest($1::text[]) AS value WHERE NOT EXISTS (SELECT FROM {table} WHERE {column} = value)"
LOOKS = {"foreign_key": ARRIVED, "referenced": LET_GO}

Awaited = tuple[str, str, str]  # what is waited for: the reason, the table, its column


class Pending:
    """Applies waiting commits for as long as the worker runs."""

    def __init__(self, pool: DatabasePool, selection: Selection = EVERYTHING) -> None:
        self._pool = pool
        self._selection = selection
        self._after = 0  # the id up to which this round has looked
        self._rests: dict[Awaited, float] = {}  # until when (time.monotonic) a table is not looked at; as many as foreign keys

    async def keep_applying(self) -> None:
        """Look for work once per second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                async with self._pool.connection() as connection:
                    await self.turn(connection)
            except DATABASE_ERRORS as error:
                warn_limited(log, "pending", "Could not read the waiting commits (%s); trying again", error)

    async def turn(self, connection: Connection) -> int:
        """Read the next waiting letters, and apply the commits that can be applied now; return how many were applied."""
        letters = await connection.fetch(OPEN, self._after, LETTERS_PER_TURN)
        self._after = letters[-1]["id"] if len(letters) == LETTERS_PER_TURN else 0
        waiting: defaultdict[Awaited, set[str]] = defaultdict(set)
        for letter in letters:
            if letter["awaited"] and letter["reason"] in LOOKS:
                table, column, value = letter["awaited"]
                waiting[letter["reason"], table, column].add(value)
        come = {(*place, value) for place, values in waiting.items() for value in await self._look(connection, place, values)}
        ready = {
            Kept(letter["did"], letter["rev"], letter["reason"], letter["frame_sha256"]): None
            for letter in letters
            if self._selection.takes_account(letter["did"])
            and (not letter["awaited"] or letter["reason"] not in LOOKS or (letter["reason"], *letter["awaited"]) in come)
        }
        applied = [await self._apply(connection, kept) for kept in ready]
        return sum(applied)

    async def _look(self, connection: Connection, place: Awaited, values: set[str]) -> Sequence[str]:
        """For which of these values there is nothing to wait for any more: all of them where the table can't be looked at."""
        reason, table, column = place
        began = time.monotonic()
        if began < self._rests.get(place, 0):
            return ()
        try:
            rows = await connection.fetch(LOOKS[reason].format(table=table, column=column), list(values))
            return [row["value"] for row in rows]
        except asyncpg.PostgresError as error:
            if is_everybodys(error):
                raise
            warn_limited(
                log,
                "pending look",
                "Cannot read %s (%s) for waiting commits, so all of them are tried (%s)",
                table,
                column,
                error,
            )
            return list(values)
        finally:
            now = time.monotonic()
            self._rests[place] = now + REST * (now - began) if now - began > SLOW else 0.0

    async def _apply(self, connection: Connection, kept: Kept) -> bool:
        """Tries a commit; whether anything of it was applied."""
        try:
            return APPLIED in (await retry(connection, kept, self._selection)).values()
        except asyncpg.PostgresError as error:
            if is_everybodys(error):
                raise
            await postpone(connection, kept)
            warn_limited(
                log, "pending letter", "Cannot apply commit %s of %s (%s); trying again later", kept.rev, kept.did, error
            )
            return False
