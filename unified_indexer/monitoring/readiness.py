"""Whether the worker does its job, and if not, why: the words of /readyz, of the page and of the terminal."""

from math import inf
from typing import Literal, NamedTuple

from unified_indexer.formatting import duration
from unified_indexer.lifecycle import Phase
from unified_indexer.monitoring.gauges import Gauges

MOST_SILENCE = 15.0  # seconds without an answer of the database; it is asked at least every ten

Name = Literal["starting", "standby", "stopping", "decision", "database", "not_connected", "lag"]
NAMES: tuple[Name, ...] = ("starting", "standby", "stopping", "decision", "database", "not_connected", "lag")


class NotReady(NamedTuple):
    """Why the worker is not ready: a fixed name, and a sentence for people."""

    name: Name
    detail: str


def reasons(gauges: Gauges, ready_lag: float) -> list[NotReady]:
    """Everything that is wrong; empty for a worker that is ready. `ready_lag`: the seconds that it may be behind, 0 for any."""
    match gauges.phase:
        case Phase("stopping", why):
            return [NotReady("stopping", why)]
        case Phase("held", decision):
            return [NotReady("decision", decision)]
        case Phase("lost"):
            return [NotReady("database", "the connection was lost; trying again")]
        case Phase("standby"):
            return [NotReady("standby", "another worker writes this relay's events; this one takes its place when it ends")]
        case Phase("starting"):
            return [NotReady("starting", "the database is not connected, or not prepared yet")]
        case _:
            return _while_running(gauges, ready_lag)


def _while_running(gauges: Gauges, ready_lag: float) -> list[NotReady]:
    found: list[NotReady] = []
    if gauges.database_silence > MOST_SILENCE:
        silence = gauges.database_silence
        found.append(NotReady("database", "no answer yet" if silence == inf else f"no answer for {_span(silence)}"))
    if not gauges.connected:
        last = gauges.metrics.last_reconnects
        why = last[-1].why if last else "connecting to the relay"
        wait = "" if gauges.next_attempt is None else f"; next attempt in {_span(gauges.next_attempt)}"
        found.append(NotReady("not_connected", why + wait))
    lag = gauges.lag
    if ready_lag and lag is None:
        found.append(NotReady("lag", "no event has arrived yet"))
    if ready_lag and lag is not None and lag > ready_lag:
        found.append(NotReady("lag", f"the database is {_span(lag)} behind the relay; READY_LAG_SECONDS is {ready_lag:g}"))
    return found


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else duration(seconds)


def state(amiss: list[NotReady], rate: float) -> str:
    """One word: ready, behind (only that, and events are written), starting, standby, or stalled."""
    match [reason.name for reason in amiss]:
        case []:
            return "ready"
        case ["lag"] if rate > 0:
            return "behind"
        case ["starting" | "standby" as word, *_]:
            return word
        case _:
            return "stalled"
