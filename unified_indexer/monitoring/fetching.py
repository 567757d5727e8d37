"""How far all fetching of whole repos is, for the page and the terminal."""

from time import monotonic
from typing import Any

from unified_indexer.backfill.backfill import Backfill
from unified_indexer.backfill.eta import eta, share

MOST_HOSTS = 8  # parked ones, by name
BAR = 20  # characters


def hindrance(backfill: Backfill) -> str | None:
    """Why nothing is begun or written now: `paused` (by an operator), `stream`, `disk` or `size`; None where it is."""
    standing = backfill.standing
    return "paused" if standing is not None and standing.paused else backfill.held


def shown(backfill: Backfill) -> dict[str, Any] | None:
    """What the page shows; None where nothing was ever fetched, and nothing is to be."""
    standing = backfill.standing
    if standing is None or (standing.idle and not standing.failed and not any(standing.totals)):
        return None
    parked = sorted(backfill.paces.parked_hosts(monotonic()).items(), key=lambda one: -one[1].seconds)
    return {
        "idle": standing.idle,
        "wanted": standing.wanted,
        "under_way": standing.under_way,
        "left": standing.left,
        "unsized": standing.unsized,
        "lists": standing.lists,
        "waiting": standing.waiting,
        "failed": standing.failed,
        "done": standing.totals.done,
        "records": standing.totals.records,
        "unavailable": standing.totals.unavailable,
        "repos_per_second": standing.repos_per_second,
        "records_per_second": standing.records_per_second,
        "share": share(standing),
        "eta": None if (known := eta(standing)) is None else [*known],
        "held": hindrance(backfill),
        "parked": len(parked),
        "hosts": [(host.partition("://")[2], *of) for host, of in parked[:MOST_HOSTS]],
    }


def line(backfill: Backfill) -> str | None:
    """A line for a terminal, with a bar; None while there is nothing to fetch."""
    standing = backfill.standing
    if standing is None or standing.idle:
        return None
    part, known, held = share(standing), eta(standing), hindrance(backfill)
    full = 0 if part is None else int(part * BAR)
    bar = "" if part is None else f"[{'#' * full}{'-' * (BAR - full)}] {int(100 * part)} %  "
    left = f"{standing.left:,.0f} repos{' or more' if standing.unsized else ''} left"
    fast = f"{standing.records_per_second:,.0f} records/s"
    then = f"  held ({held})" if held else "" if known is None else f"  done in {known}"
    return f"backfill {bar}{left}  {fast}{then}"
