"""All that is asked about accounts while the stream is written, for the worker."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from unified_indexer.accounts.audit import Audit
from unified_indexer.accounts.deletions import Deletions
from unified_indexer.accounts.documents import Documents
from unified_indexer.accounts.handle_checks import HandleChecks
from unified_indexer.accounts.inactive import Inactive
from unified_indexer.config.settings import Config
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.identity.client import Client
from unified_indexer.identity.handles import Handles
from unified_indexer.identity.resolver import Identities
from unified_indexer.metrics import Metrics


class Accounts:
    """`upto`: the stream's time up to which everything is written, None while that is not known."""

    def __init__(
        self,
        config: Config,
        pool: DatabasePool,
        metrics: Metrics,
        identities: Identities,
        client: Client,
        upto: Callable[[], datetime | None],
    ) -> None:
        documents = Documents(identities)
        handles = Handles(client, allow_private=config.allow_private_hosts)
        self._believes = config.verify == "off"
        self._audit_rate = config.audit_rate
        self._believing = Deletions(pool, metrics)
        self._deletions = Deletions(pool, metrics, documents, client)
        self._inactive = Inactive(pool, metrics, documents, client)
        self._handle_checks = HandleChecks(pool, metrics, identities, documents, handles)
        self._audit = Audit(pool, metrics, documents, client, upto)

    def wrote_although_inactive(self, did: str) -> None:
        """A commit of this account was left out."""
        if not self._believes:
            self._inactive.note(did)

    def work(self) -> list[Coroutine[Any, Any, object]]:
        """The tasks to run until they are cancelled, as long as one session, in each worker."""
        return [] if self._believes else [self._inactive.keep_asking()]

    def once_for_all(self) -> list[Coroutine[Any, Any, object]]:
        """Those of one worker of all shares. With VERIFY=off nobody is asked anything."""
        if self._believes:
            return [self._believing.keep_confirming()]
        asking: list[Coroutine[Any, Any, object]] = [
            self._deletions.keep_confirming(),
            self._handle_checks.keep_checking(),
        ]
        return [*asking, self._audit.keep_asking(self._audit_rate)] if self._audit_rate else asking
