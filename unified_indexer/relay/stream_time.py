"""What time it is in the stream: the median of many accounts' times, because each account's own server writes its time."""

from bisect import bisect_left, insort
from collections import OrderedDict
from datetime import datetime, timedelta
from time import monotonic

WINDOW = 301  # accounts whose last times count
ENOUGH = 15  # below that, a median says no more than one event
MAX_SPREAD = timedelta(seconds=10)  # of the middle half; on a quieter stream the median lies too far behind what comes
KEPT_FOR = 10.0  # seconds since arrival: after a silence the old times say nothing


class StreamTime:
    """The times of the accounts that sent something last, one per account. Times are bounded by our clock before."""

    def __init__(self) -> None:
        self._by_repo: OrderedDict[str, tuple[datetime, float]] = OrderedDict()
        self._sorted: list[datetime] = []

    def clear(self) -> None:
        """Forget all times, because a new connection may continue at another time."""
        self._by_repo.clear()
        self._sorted.clear()

    def take(self, repo: str, time: datetime) -> datetime:
        """Register an event; return the stream's time: the median, or the event's own time if a median means nothing yet."""
        now = monotonic()
        known = self._by_repo.pop(repo, None)
        if known is not None:
            self._remove(known[0])
        while self._by_repo:
            oldest, arrived_at = next(iter(self._by_repo.values()))
            if len(self._by_repo) < WINDOW and now - arrived_at <= KEPT_FOR:
                break
            self._by_repo.popitem(last=False)
            self._remove(oldest)
        self._by_repo[repo] = (time, now)
        times = self._sorted
        insort(times, time)
        count = len(times)
        if count < ENOUGH or times[count * 3 // 4] - times[count // 4] > MAX_SPREAD:
            return time
        return times[(count - 1) // 2]

    def _remove(self, time: datetime) -> None:
        del self._sorted[bisect_left(self._sorted, time)]
