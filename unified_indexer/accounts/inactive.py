"""Accounts that write although they are held for inactive: their own PDS is asked, each once an hour at most.

A relay's view of accounts drifts: an #account that was lost, or never sent, hides an account until the next one.
"""

import asyncio
import logging

from unified_indexer.accounts.crew import Crew
from unified_indexer.accounts.documents import Documents
from unified_indexer.accounts.pds import Http, repo_status
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.identity.errors import FetchError
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
AT_ONCE = 8  # accounts
MOST_NOTED = 10_000  # accounts; others come again with their next commit

# The hour begins before the question, so that no kill and no failure makes it shorter.
TAKE = """
UPDATE unified_worker.repos SET status_asked_at = now() WHERE did IN (
  SELECT r.did FROM unified_worker.repos AS r
  WHERE r.did = ANY ($1::text[]) AND NOT r.active AND coalesce(r.status_asked_at < now() - interval '1 hour', true)
    AND NOT EXISTS (SELECT FROM unified_worker.deletions AS d WHERE d.did = r.did)
  ORDER BY r.did FOR UPDATE SKIP LOCKED)
RETURNING did, account_seq
"""
REACTIVATE = "SELECT unified_worker.reactivate($1, $2)"


class Inactive:
    """Asks about the accounts that `note` names, for as long as the worker runs."""

    def __init__(self, pool: DatabasePool, metrics: Metrics, documents: Documents, http: Http) -> None:
        self._pool = pool
        self._counts = metrics.confirmations
        self._documents = documents
        self._http = http
        self._noted: dict[str, None] = {}

    def note(self, did: str) -> None:
        """A commit of this account was left out, because the account is not active."""
        if len(self._noted) < MOST_NOTED:
            self._noted[did] = None

    async def keep_asking(self) -> None:
        """Ask about those that were noted, until cancelled."""
        async with Crew(AT_ONCE) as crew:
            while True:
                await asyncio.sleep(INTERVAL)
                try:
                    await self.turn(crew)
                except DATABASE_ERRORS as error:
                    warn_limited(log, "inactive", "Could not ask about inactive accounts (%s)", error)

    async def turn(self, crew: Crew) -> None:
        """Start to ask about some of those that were not asked about within the hour."""
        taken = [did for did in list(self._noted)[: crew.room] if did not in crew.under_way]
        if not taken:
            return
        for did in taken:
            del self._noted[did]
        async with self._pool.connection() as connection:
            rows = await connection.fetch(TAKE, taken)
        for row in rows:
            crew.start(row["did"], self._ask(row["did"], row["account_seq"]))

    async def _ask(self, did: str, seq: int | None) -> None:
        document = await self._documents.fresh(did, primary=True)
        if document is None or isinstance(document, NoIdentity) or document.pds is None:
            return
        try:
            said = await repo_status(self._http, document.pds, did)
            if not said.active:
                return
            async with self._pool.connection() as connection:
                if await connection.fetchval(REACTIVATE, did, seq):
                    self._counts["reactivated"] += 1
                    warn_limited(log, "reactivated", "%s is active, says its PDS: the relay's #account was wrong or lost", did)
        except FetchError:
            self._counts["status_unanswered"] += 1
        except DATABASE_ERRORS as error:
            warn_limited(log, "reactivate", "Could not make %s active again (%s); its next commit tries again", did, error)
