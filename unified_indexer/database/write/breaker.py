"""If the database refuses very many commits, the fault is probably its own: pause, instead of filling dead letters."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

REFUSED_SHARE = 0.05  # of the commits within the window
REFUSED_AT_LEAST = 20  # below this number a share says nothing
WINDOW = 10.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds, doubled while the refusals go on


class Breaker:
    """Watches the share of refused commits. While `is_open`, try commits one by one, with a pause after each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._window: deque[tuple[float, int, int]] = deque()  # (when, commits, of them refused)
        self._commits = 0
        self._refused = 0
        self._pause = 0.0

    @property
    def is_open(self) -> bool:
        """Whether more than 5 % of the last ten seconds' commits were refused."""
        return self._refused >= REFUSED_AT_LEAST and self._refused > REFUSED_SHARE * self._commits

    def note(self, commits: int, refused: int) -> None:
        """Record how many commits were tried, and how many of them were refused."""
        now = self._clock()
        self._window.append((now, commits, refused))
        self._commits += commits
        self._refused += refused
        while self._window[0][0] < now - WINDOW:
            _, old_commits, old_refused = self._window.popleft()
            self._commits -= old_commits
            self._refused -= old_refused
        if not refused and commits:
            self._pause = 0.0

    async def rest(self) -> None:
        """Pause if the breaker is open, longer each time until a commit is applied again."""
        if not self.is_open:
            return
        self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
        log.warning(
            "The database refused %d of the last %d commits: pausing %.0f s; see unified_worker.dead_letters for the reasons",
            self._refused,
            self._commits,
            self._pause,
        )
        await asyncio.sleep(self._pause)
