"""When everything is fetched, as far as anybody can tell. Pure."""

from typing import NamedTuple

from unified_indexer.backfill.pace import STARTS_A_SECOND
from unified_indexer.database.repair.standing import Standing
from unified_indexer.formatting import duration

SURE_FROM = 0.05  # of it done: before, the repos that came may be unlike those that come
UNSURE = 2.0  # times as short or as long
ENOUGH = 10  # repos done of late: with fewer, what is under way counts for more than what came


class Eta(NamedTuple):
    """Seconds: at least, and at most."""

    low: float
    high: float

    def __str__(self) -> str:
        low, high = duration(self.low), duration(self.high)
        return f"about {high}" if self.high <= 1.2 * self.low or low == high else f"{low} to {high}"


def eta(standing: Standing) -> Eta | None:
    """By repos, and by records, because repos differ; at each host no faster than it is asked. None if that is not known:
    nothing is left, hardly anything was done of late, or a list does not say how long it is."""
    if standing.left < 1 or standing.repos < ENOUGH or standing.unsized:
        return None
    by = [standing.left / standing.repos_per_second]
    if standing.records and standing.left_records:
        by.append(standing.left_records / standing.records_per_second)
    by = [max(seconds, standing.longest / STARTS_A_SECOND) for seconds in by]
    unsure = UNSURE if (part := share(standing)) is None or part < SURE_FROM else 1.0
    return Eta(min(by) / unsure, max(by) * unsure)


def share(standing: Standing) -> float | None:
    """How much of what was asked for is done, 0 to 1; None where no job says how much that is."""
    hidden = max(0.0, standing.left - standing.wanted - standing.under_way)
    asked = standing.asked + hidden
    if not asked or standing.unsized:
        return None
    return max(0.0, min(1.0, 1 - (standing.asked_left + hidden) / asked))
