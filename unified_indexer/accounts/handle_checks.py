"""Handles, checked both ways: the account's DID document names the handle, and the handle leads to the account.

Who is to be checked stands in `unified_worker.handle_checks`, where each #identity puts its account; documents that are looked
up for another reason bring a handle along, which is checked too if it says something new. However many #identity come, no more
are checked than the pace allows, and each account once. One that comes while its account is being checked has it checked again.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from unified_indexer.accounts.crew import Crew
from unified_indexer.accounts.documents import Document, Documents
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.identity.directory import is_plc
from unified_indexer.identity.document import Identity
from unified_indexer.identity.handles import HandleVerdict
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.identity.pace import Pace
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
RATE = 5.0  # checks a second
AT_ONCE = 16  # accounts
MOST_SEEN = 10_000  # handles of documents that came by themselves; the newest
MOST_ATTEMPTS = 10  # some four hours; then who claims what nobody confirms is refuted
MOST_OF_DIRECTORY = 5  # attempts that count while the directory is silent: that is no account's fault

# Who is taken comes again in five minutes, longer than a check can take, unless it has ended by then. `claimed`: what the check
# may refute.
TAKE = """
WITH due AS (
  SELECT did FROM unified_worker.handle_checks WHERE retry_at <= now() AND did <> ALL ($2::text[])
  ORDER BY asked LIMIT $1 FOR UPDATE SKIP LOCKED)
UPDATE unified_worker.handle_checks AS c SET retry_at = now() + interval '5 minutes'
FROM due LEFT JOIN unified_worker.repos AS r ON r.did = due.did WHERE c.did = due.did
RETURNING c.did, c.asked, c.attempts, r.handle AS claimed
"""
# Not what the last check has said already, within the day; and not of one that waits for a check, by a newer document.
NEWS = """
SELECT handle FROM unified_worker.repos AS r WHERE did = $1
  AND (coalesce(handle_checked_at < now() - interval '24 hours', true) OR (handle_verified AND handle IS DISTINCT FROM $2))
  AND NOT EXISTS (SELECT FROM unified_worker.handle_checks AS c WHERE c.did = r.did)
"""
VERIFIED = "SELECT unified_worker.settle_handle($1, $2)"
# Only what was claimed when the check began, and with $3 only what was not verified before. Null: nothing is known of it.
REFUTED = """
SELECT CASE WHEN r.claims_another THEN 'another' WHEN r.stays THEN 'stays'
  WHEN unified_worker.settle_handle(r.did, NULL) THEN 'refuted' END
FROM (SELECT did, handle IS DISTINCT FROM $2 AS claims_another, $3 AND coalesce(handle_verified, false) AS stays
  FROM unified_worker.repos WHERE did = $1 FOR UPDATE) AS r
"""
# Not if it was asked for again meanwhile.
DONE = "DELETE FROM unified_worker.handle_checks WHERE did = $1 AND asked = $2"
# At once if it was asked for again meanwhile.
POSTPONE = """
UPDATE unified_worker.handle_checks SET attempts = greatest(attempts, least(attempts + 1, $3)),
  retry_at = CASE WHEN asked = $2 THEN now() + least(2 ^ least(attempts, 10), 60) * interval '1 minute' ELSE retry_at END
WHERE did = $1
"""


class Due(NamedTuple):
    """A check that an #identity asked for. `asked`: another number when it was asked for again."""

    did: str
    asked: int
    attempts: int
    claimed: str | None


class Handles(Protocol):
    """Who finds out whether a handle leads to a DID."""

    async def settle(self, handle: str, did: str) -> HandleVerdict:
        """Whether this handle is this DID's."""
        ...


class Source(Protocol):
    """Where documents come in: the identities."""

    def subscribe(self, listener: Callable[[str, Document], None]) -> None:
        """Have `listener` called with each."""
        ...


class HandleChecks:
    """Checks handles for as long as the worker runs."""

    def __init__(self, pool: DatabasePool, metrics: Metrics, source: Source, documents: Documents, handles: Handles) -> None:
        self._pool = pool
        self._counts = metrics.confirmations
        self._documents = documents
        self._handles = handles
        self._pace = Pace(RATE)
        self._seen: dict[str, str | None] = {}  # the handle of each document that came by itself, the newest last
        source.subscribe(self._saw)

    def _saw(self, did: str, document: Identity | NoIdentity) -> None:
        if isinstance(document, Identity):
            self._seen.pop(did, None)
            self._seen[did] = document.handle
            if len(self._seen) > MOST_SEEN:
                del self._seen[next(iter(self._seen))]

    async def keep_checking(self) -> None:
        """Check those that wait, until cancelled."""
        async with Crew(AT_ONCE) as crew:
            while True:
                await asyncio.sleep(INTERVAL)
                try:
                    await self.turn(crew)
                except DATABASE_ERRORS as error:
                    warn_limited(log, "handles", "Could not read which handles to check (%s); trying again", error)

    async def turn(self, crew: Crew) -> None:
        """Start some checks: of accounts that an #identity named, then of documents that came by themselves."""
        async with self._pool.connection() as connection:
            taken = await connection.fetch(TAKE, min(crew.room, int(RATE)), crew.under_way)
        for due in [Due(*row) for row in taken]:
            await self._pace.turn()
            crew.start(due.did, self._asked(due))
        for did in list(reversed(self._seen))[: min(crew.room, int(RATE))]:
            if did not in self._seen:  # its check began while this one waited for its turn
                continue
            handle = self._seen.pop(did)
            if did not in crew.under_way:
                await self._pace.turn()
                crew.start(did, self._came(did, handle))

    async def _asked(self, due: Due) -> None:
        """Check an account that an #identity named, by its document of now."""
        document = await self._documents.fresh(due.did)
        try:
            verdict: HandleVerdict = "unknown"
            if isinstance(document, Identity):
                self._seen.pop(due.did, None)
                verdict = await self._verdict(due.did, document.handle)
            is_silent = document is None and is_plc(due.did) is not None  # the directory, which is no account's fault
            async with self._pool.connection() as connection, connection.transaction():
                if isinstance(document, Identity) and verdict == "verified":
                    settled = await self._verified(connection, due.did, document.handle)
                elif verdict == "mismatched":
                    settled = await self._refuted(connection, due.did, due.claimed)
                elif isinstance(document, NoIdentity) or (due.attempts + 1 >= MOST_ATTEMPTS and not is_silent):
                    # Nobody confirms it: else what it claims would stand for good.
                    settled = await self._refuted(connection, due.did, due.claimed, unless_verified=True)
                else:
                    settled = False
                    await connection.execute(POSTPONE, due.did, due.asked, MOST_OF_DIRECTORY if is_silent else MOST_ATTEMPTS)
                if settled:
                    await connection.execute(DONE, due.did, due.asked)
        except DATABASE_ERRORS as error:
            warn_limited(log, "handle", "Could not settle the handle of %s (%s); trying again", due.did, error)

    async def _came(self, did: str, handle: str | None) -> None:
        """Check a handle that came along with a document, if it says something new of an account that is known."""
        try:
            async with self._pool.connection() as connection:
                news = await connection.fetchrow(NEWS, did, handle)
            if news is None or (verdict := await self._verdict(did, handle)) == "unknown":
                return
            async with self._pool.connection() as connection:
                if verdict == "verified":
                    await self._verified(connection, did, handle)
                else:
                    await self._refuted(connection, did, news["handle"])
        except DATABASE_ERRORS as error:
            warn_limited(log, "handle", "Could not settle the handle of %s (%s); trying again", did, error)

    async def _verdict(self, did: str, handle: str | None) -> HandleVerdict:
        """Ask for the handle of a document."""
        verdict = "mismatched" if handle is None else await self._handles.settle(handle, did)
        if verdict == "unknown":
            self._counts["handle_unanswered"] += 1
        return verdict

    async def _verified(self, connection: Connection, did: str, handle: str | None) -> bool:
        """This handle is the account's."""
        await connection.execute(VERIFIED, did, handle)
        self._counts["handle_verified"] += 1
        return True

    async def _refuted(self, connection: Connection, did: str, claimed: str | None, *, unless_verified: bool = False) -> bool:
        """What it claimed is not the account's; False if it claims another handle by now, which is to be checked."""
        what = await connection.fetchval(REFUTED, did, claimed, unless_verified)
        if what == "refuted":
            self._counts["handle_refuted"] += 1
        return what != "another"
