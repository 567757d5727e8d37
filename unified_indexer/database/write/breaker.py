"""If the database refuses commits of very many accounts, the fault is probably its own: pause, instead of filling dead letters.

One account can have any number of its commits refused. So an account's refusals count once within the window, unless there is
hardly anything but refusals: a worker of few accounts has no more.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection

log = logging.getLogger(__name__)

REFUSED_SHARE = 0.05  # of the commits within the window
REFUSED_AT_LEAST = 20  # accounts: below this number a share says nothing
NEARLY_ALL = 0.9  # of the commits within the window, whosever they are
WINDOW = 10.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds, doubled while the refusals go on


class Breaker:
    """Watches whose commits are refused. While `is_open`, try commits one by one, with a pause after each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._window: deque[tuple[float, int, Collection[str | None]]] = deque()  # (when, commits, whose were refused)
        self._commits = 0
        self._refused: Counter[str | None] = Counter()  # by account, within the window
        self._pause = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the accounts with refused commits are more than 5 % of the last ten seconds' commits; or nearly all of these
        were refused."""
        accounts, refused = len(self._refused), self._refused.total()
        if accounts >= REFUSED_AT_LEAST and accounts > REFUSED_SHARE * self._commits:
            return True
        return refused >= REFUSED_AT_LEAST and refused > NEARLY_ALL * self._commits

    def note(self, commits: int, refused: Collection[str | None] = ()) -> None:
        """Record how many commits were tried, and the accounts of those that were refused."""
        now = self._clock()
        self._window.append((now, commits, refused))
        self._commits += commits
        self._refused.update(refused)
        while self._window[0][0] < now - WINDOW:
            _, old_commits, old_refused = self._window.popleft()
            self._commits -= old_commits
            for did in old_refused:
                self._refused[did] -= 1
            self._refused = +self._refused
        if not refused and commits:
            self._pause = 0.0

    async def rest(self) -> None:
        """Pause if the breaker is open, longer each time until a commit is applied again."""
        if not self.is_open:
            return
        self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
        log.warning(
            "The database refused commits of %d accounts, of %d commits in all: pausing %.0f s; "
            "see unified_worker.dead_letters for the reasons",
            len(self._refused),
            self._commits,
            self._pause,
        )
        await asyncio.sleep(self._pause)
