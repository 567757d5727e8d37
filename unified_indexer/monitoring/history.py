"""The last fifteen minutes, one sample per second: the source of rates, charts and quantiles."""

import asyncio
from collections import deque
from time import monotonic, time
from typing import NamedTuple

from unified_indexer.metrics import Histogram
from unified_indexer.monitoring.gauges import Gauges

INTERVAL = 1.0  # seconds between two samples
KEPT = 900  # samples: 15 minutes
RATE_OVER = 10  # samples that a rate is taken over
QUANTILE_OVER = 60  # samples that a quantile is taken over


class Sample(NamedTuple):
    """One second: its time (Unix), the events finished per second in it, and the lag (s, None if unknown) at its end."""

    time: float
    rate: float
    lag: float | None


class _Counts(NamedTuple):
    at: float  # time.monotonic
    finished: int
    operations: dict[int, int]
    latency: list[int]


class History:
    """Samples of one worker; `run` takes them, `rate` and the other methods read them."""

    def __init__(self, gauges: Gauges) -> None:
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.gauges = gauges
        self._counts: deque[_Counts] = deque([self._count()], maxlen=QUANTILE_OVER + 1)

    async def run(self) -> None:
        """Take a sample every second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.take()

    def take(self) -> None:
        """Take a sample."""
        before, now = self._counts[-1], self._count()
        self._counts.append(now)
        rate = (now.finished - before.finished) / max(now.at - before.at, 1e-3)
        self.samples.append(Sample(time(), rate, self.gauges.lag))

    @property
    def rate(self) -> float:
        """Events finished per second, over the last ten seconds."""
        first, last = self._over(RATE_OVER)
        return (last.finished - first.finished) / max(last.at - first.at, 1e-3)

    def operations(self) -> dict[int, float]:
        """Operations written per second over the last ten seconds, by `kind`; kinds without any are absent."""
        first, last = self._over(RATE_OVER)
        seconds = max(last.at - first.at, 1e-3)
        return {kind: (count - first.operations.get(kind, 0)) / seconds for kind, count in last.operations.items()}

    def latency(self, share: float) -> float | None:
        """The quantile (0 to 1) of the last minute's latencies, in seconds; None without any."""
        first, last = self._over(QUANTILE_OVER)
        return quantile(
            self.gauges.metrics.latency, [now - then for now, then in zip(last.latency, first.latency, strict=True)], share
        )

    def _over(self, samples: int) -> tuple[_Counts, _Counts]:
        return self._counts[max(-samples - 1, -len(self._counts))], self._counts[-1]

    def _count(self) -> _Counts:
        metrics = self.gauges.metrics
        return _Counts(monotonic(), metrics.finished, dict(metrics.operations), list(metrics.latency.counts))


def quantile(histogram: Histogram, counts: list[int], share: float) -> float | None:
    """The value below which that share of `counts` is, assumed evenly spread within each of `histogram`'s bounds. The
    largest bound for values above all; None without values."""
    rank = share * sum(counts)
    if not rank:
        return None
    low = below = 0.0
    for bound, count in zip(histogram.bounds, counts, strict=False):
        if below + count >= rank:
            return low + (bound - low) * (rank - below) / count
        low, below = bound, below + count
    return low
