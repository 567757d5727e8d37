"""The worker's counters: plain numbers in this process, since its start."""

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import NamedTuple

from unified_indexer.formatting import printable, shortened

LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds
BATCH_BOUNDS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0)  # events
HOSTS_KEPT = 20  # whose bad signatures are counted by name
OTHER_HOSTS = "other"
RECONNECTS_KEPT = 10  # different reasons
MOST_OF_A_REASON = 300  # characters


class Reconnect(NamedTuple):
    """Why the worker had to reconnect, how often for that reason, and when last (aware, UTC)."""

    at: datetime
    why: str
    times: int = 1


class Histogram:
    """The number of values up to each of `bounds` and above the one before; the last of `counts` are above all bounds.
    `sum`: of all values."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class Metrics:
    """Counters that every stage adds to directly; all stages run on one loop, so no lock is needed."""

    finished: int = 0  # events: written, found stale, or refused and kept
    events: Counter[str] = field(default_factory=Counter[str])  # by type: commit, sync, identity, account, info, ...
    filtered: Counter[str] = field(default_factory=Counter[str])  # events left out, even in part: inactive, selection, account
    operations: Counter[int] = field(
        default_factory=Counter[int]
    )  # written, by `kind` (unified_indexer/database/write/batch.py)
    refused: Counter[str] = field(default_factory=Counter[str])  # by reason
    verified: Counter[str] = field(default_factory=Counter[str])  # commits and #syncs: proven, unproven, refused, stale
    bad_signatures: Counter[str] = field(default_factory=Counter[str])  # by the host that keeps the repo
    refreshes: int = 0  # keys that were asked for again, because one did not fit or was said to have changed
    settled: Counter[str] = field(default_factory=Counter[str])  # repos that were unproven: proven, failed
    unproven: int = 0  # repos that wait for their key, as of the last minute
    unproven_since: datetime | None = None  # aware, in UTC: since when the first of them waits
    stale: int = 0  # commits whose rev was not newer than the stored one
    stale_messages: int = 0  # #account and #identity that were not newer than the last of their kind
    rev_fork: int = 0  # commits with the stored rev but other content
    doubts: Counter[str] = field(default_factory=Counter[str])  # applied, though not all is proven or there: by reason
    reconnects: int = 0  # connections to the relay after the first attempt, failed attempts included
    last_reconnects: deque[Reconnect] = field(default_factory=lambda: deque[Reconnect](maxlen=RECONNECTS_KEPT))
    was_connected: bool = False  # to the relay, at least once
    confirmations: Counter[str] = field(default_factory=Counter[str])  # what others than the relay said of accounts, by answer
    audited: Counter[str] = field(default_factory=Counter[str])  # random repos, by what their own servers have
    repairs: Counter[str] = field(default_factory=Counter[str])  # repos that were to be fetched whole, by what became of them
    repaired_records: Counter[str] = field(default_factory=Counter[str])  # of those: put, gone, same, refused, kept
    repair_ends: Counter[str] = field(
        default_factory=Counter[str]
    )  # the same, in four words: done, failed, unavailable, put_off
    deletions_unconfirmed: int = 0  # accounts that only a relay says are deleted, as of the last minute
    oldest_deletion: float = 0.0  # seconds since the first of them was told, as of the last minute
    gaps: int = 0  # stretches of the stream that did not come
    dead_letters: int = 0
    published: int = 0  # entries that the stream of PUBLISH has
    publish_waiting: int = 0  # entries that it does not have yet, as of the last second
    publish_failing_since: float | None = None  # by time.monotonic: since when it takes none
    frames_dropped: int = 0  # dead letters that were kept without their frame, since there is no more room
    stuck_wipes: int = 0  # deleted accounts whose rows the database does not let go, as of the last minute
    stuck_letters: int = 0  # letters that wait and were applied again in vain, as of the last minute
    last_event_time: datetime | None = None  # aware, in UTC: the stream's time there, for the lag behind the relay
    latency: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS))  # seconds from a frame's arrival to its end
    batches: Histogram = field(default_factory=lambda: Histogram(BATCH_BOUNDS))  # events a call

    def batch_finished(self, arrivals: list[float]) -> None:
        """Count a durable batch whose events arrived at these times (of time.monotonic)."""
        now = monotonic()
        for arrived_at in arrivals:
            self.latency.observe(now - arrived_at)
        self.batches.observe(len(arrivals))

    def bad_signature_at(self, host: str | None) -> None:
        """Count a signature that the account's key did not make, by the host of its repo, as far as it is known."""
        known = host is not None and (host in self.bad_signatures or len(self.bad_signatures) < HOSTS_KEPT)
        self.bad_signatures[host if known and host is not None else OTHER_HOSTS] += 1

    def reconnecting(self, why: str) -> None:
        """Count a reconnect. `why` may be the relay's own words, which the page shows."""
        self.reconnects += 1
        why = printable(shortened(why, MOST_OF_A_REASON))
        times = 1
        for known in [one for one in self.last_reconnects if one.why == why]:
            self.last_reconnects.remove(known)
            times += known.times
        self.last_reconnects.append(Reconnect(datetime.now(UTC), why, times))

    def counts(self) -> dict[str, int | dict[str, int]]:
        """The counters by name, in JSON's types."""
        return {
            "finished": self.finished,
            "events": dict(self.events),
            "filtered": dict(self.filtered),
            "refused": dict(self.refused),
            "verified": dict(self.verified),
            "stale": self.stale,
            "stale_messages": self.stale_messages,
            "rev_fork": self.rev_fork,
            "doubts": dict(self.doubts),
            "confirmations": dict(self.confirmations),
            "audited": dict(self.audited),
            "repairs": dict(self.repairs),
            "repaired_records": dict(self.repaired_records),
            "reconnects": self.reconnects,
            "gaps": self.gaps,
            "dead_letters": self.dead_letters,
            "frames_dropped": self.frames_dropped,
        }
