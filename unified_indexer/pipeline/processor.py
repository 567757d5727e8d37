"""EventProcessor: operation -> record type -> rows, one transaction per commit.

The stream goes through `process_batch`. The `process_*` methods do the same for one commit or one record on a connection of the
caller's, inside the caller's transaction; they hold no logic of their own.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.states import REASONS
from unified_indexer.database.write.apply import apply_one
from unified_indexer.database.write.batch import KINDS, OTHER, Batch, build, row_of
from unified_indexer.database.write.outcome import APPLIED, Outcome, Result
from unified_indexer.database.write.parameters import Mode
from unified_indexer.database.write.writer import Writer
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.recent_posts import Newest
from unified_indexer.protocol.events import Commit, RepoEvent
from unified_indexer.protocol.syntax import parse_at_uri
from unified_indexer.records import follow, like, post, profile, repost
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress
from unified_indexer.selection import EVERYTHING, Selection

log = logging.getLogger(__name__)


class EventProcessor:
    """Turns events into rows, as far as `selection` takes them. `metrics` counts the results; `newest` keeps some posts.
    `confirm`: as the writer's. `on_inactive` gets the accounts of which a commit was left out, because they are not active."""

    def __init__(
        self,
        pool: DatabasePool,
        metrics: Metrics,
        selection: Selection = EVERYTHING,
        *,
        confirm: bool = False,
        on_inactive: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_inactive = on_inactive
        self._writer = Writer(pool, selection, confirm=confirm)
        self._selection = selection
        self._metrics = metrics
        self.newest = Newest()

    async def process_batch(self, lane: int, events: Sequence[RepoEvent]) -> Sequence[Outcome]:
        """Apply one lane's events in order, each commit in its own transaction; return when all are finished, with what became
        of each."""
        batch, outcomes = await self._writer.write(lane, events)
        metrics = self._metrics
        for place, reason in batch.refused:
            if not outcomes[place].skipped:
                metrics.refused[reason] += 1
                metrics.dead_letters += 1
        metrics.filtered["selection"] += sum(
            filtered and not outcome.skipped for filtered, outcome in zip(batch.filtered, outcomes, strict=True)
        )
        self._written(batch, outcomes)
        for did, outcome in zip(batch.did, outcomes, strict=True):
            if outcome != APPLIED:
                self._count(outcome)
                if outcome.result is Result.INACTIVE:
                    self._on_inactive(did)
        return outcomes

    def _count(self, outcome: Outcome) -> None:
        metrics = self._metrics
        if outcome.frame_dropped:
            metrics.frames_dropped += 1
            warn_limited(log, "frame_dropped", "Dead-letter storage is full: keeping reasons, dropping frames")
        match outcome.result:
            case Result.APPLIED | Result.NO_NEWS:
                pass
            case Result.INACTIVE:
                metrics.filtered["inactive"] += 1
            case Result.KEPT:
                metrics.refused["wiping"] += 1
                metrics.dead_letters += 1
            case Result.STALE_MESSAGE:
                metrics.stale_messages += 1
            case Result.STALE:
                metrics.stale += 1
            case Result.REV_FORK:
                metrics.rev_fork += 1
                warn_limited(log, "rev_fork", "A repo sent two different commits with one rev; the first one stays")
            case Result.REFUSED:
                reason = outcome.reason
                metrics.refused[reason] += 1
                metrics.dead_letters += 1
                warn_limited(log, reason, "The database refused a commit (%s): kept in unified_worker.dead_letters", reason)
            case doubt:
                metrics.doubts[doubt] += 1
                if doubt is not Result.LEGACY_COMMIT:
                    warn_limited(log, doubt, "A repo is desynchronised: %s (%s)", doubt, REASONS[doubt])

    def _written(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        if outcomes.count(APPLIED) == len(outcomes):  # nearly always
            self._metrics.operations.update(batch.kind)
        else:
            for outcome, lo, hi in zip(outcomes, batch.lo, batch.hi, strict=True):
                if outcome.written:
                    self._metrics.operations.update(batch.kind[lo - 1 : hi])
        self.newest.sample(batch, outcomes)

    async def process_commit(self, connection: Connection, commit: Commit) -> str:
        """Apply one commit; return the outcome: 'applied', 'stale', 'rev_fork', 'inactive', 'kept', 'frame_dropped' (applied),
        or what is in doubt of one that was applied ('chain_broken', …). That and 'kept' may end with ':frame_dropped'."""
        return str(await apply_one(connection, Mode.LIVE, build([commit], selection=self._selection, with_frames=True)))

    async def ensure_user(self, connection: Connection, did: str) -> None:
        """Ensure that the account has a row in `users`."""
        batch = Batch()
        batch.close(did, user=True, time=datetime.now(UTC))
        await apply_one(connection, Mode.DIRECT, batch)

    async def process_post(self, connection: Connection, uri: str, cid: str, did: str, record: Record) -> None:
        """Write a post's row. `record` is in JSON form; raises Rejected if it is unusable. So do the four methods below."""
        await self._put(connection, post.RECORD, uri, cid, did, record)

    async def process_like(self, connection: Connection, uri: str, cid: str, did: str, record: Record) -> None:
        """Write a like's row."""
        await self._put(connection, like.RECORD, uri, cid, did, record)

    async def process_repost(self, connection: Connection, uri: str, cid: str, did: str, record: Record) -> None:
        """Write a repost's row."""
        await self._put(connection, repost.RECORD, uri, cid, did, record)

    async def process_follow(self, connection: Connection, uri: str, cid: str, did: str, record: Record) -> None:
        """Write a follow's row."""
        await self._put(connection, follow.RECORD, uri, cid, did, record)

    async def process_profile(self, connection: Connection, uri: str, cid: str, did: str, record: Record) -> None:
        """Write the profile's columns in the account's row."""
        await self._put(connection, profile.RECORD, uri, cid, did, record)

    async def process_delete(self, connection: Connection, uri: str) -> None:
        """Delete the row of a record, with all its derived rows."""
        parts = parse_at_uri(uri)
        kind, _ = KINDS.get(parts.collection or "", OTHER)
        batch = Batch()
        batch.mark(kind + 1, uri)
        batch.close(parts.authority, user=False, time=datetime.now(UTC))
        await apply_one(connection, Mode.DIRECT, batch)

    async def _put(self, connection: Connection, record_type: RecordType, uri: str, cid: str, did: str, record: Record) -> None:
        now = datetime.now(UTC)
        at = RecordAddress(did, uri.rpartition("/")[2], uri)
        batch = Batch()
        batch.put(record_type.kind, uri, cid, row_of(record_type, record, at, record_type.collection), now)
        batch.close(did, user=True, time=now)
        await apply_one(connection, Mode.DIRECT, batch)
