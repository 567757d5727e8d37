"""All that makes commits trusted, for the worker: who signs, the stage in the lanes, and what is settled later."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from unified_indexer.config.settings import Config
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.write.outcome import Outcome
from unified_indexer.identity.client import Client
from unified_indexer.identity.names import NameServer
from unified_indexer.identity.resolver import Identities
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.lanes import Lane, Placed
from unified_indexer.selection import Selection
from unified_indexer.trust.settling import Settling
from unified_indexer.trust.verifier import Verifier


class Trust:
    """`takes`: of which accounts what is unproven is settled here. `identities` asks by `client`, and lives as
    long as the worker; the stage is another one in each session."""

    def __init__(
        self, config: Config, pool: DatabasePool, metrics: Metrics, selection: Selection, takes: Callable[[str], bool]
    ) -> None:
        private = config.allow_private_hosts
        self.client = Client(allow_private=private, dns_servers=[NameServer(*server) for server in config.dns_servers])
        self.identities = Identities(
            pool,
            self.client,
            directories=config.plc_urls,
            rate=config.plc_rate,
            ttl=config.identity_ttl,
            allow_private=private,
        )
        self._config = config
        self._pool = pool
        self._metrics = metrics
        self._settling = Settling(pool, self.identities, metrics, selection, config.verify, takes)
        self.begin()

    @property
    def waiting(self) -> int:
        """Events that wait for their accounts' keys."""
        return self._verifier.aside

    def begin(self) -> None:
        """Forget what was known of the database under the lock before."""
        self._verifier = Verifier(
            self._pool,
            self.identities,
            self._metrics,
            self._config.verify,
            self._settling.settle_letters,
            hold=self._config.hold_unproven,
        )

    def work(self) -> list[Coroutine[Any, Any, object]]:
        """The tasks to run until they are cancelled, as long as one session."""
        if self._config.verify == "off":  # who fetches a repo asks where it is all the same
            return [] if self._config.backfill == "off" else [self.identities.run()]
        return [self.identities.run(), self._verifier.run(), self._settling.keep_settling()]

    async def verify(self, lane: Lane, batch: list[Placed]) -> list[Placed]:
        """What of a lane's batch is to be written now, in its order."""
        return batch if self._config.verify == "off" else await self._verifier.verify(lane, batch)

    def written(self, lane: Lane, batch: Sequence[Placed], outcomes: Sequence[Outcome]) -> None:
        """Note what became of it."""
        if self._config.verify != "off":
            self._verifier.written(lane, batch, outcomes)

    def identity_elsewhere(self, did: str) -> None:
        """An #identity came of an account whose commits another worker verifies: here repos of it may be fetched."""
        if self._config.verify != "off":
            self.identities.stale(did)

    async def close(self) -> None:
        """Close the connections to those who were asked."""
        await self.client.close()
