"""A session: everything that lives as long as one lock. When the lock is lost, the next session begins at the stored cursor."""

from datetime import UTC, datetime

from indexer.config.settings import Config
from indexer.metrics import Metrics
from indexer.pipeline.lanes import Lanes, lane_count
from indexer.pipeline.watermark import Ticket, Watermark
from indexer.protocol.events import Event
from indexer.protocol.frames import decode
from indexer.relay.firehose import Firehose
from indexer.relay.position import Position, Stored


class Session:
    """One session's place in the stream: `position` is what was received, `watermark` what is finished.

    Between the two, events wait in `lanes`; `firehose` brings them.
    """

    def __init__(self, config: Config, metrics: Metrics, stored: Stored, start: int | None) -> None:
        """`stored`: where to resume; without a stored cursor, begin at `start` (None: live)."""
        self.position = Position(config.relay_host, stored, start)
        self.watermark = Watermark(stored.seq, stored.time)
        self.lanes = Lanes(lane_count(config.db_pool_size))
        self.firehose = Firehose(config.relay_url, self.position, idle_timeout=config.idle_timeout, metrics=metrics)
        self._metrics = metrics
        self._claims = config.verify != "off"
        self._now = datetime.now(UTC)

    def decode(self, frame: bytes) -> Event:
        """Decode the frame into an event, with its time bounded by our clock."""
        self._now = datetime.now(UTC)
        return decode(frame, self.position.time, self._now, claims=self._claims)

    def arrived(self, seq: int | None, time: datetime | None = None, repo: str = "") -> Ticket:
        """Register the event just decoded, in arrival order. The caller must finish the returned ticket."""
        position, gap = self.position, None
        if time is position.time or time is self._now:
            time = None  # what stands in for a time that is not believed says nothing of where the stream is
        if time is not None:
            time = min(time, self._now)
        if seq is not None:
            gap = position.arrived(seq, time, repo)
            self._metrics.gaps += gap is not None
            self._metrics.last_event_time = position.time
        return self.watermark.arrive(seq, None if time is None else position.time, gap)
