"""A session: everything that lives as long as one lock. When the lock is lost, the next session begins at the stored cursor."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from unified_indexer.config.settings import Config
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.lanes import Lanes, lane_count
from unified_indexer.pipeline.watermark import Ticket, Watermark
from unified_indexer.protocol.commits import Clock
from unified_indexer.protocol.events import Event, Foreign
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.syntax import parse_datetime
from unified_indexer.relay.firehose import Firehose, Source
from unified_indexer.relay.gaps import Gap
from unified_indexer.relay.position import Position, Stored

POLL = 0.1  # seconds between two looks whether somebody wants to stop, where a run ends by itself
TIMES_OF_OTHERS = 16  # of so many events of other shares the time of one is read


class Session:
    """One session's place in the stream: `position` is what was received, `watermark` what is finished.

    Between the two, events wait in `lanes`; `firehose` brings them.
    """

    def __init__(self, config: Config, metrics: Metrics, stored: Stored, start: int | None) -> None:
        """`stored`: where to resume; without a stored cursor, begin at `start` (None: live)."""
        self.position = Position(config.relay_host, stored, start)
        self.watermark = Watermark(stored.seq, stored.time)
        self.lanes = Lanes(lane_count(config.db_pool_size))
        self.firehose: Source = Firehose(config.relay_url, self.position, idle_timeout=config.idle_timeout, metrics=metrics)
        self._metrics = metrics
        self._claims = config.verify != "off"
        self._takes = config.share.takes if config.share.sorts else None
        self._share = config.share
        self._passed = 0
        self._now = datetime.now(UTC)

    def has(self, did: str) -> bool:
        """Whether the account is this worker's, and not another one's."""
        return self._share.takes(did)

    async def stored(self, stopping: Callable[[], bool]) -> bool:
        """Wait until all that has arrived is finished, and the cursor is stored behind it. False when `stopping` before."""
        while not stopping():
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self.watermark.settled()
                    return True
        return False

    def decode(self, frame: bytes) -> Event:
        """Decode the frame into an event, with its time bounded by our clock."""
        return decode(frame, self._clock, claims=self._claims, takes=self._takes)

    def _clock(self) -> Clock:
        self._now = datetime.now(UTC)
        return Clock(self.position.time, self._now)

    def passed(self, event: Foreign) -> None:
        """Note an event that is another worker's, so that this one's cursor passes it. Few of their times are looked at: a time
        costs as much as all the rest."""
        self._passed += 1
        time = None
        if self._passed % TIMES_OF_OTHERS == 0 and event.sent is not None:
            time = self._clock().bounded(parse_datetime(event.sent))
        self.watermark.passed(event.seq, *self._registered(event.seq, time, event.did))

    def arrived(self, seq: int | None, time: datetime | None = None, repo: str = "") -> Ticket:
        """Register the event just decoded, in arrival order. The caller must finish the returned ticket."""
        return self.watermark.arrive(seq, *self._registered(seq, time, repo))

    def _registered(self, seq: int | None, time: datetime | None, repo: str) -> tuple[datetime | None, Gap | None]:
        """The stream's time, where the event tells it, and the gap before the event."""
        position, gap = self.position, None
        if time is position.time or time is self._now:
            time = None  # what stands in for a time that is not believed says nothing of where the stream is
        if time is not None:
            time = min(time, self._now)
        if seq is not None:
            gap = position.arrived(seq, time, repo)
            self._metrics.gaps += gap is not None
            self._metrics.last_event_time = position.time
        return None if time is None else position.time, gap
