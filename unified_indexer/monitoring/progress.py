"""The progress log: a line every 1,000 events, and a line per minute on lag, pool, queue and refusals."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from unified_indexer.metrics import Metrics

STEP = 1_000  # events between two progress lines
LINE_INTERVAL = 1.0  # seconds: at most one progress line in this time
STATUS_INTERVAL = 60.0  # seconds between two status lines

log = logging.getLogger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Progress:
    """Counts finished events and logs progress. The task `run` writes lines that are due when no further event arrives."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        pool_use: Callable[[], tuple[int, int]],
        queue_depth: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """`pool_use` gives (busy, size) in connections, `queue_depth` events; `clock` seconds, `now` an aware time."""
        self._metrics = metrics
        self._pool_use = pool_use
        self._queue_depth = queue_depth
        self._clock = clock
        self._now = now
        self._next = metrics.finished - metrics.finished % STEP + STEP  # the multiple that calls for the next line
        self._line_at = self._status_at = clock()
        self._line_finished = metrics.finished

    def finished(self, n: int = 1) -> None:
        """Count `n` more finished events: written, stale, or refused and kept."""
        self._metrics.finished += n
        if self._metrics.finished >= self._next:
            self._line(self._clock())

    def tick(self) -> None:
        """Write what is due: a progress line that waited for its second, a status line after a minute."""
        now = self._clock()
        if self._metrics.finished >= self._next:
            self._line(now)
        if now - self._status_at >= STATUS_INTERVAL:
            self._status_at = now
            self._status()

    async def run(self) -> None:
        """Tick once a second until cancelled."""
        while True:
            await asyncio.sleep(LINE_INTERVAL)
            self.tick()

    def _line(self, now: float) -> None:
        elapsed = now - self._line_at
        if elapsed < LINE_INTERVAL:
            return
        finished = self._metrics.finished
        crossed = finished - finished % STEP
        log.info("Processed %s events (~%.0f events/sec)", f"{crossed:,}", (finished - self._line_finished) / elapsed)
        self._next = crossed + STEP
        self._line_at = now
        self._line_finished = finished

    def _status(self) -> None:
        busy, size = self._pool_use()
        seen = self._metrics.last_event_time
        # A relay's clock may run ahead of ours: never a negative lag.
        lag = "unknown" if seen is None else f"{max(0.0, (self._now() - seen).total_seconds()):,.1f} s"
        refused = self._metrics.refused
        filtered = self._metrics.filtered
        log.info(
            "Lag %s; pool %d/%d busy; queue %s events; since start: refused %s%s, stale %s, stale messages %s, rev forks %s, "
            "filtered %s%s",
            lag,
            busy,
            size,
            f"{self._queue_depth():,}",
            f"{refused.total():,}",
            _by_reason(refused),
            f"{self._metrics.stale:,}",
            f"{self._metrics.stale_messages:,}",
            f"{self._metrics.rev_fork:,}",
            f"{filtered.total():,}",
            _by_reason(filtered),
        )


def _by_reason(counts: Counter[str]) -> str:
    parts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()) if count)
    return f" ({parts})" if parts else ""
