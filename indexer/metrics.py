"""What the worker counts: plain numbers in this process, since its start."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Metrics:
    """Counters that every stage adds to directly; all of them run on one loop, so there is nothing to lock."""

    finished: int = 0  # events: written, found stale, or refused and kept
    events: Counter[str] = field(default_factory=Counter[str])  # by type: commit, sync, identity, account, info, ...
    filtered: Counter[str] = field(default_factory=Counter[str])  # commits left out, in whole or in part: inactive, selection
    refused: Counter[str] = field(default_factory=Counter[str])  # by reason
    stale: int = 0  # commits whose rev was not newer than the stored one
    stale_messages: int = 0  # #account and #identity that were not newer than the last of their kind
    rev_fork: int = 0  # commits with the stored rev but other content
    reconnects: int = 0  # connections to the relay after the first attempt, failed attempts included
    dead_letters: int = 0
    frames_dropped: int = 0  # dead letters that were kept without their frame, since there is no more room
    last_event_time: datetime | None = None  # aware, in UTC: that event's own time, for the lag behind the relay

    def counts(self) -> dict[str, int | dict[str, int]]:
        """The counters by name, in JSON's types."""
        return {
            "finished": self.finished,
            "events": dict(self.events),
            "filtered": dict(self.filtered),
            "refused": dict(self.refused),
            "stale": self.stale,
            "stale_messages": self.stale_messages,
            "rev_fork": self.rev_fork,
            "reconnects": self.reconnects,
            "dead_letters": self.dead_letters,
            "frames_dropped": self.frames_dropped,
        }
