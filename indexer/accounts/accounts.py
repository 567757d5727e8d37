"""All that is asked about accounts while the stream is written, as one piece of work for the worker."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from indexer.accounts.audit import Audit
from indexer.accounts.deletions import Deletions
from indexer.accounts.documents import Documents, Source
from indexer.accounts.handle_checks import HandleChecks, Handles
from indexer.accounts.inactive import Inactive
from indexer.accounts.pds import Http
from indexer.database.connection.pool import DatabasePool
from indexer.metrics import Metrics


class Accounts:
    """Asks for as long as the worker runs. `audit_rate`: random repos a minute; 0: none. `upto`: as of `Audit`."""

    def __init__(
        self,
        pool: DatabasePool,
        metrics: Metrics,
        source: Source,
        http: Http,
        handles: Handles,
        *,
        audit_rate: float,
        upto: Callable[[], datetime | None],
    ) -> None:
        documents = Documents(source)
        self._deletions = Deletions(pool, metrics, documents, http)
        self._inactive = Inactive(pool, metrics, documents, http)
        self._handle_checks = HandleChecks(pool, metrics, source, documents, handles)
        self._audit = Audit(pool, metrics, documents, http, upto)
        self._audit_rate = audit_rate

    def wrote_although_inactive(self, did: str) -> None:
        """A commit of this account was left out."""
        self._inactive.note(did)

    async def run(self) -> None:
        """All of it, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deletions.keep_confirming())
            tasks.create_task(self._inactive.keep_asking())
            tasks.create_task(self._handle_checks.keep_checking())
            if self._audit_rate:
                tasks.create_task(self._audit.keep_asking(self._audit_rate))
