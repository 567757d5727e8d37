"""Whether the stream is so quick that two sets may be written at one time.

On two cores two sets take most of what there is, and then the stream's commits take longer. On more cores, or where few events
come, they don't.
"""

import time

from unified_indexer.metrics import Histogram

SLOW = 0.025  # seconds from an event's arrival to its end: one of the bounds by which they are counted
MOST_SLOW = 0.01  # of the events between two looks
LEAST = 100  # events, before anything is said of them
REST = 30.0  # seconds in which one set is written at a time, once the stream was slow


class Calm:
    """`latency`: of the stream's events. Where none come, it is calm."""

    def __init__(self, latency: Histogram) -> None:
        self._latency = latency
        self._slow_from = latency.bounds.index(SLOW) + 1
        self._seen = self._slow = 0
        self._rests_until = 0.0  # of time.monotonic

    def __call__(self) -> bool:
        """Whether the stream is quick, as far as the newest events tell."""
        counts = self._latency.counts
        seen, slow, now = sum(counts), sum(counts[self._slow_from :]), time.monotonic()
        if seen - self._seen >= LEAST:
            if slow - self._slow > MOST_SLOW * (seen - self._seen):
                self._rests_until = now + REST
            self._seen, self._slow = seen, slow
        return now >= self._rests_until
