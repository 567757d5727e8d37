"""The worker's current state, read from its stages on request; reading costs the stages nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic, time
from typing import Protocol

from unified_indexer.backfill.backfill import Backfill
from unified_indexer.config.settings import Config
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.status.shares import Shares, ShareState
from unified_indexer.lifecycle import Phase
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.lanes import Lane, Lanes, lane_count
from unified_indexer.pipeline.processor import EventProcessor
from unified_indexer.pipeline.session import Session
from unified_indexer.shares import Share
from unified_indexer.stream.partitions import Partitions
from unified_indexer.trust.trust import Trust


class Stages(Protocol):
    """Where the stages are found: the worker."""

    config: Config
    metrics: Metrics
    pool: DatabasePool
    processor: EventProcessor
    trust: Trust
    backfill: Backfill
    shares: Shares

    @property
    def phase(self) -> Phase:
        """What the worker is doing, and why."""
        ...

    @property
    def last_session(self) -> Session | None:
        """The session under the current lock, or under the last one; None before the first one."""
        ...


class Gauges:
    """The worker's state, to be read only."""

    def __init__(self, stages: Stages) -> None:
        self._began = monotonic()
        self._stages = stages
        self._empty = Lanes(lane_count(stages.config.db_pool_size)).all

    @property
    def phase(self) -> Phase:
        """What the worker is doing, and why."""
        return self._stages.phase

    @property
    def session(self) -> Session | None:
        """The session at work; None before the first one, and where the last one says nothing of now (`Phase.reads`)."""
        return self._stages.last_session if self.phase.reads else None

    @property
    def metrics(self) -> Metrics:
        """The counters since the start."""
        return self._stages.metrics

    @property
    def pool(self) -> DatabasePool:
        """The connections, some of them busy."""
        return self._stages.pool

    @property
    def share(self) -> Share:
        """The worker's own."""
        return self._stages.config.share

    @property
    def shares(self) -> list[ShareState]:
        """How far each share of the stream is; empty where one worker has all of it."""
        return self._stages.shares.seen

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes, with their waiting events; without a session the same number of empty lanes."""
        session = self.session
        return self._empty if session is None else session.lanes.all

    @property
    def waiting(self) -> int:
        """Events in the lanes."""
        return sum(map(len, self.lanes))

    @property
    def crowded(self) -> bool:
        """Whether a lane is more than half full: all that can wait leaves the database to the stream.

        Not the lag: a relay that sends nothing, or old events, keeps nothing waiting.
        """
        return any(2 * len(lane) > lane.max_events for lane in self.lanes)

    @property
    def backfill(self) -> Backfill:
        """What fetches whole repos."""
        return self._stages.backfill

    @property
    def processor(self) -> EventProcessor:
        """The writer, with the newest posts."""
        return self._stages.processor

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._began

    @property
    def connected(self) -> bool:
        """Whether the relay's stream is open."""
        session = self.session
        return session is not None and session.firehose.connected

    @property
    def next_attempt(self) -> float | None:
        """Seconds until the next attempt to connect to the relay; None while none is scheduled."""
        session = self.session
        at = None if session is None else session.firehose.next_attempt_at
        return None if at is None else max(0.0, at - monotonic())

    @property
    def database_silence(self) -> float:
        """Seconds since the database answered on the lock's connection, which asks at least every ten; infinity if never."""
        return monotonic() - self.pool.answered_at

    @property
    def received_seq(self) -> int | None:
        """The highest seq received."""
        session = self.session
        return None if session is None else session.position.seq

    @property
    def cursor(self) -> int | None:
        """The highest seq up to which everything is written."""
        session = self.session
        return None if session is None else session.watermark.cursor

    @property
    def written_time(self) -> datetime | None:
        """The stream's time at the cursor, aware; None before the first event, if no cursor was stored."""
        session = self.session
        return None if session is None else session.watermark.time

    @property
    def lag(self) -> float | None:
        """Seconds since the stream's time up to which everything is written; None while that time is unknown.

        A relay's clock may run ahead of ours: never negative.
        """
        written = self.written_time
        return None if written is None else max(0.0, (datetime.now(UTC) - written).total_seconds())

    @property
    def unproven_age(self) -> float | None:
        """Seconds that the first of the unproven repos has waited; None if there is none."""
        since = self.metrics.unproven_since
        return None if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())

    @property
    def stream(self) -> Partitions | None:
        """This worker's part of a stream's server; None where it reads the relay itself."""
        session = self.session
        return session.watermark if session is not None and isinstance(session.watermark, Partitions) else None

    @property
    def publishes(self) -> bool:
        """Whether other services can follow what is written."""
        return self._stages.config.publish is not None

    @property
    def publish_failing(self) -> float:
        """Seconds for which the server of PUBLISH has taken nothing; 0 while it does."""
        since = self.metrics.publish_failing_since
        return 0.0 if since is None else monotonic() - since

    @property
    def verify(self) -> str:
        """What is proven of commits: off, signatures or full."""
        return self._stages.config.verify

    @property
    def lookups(self) -> Mapping[str, int]:
        """Look-ups of identities since the start, by a fixed word for their result."""
        return self._stages.trust.identities.counts

    @property
    def lookups_waiting(self) -> int:
        """Look-ups that wait for their turn."""
        return self._stages.trust.identities.waiting

    @property
    def directory_silence(self) -> float | None:
        """Seconds since the directory stopped answering; None while it answers."""
        since = self._stages.trust.identities.failing_since
        return None if since is None else max(0.0, time() - since)
