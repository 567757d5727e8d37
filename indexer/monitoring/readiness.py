"""Whether the worker does what it is for, and if not, why not: the words of /readyz, of the page and of the terminal."""

from typing import Literal, NamedTuple

from indexer.lifecycle import Phase
from indexer.monitoring.gauges import Gauges

MOST_SILENCE = 15.0  # seconds without an answer of the database; it is asked at least every ten

Name = Literal["starting", "stopping", "decision", "database", "not_connected", "lag"]
NAMES: tuple[Name, ...] = ("starting", "stopping", "decision", "database", "not_connected", "lag")


class Reason(NamedTuple):
    """Why the worker is not ready: a fixed name, and a sentence for people."""

    name: Name
    detail: str


def reasons(gauges: Gauges, ready_lag: float) -> list[Reason]:
    """All that is amiss; empty for a worker that is ready. `ready_lag`: seconds that it may be behind, 0 for any."""
    match gauges.phase:
        case Phase("stopping", why):
            return [Reason("stopping", why)]
        case Phase("held", decision):
            return [Reason("decision", decision)]
        case Phase("lost"):
            return [Reason("database", "the connection was lost; trying again")]
        case Phase("starting"):
            return [Reason("starting", "the database is not reached, or not prepared yet")]
        case _:
            return _while_running(gauges, ready_lag)


def _while_running(gauges: Gauges, ready_lag: float) -> list[Reason]:
    found: list[Reason] = []
    if gauges.database_silence > MOST_SILENCE:
        found.append(Reason("database", f"no answer for {gauges.database_silence:.0f} s"))
    if not gauges.connected:
        last = gauges.metrics.last_reconnects
        why = last[-1].why if last else "the relay is being connected to"
        wait = "" if gauges.next_attempt is None else f"; next attempt in {gauges.next_attempt:.0f} s"
        found.append(Reason("not_connected", why + wait))
    lag = gauges.lag
    if ready_lag and lag is None:
        found.append(Reason("lag", "no event has come yet"))
    if ready_lag and lag is not None and lag > ready_lag:
        found.append(Reason("lag", f"what is written is {lag:,.0f} s behind the relay; READY_LAG_SECONDS is {ready_lag:g}"))
    return found


def state(amiss: list[Reason], rate: float) -> str:
    """In a word: ready, behind (only that, and it goes on), starting, or stalled."""
    match [reason.name for reason in amiss]:
        case []:
            return "ready"
        case ["lag"] if rate > 0:
            return "behind"
        case ["starting", *_]:
            return "starting"
        case _:
            return "stalled"
