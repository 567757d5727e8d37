"""How long to wait before trying again: exponential back-off with full jitter, so that many clients don't return at once."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

CEILING = 60.0  # units: no wait is longer, unless the other side asked for it
MAX_RETRY_AFTER = 900.0  # seconds: a server that asks for more is asked again after this


class Backoff:
    """Waits of 1 unit up to 2, 4, 8, … 60 units, drawn at random within the bounds, until `reset`."""

    def __init__(self, unit: float = 1.0, draw: Callable[[], float] = random.random) -> None:
        """`unit` is in seconds; `draw` gives a random number from 0 up to 1."""
        self.unit = unit
        self._draw = draw
        self._attempts = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        self._attempts += 1
        longest = min(CEILING, 2.0 ** min(self._attempts, 10))
        return self.unit * (1.0 + self._draw() * (longest - 1.0))

    def reset(self) -> None:
        """The attempt succeeded: the next wait is short again."""
        self._attempts = 0


def retry_after(value: str) -> float:
    """Seconds that an HTTP Retry-After header asks for (RFC 9110, section 10.2.3: a number or a date), at most 900.

    0 for a date in the past and for a value that is neither.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
