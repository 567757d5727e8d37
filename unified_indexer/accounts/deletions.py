"""Accounts that a relay says are deleted: their own PDS is asked, or the directory, before anything of them goes.

Only these confirm it: the PDS, or a tombstone in the directory. That a directory does not know a DID, or that the host of a
did:web has no document, does not: both may be so for an hour, and nothing brings back what was wiped.

What is to be asked stands in `unified_worker.deletions`, so a worker that was stopped goes on where it was. As long as nobody
answers, the account stays hidden, its rows stay, and it is asked again later and later. With VERIFY=off the relay counts.
"""

import asyncio
import logging
from datetime import datetime

from unified_indexer.accounts.crew import Crew
from unified_indexer.accounts.documents import Documents
from unified_indexer.accounts.pds import Http, RepoStatus, repo_status
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.identity.errors import FetchError
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
AT_ONCE = 16  # accounts
MOST_BELIEVED = 1_000  # a turn
ENDED = "tombstoned"  # what the directory says of an account that is no more

DUE = """
SELECT did, since FROM unified_worker.deletions WHERE retry_at <= now() AND did <> ALL ($2::text[]) ORDER BY retry_at LIMIT $1
"""
CONFIRM = "SELECT unified_worker.confirm_deletion($1, $2)"
DENY = "SELECT unified_worker.deny_deletion($1, $2, $3, $4)"
# A minute at first, an hour at last.
POSTPONE = """
UPDATE unified_worker.deletions SET attempts = attempts + 1, error = $3,
  retry_at = now() + least(2 ^ least(attempts, 10), 60) * interval '1 minute'
WHERE did = $1 AND since = $2
"""

DELETED = RepoStatus(active=False, status="deleted")


class Deletions:
    """Confirms deletions for as long as the worker runs. Without `documents` and `http` every one is believed."""

    def __init__(
        self, pool: DatabasePool, metrics: Metrics, documents: Documents | None = None, http: Http | None = None
    ) -> None:
        self._pool = pool
        self._counts = metrics.confirmations
        self._documents = documents
        self._http = http

    async def keep_confirming(self) -> None:
        """Look for work once per second, until cancelled."""
        async with Crew(AT_ONCE) as crew:
            while True:
                try:
                    await self.turn(crew)
                except DATABASE_ERRORS as error:
                    warn_limited(log, "deletions", "Could not read the deletions to confirm (%s); trying again", error)
                await asyncio.sleep(INTERVAL)

    async def turn(self, crew: Crew) -> None:
        """Start to ask about those whose time has come, as many as there is room for."""
        most = MOST_BELIEVED if self._documents is None else crew.room
        async with self._pool.connection() as connection:
            due = await connection.fetch(DUE, most, crew.under_way)
        for row in due:
            if self._documents is None or self._http is None:
                await self._settle(row["did"], row["since"], DELETED)
            else:
                crew.start(row["did"], self._ask(row["did"], row["since"], self._documents, self._http))

    async def _ask(self, did: str, since: datetime, documents: Documents, http: Http) -> None:
        """One account, from the question to what follows. Its failures are its own."""
        try:
            said = await _said(did, documents, http)
            if isinstance(said, str):
                async with self._pool.connection() as connection:
                    await connection.execute(POSTPONE, did, since, said)
                self._counts["deletion_unanswered"] += 1
            else:
                await self._settle(did, since, said)
        except DATABASE_ERRORS as error:
            warn_limited(log, "deletion", "Could not settle the deletion of %s (%s); trying again", did, error)

    async def _settle(self, did: str, since: datetime, said: RepoStatus) -> None:
        async with self._pool.connection() as connection:
            if said.deleted:
                settled = await connection.fetchval(CONFIRM, did, since)
            else:
                settled = await connection.fetchval(DENY, did, since, said.active, said.status)
        if not settled:
            return  # an #account came meanwhile
        self._counts["deletion_confirmed" if said.deleted else "deletion_denied"] += 1
        if not said.deleted:
            warn_limited(log, "denied", "The relay says that %s is deleted, and its PDS says that it is not", did)


async def _said(did: str, documents: Documents, http: Http) -> RepoStatus | str:
    """What those say who must know; or in a word why nobody could be asked."""
    # A replica that is behind would name the server of before, which has no such repo any more; and a relay that forges the
    # deletion keeps back the #identity, too.
    document = await documents.fresh(did, primary=True)
    if document is None:
        return "no_document"
    if isinstance(document, NoIdentity):
        return DELETED if document.reason == ENDED else document.reason
    if document.pds is None:
        return "no_pds"
    try:
        return await repo_status(http, document.pds, did)
    except FetchError as error:
        return str(error)
