"""The status below the log in a terminal: a line of plain numbers, once per second, and where to look."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from unified_indexer.formatting import duration
from unified_indexer.log.handler import hide_status, show_status

INTERVAL = 1.0  # seconds between two looks


class Now(NamedTuple):
    """The worker's current state, as the status line shows it."""

    state: str  # of the connection: live, catching up, not connected, …
    events_per_second: float
    lag: float | None  # seconds behind the relay; None before the first event
    busy: int  # connections of the pool
    size: int
    waiting: int  # events in the lanes
    refused: int  # since start
    finished: int  # events since start
    uptime: float  # seconds
    notes: tuple[str, ...] = ()  # lines to keep in sight below it: where to look


def status_line(now: Now) -> str:
    """`live  350 events/s  lag 0.4 s  …`: the most important values come first, because a narrow terminal shows only the
    beginning."""
    rate = f"{now.events_per_second:.1f}" if now.events_per_second < 9.95 else f"{now.events_per_second:,.0f}"
    lag = "unknown" if now.lag is None else duration(now.lag)
    uptime = f"{int(now.uptime)} s" if now.uptime < 60 else duration(now.uptime)
    parts = (
        now.state,
        f"{rate} events/s",
        f"lag {lag}",
        f"pool {now.busy}/{now.size}",
        f"queue {now.waiting:,}",
        f"refused {now.refused:,}",
        f"{now.finished:,} events",
        f"up {uptime}",
    )
    return "  ".join(parts)


async def keep_showing(snapshot: Callable[[], Now]) -> None:
    """Show the status that `snapshot` returns, every second until cancelled. Without a terminal nothing is shown.

    When it has ended nothing is left of it, so what else writes to the terminal (a traceback) finds an empty line. It waits
    for that, but only a second for a terminal that takes nothing.
    """
    try:
        while True:
            now = snapshot()
            show_status(status_line(now), now.notes)
            await asyncio.sleep(INTERVAL)
    finally:
        await asyncio.to_thread(hide_status)
