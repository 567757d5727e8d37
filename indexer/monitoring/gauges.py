"""What the worker is just now, read from its stages when somebody asks; looking costs the stages nothing."""

from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

from indexer.database.connection.pool import DatabasePool
from indexer.metrics import Metrics
from indexer.pipeline.lanes import Lane, Lanes
from indexer.pipeline.processor import EventProcessor
from indexer.pipeline.watermark import Watermark
from indexer.relay.firehose import Firehose
from indexer.relay.position import Stream


class Stages(Protocol):
    """Where the stages are found: the worker, which replaces some of them when it begins again."""

    metrics: Metrics
    pool: DatabasePool
    processor: EventProcessor
    watermark: Watermark
    stream: Stream
    lanes: Lanes
    firehose: Firehose


class Gauges:
    """The worker's state. It sets `prepared` while the database is, `lost` once it was lost again, `stopping` to why,
    and `decision` to what an operator is to decide, where it waits for that."""

    def __init__(self, stages: Stages) -> None:
        self.prepared = False
        self.lost = False
        self.stopping = ""
        self.decision = ""
        self._began = monotonic()
        self._stages = stages

    @property
    def metrics(self) -> Metrics:
        """What was counted since the start."""
        return self._stages.metrics

    @property
    def pool(self) -> DatabasePool:
        """The connections, of which some are busy."""
        return self._stages.pool

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes, with what waits in them."""
        return self._stages.lanes.all

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
        return self._stages.firehose.connected

    @property
    def next_attempt(self) -> float | None:
        """Seconds until the relay is connected to again; None while that is not waited for."""
        at = self._stages.firehose.next_attempt_at
        return None if at is None else max(0.0, at - monotonic())

    @property
    def database_silence(self) -> float:
        """Seconds since the database answered on the lock's connection, which asks at least every ten; infinity: never."""
        return monotonic() - self.pool.answered_at

    @property
    def received_seq(self) -> int | None:
        """The highest seq received."""
        return self._stages.stream.seq

    @property
    def cursor(self) -> int | None:
        """The highest seq up to which everything is written."""
        return self._stages.watermark.cursor

    @property
    def written_time(self) -> datetime | None:
        """The stream's time there, aware; None before the first one where no cursor was stored."""
        return self._stages.watermark.time

    @property
    def lag(self) -> float | None:
        """Seconds from the time of the stream up to which everything is written; None while there is none.

        A relay's clock may run ahead of ours: never negative.
        """
        time = self.written_time
        return None if time is None else max(0.0, (datetime.now(UTC) - time).total_seconds())
