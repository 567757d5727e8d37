"""All that is fetched whole while the stream is written, for the worker."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from unified_indexer.accounts.documents import Documents
from unified_indexer.backfill import files
from unified_indexer.backfill.allowance import Allowance
from unified_indexer.backfill.fetch import Fetcher
from unified_indexer.backfill.finding import Finding
from unified_indexer.backfill.gaps import Gaps
from unified_indexer.backfill.left_out import LeftOut
from unified_indexer.backfill.lists import Lists
from unified_indexer.backfill.pace import Paces
from unified_indexer.backfill.progress import Progress
from unified_indexer.backfill.repairs import Repairs
from unified_indexer.backfill.room import Room
from unified_indexer.backfill.turns import HostTurns
from unified_indexer.config.settings import Config
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import listings
from unified_indexer.database.repair.standing import Done, Standing
from unified_indexer.identity.downloads import Downloads
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.selection import Selection
from unified_indexer.shares import WHOLE
from unified_indexer.tracing.spans import Spans
from unified_indexer.trust.trust import Trust

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds after a failure
POLL = 0.2  # seconds between two looks whether something is still in the way
GB = 10**9  # bytes
NO_FILES = "Repos of more than 8 MiB can't be fetched: no temporary file can be made (%s); set TMPDIR to a folder on disk"


class Backfill:
    """`crowded`: whether the stream has so much to write that everything else waits."""

    def __init__(
        self,
        config: Config,
        pool: DatabasePool,
        metrics: Metrics,
        selection: Selection,
        trust: Trust,
        crowded: Callable[[], bool],
        spans: Spans | None = None,
    ) -> None:
        self._enabled = config.backfill != "off"
        self._crowded = crowded
        self._network = config.backfill == "network"
        self._pool = pool
        self._metrics = metrics
        self.progress = Progress(pool, self._done)
        # Behind a stream's server the accounts that a worker has change, and one repairs for all.
        self._shares = config.share.sorts
        share = config.share if self._shares else WHOLE
        self.paces = Paces(config.backfill_host_concurrency, config.backfill_concurrency, sharers=share.of)
        downloads, documents = Downloads(trust.client), Documents(trust.identities)
        hosts = HostTurns(self.paces, downloads.address)
        self.fetcher = Fetcher(downloads, trust.identities, documents, hosts, source=config.backfill_source, spans=spans)
        self._room = Room(pool, config.backfill_limit * GB)
        self._repairs = Repairs(
            pool,
            metrics,
            selection,
            self.fetcher,
            notify=timedelta(days=config.notify_repaired),
            stream_first=self.stream_first,
            allowance=Allowance(-(-config.backfill_records // share.of)),
            most=config.backfill_concurrency,
            share=share,
        )
        self._left_out = LeftOut(pool, selection)
        self._gaps = Gaps(pool, selection)
        private = config.allow_private_hosts
        self._finding = Finding(
            pool,
            selection,
            Lists(downloads, hosts, allow_private=private),
            documents,
            relay=config.relay_url.replace("ws", "http", 1),
            allow_private=private,
            stream_first=self.stream_first,
        )

    def work(self) -> list[Coroutine[Any, Any, object]]:
        """The tasks to run until they are cancelled, as long as one session: where accounts are shared, each worker repairs its
        own."""
        return self._repairing() if self._shares else []

    def once_for_all(self) -> list[Coroutine[Any, Any, object]]:
        """The tasks of the one worker that does for all what is done once, until they are cancelled."""
        if not self._enabled:
            return []
        repairing = [] if self._shares else self._repairing()
        return [self._find(), self._left_out.keep_asking(), self._gaps.keep_asking(), *repairing]

    def _repairing(self) -> list[Coroutine[Any, Any, object]]:
        if not self._enabled:
            return []
        if (why := files.lacking()) is not None:
            log.warning(NO_FILES, why)
        return [self._repairs.keep_repairing(), self._room.keep_looking(), self.progress.keep_looking()]

    @property
    def standing(self) -> Standing | None:
        """How far everything is, as of the last seconds; None if that is not known, or nothing is fetched at all."""
        return self.progress.standing

    @property
    def seconds(self) -> dict[str, float]:
        """Spent on all repos together, by what was done: fetch, prove, write."""
        return {**self.fetcher.seconds, "write": self._repairs.seconds}

    def _done(self) -> Done:
        metrics = self._metrics
        return Done(
            metrics.repair_ends["done"],
            metrics.repaired_records.total() - metrics.repaired_records["gone"],
            self.fetcher.received,
            metrics.repair_ends["unavailable"],
            metrics.repair_ends["failed"],
        )

    @property
    def held(self) -> str | None:
        """Why nothing is begun or written now: `stream` (it has much to write), `disk` or `size`; None if nothing is in the
        way."""
        return "stream" if self._crowded() else self._room.lacks

    async def _find(self) -> None:
        """Find repos, of the whole network where that is wanted and was not asked for before."""
        while self._network:
            try:
                async with self._pool.connection() as connection:
                    await listings.ask_once(connection, listings.Kind.NETWORK, "")
                break
            except DATABASE_ERRORS as error:
                warn_limited(log, "network", "Could not ask for the network's repos (%s); trying again", error)
            await asyncio.sleep(PAUSE)
        await self._finding.keep_finding()

    async def stream_first(self) -> None:
        """Wait while the stream has much to write, or the database has no room."""
        while True:
            if self.held is None:
                return
            await asyncio.sleep(POLL)
