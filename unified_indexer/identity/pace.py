"""How fast may be asked, whether it is of use now, and how long may be waited for it."""

import asyncio
import time

BURST = 2  # turns that may be taken at once after a rest
FAILURES = 3  # in a row, until only probes are made
PROBE_INTERVAL = 10.0  # seconds


class Pace:
    """A number of turns per second. `turn` waits until it is one's turn."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0  # of time.monotonic

    async def turn(self) -> None:
        """Wait for a turn, and take it."""
        now = time.monotonic()
        mine = max(self._next, now - (BURST - 1) * self._interval)
        self._next = mine + self._interval
        if mine > now:
            await asyncio.sleep(mine - now)


class Breaker:
    """Opens when answers fail in a row, or when the other side asks us to wait."""

    def __init__(self) -> None:
        self.failing_since: float | None = None  # seconds since 1970
        self._failures = 0
        self._until = 0.0  # of time.monotonic

    @property
    def is_open(self) -> bool:
        """Whether to ask is of no use now."""
        return self._until > time.monotonic()

    def answered(self) -> None:
        """An answer came, whatever it said."""
        self.failing_since, self._failures, self._until = None, 0, 0.0

    def failed(self, retry_after: float | None = None) -> None:
        """No answer came. `retry_after`: seconds that the other side asked us to wait."""
        self._failures += 1
        self.failing_since = time.time() if self.failing_since is None else self.failing_since
        pause = PROBE_INTERVAL if self._failures >= FAILURES else 0.0
        self._until = max(self._until, time.monotonic() + max(pause, retry_after or 0.0))

    async def closed(self) -> None:
        """Wait until it is of use to ask. Who asks while nobody answers is a probe, and the next one waits as long again."""
        await asyncio.sleep(self._until - time.monotonic())
        if self._failures >= FAILURES:
            self._until = time.monotonic() + PROBE_INTERVAL


class Patience:
    """How long all who wait may wait together: `most` seconds at once, of which `rate` come back each second.

    Without an end to it, forged commits of ever new accounts would have the lanes wait for ever new look-ups.
    """

    def __init__(self, most: float, rate: float) -> None:
        self._most = most
        self._rate = rate
        self._left = most
        self._at = time.monotonic()

    def take(self, seconds: float) -> bool:
        """Take these seconds, if as many are left."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < seconds:
            return False
        self._left -= seconds
        return True

    def give_back(self, seconds: float) -> None:
        """They were not needed."""
        self._left = min(self._most, self._left + seconds)
