"""Gaps: missing ranges of the stream. A gap can only be where a new connection joins what came before."""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

# A relay resends and reorders a little; a seq this far below belongs to another numbering.
MAX_DROP = 10_000
# Events come several a second on a public relay, so such a jump right after connecting is events that the relay no longer had.
MAX_JUMP = timedelta(minutes=10)

GapReason = Literal["retention", "unreadable", "reset", "renumbered", "other_relay"]
MEANING: dict[GapReason, str] = {
    "retention": "the relay no longer had it",
    "unreadable": "a message in it could not be read",
    "reset": "by --reset-cursor",
    "renumbered": "by --reset-cursor; the relay restarted its numbering",
    "other_relay": "the events before came from another relay; each relay has its own seqs and times",
}


class StreamPosition(NamedTuple):
    """An event's place in the stream: its seq and the stream's time there."""

    seq: int
    time: datetime | None


class Gap(NamedTuple):
    """The events between `after` and `upto` are missing."""

    reason: GapReason
    after: StreamPosition
    upto: StreamPosition


class Seam:
    """The joint between `after`, the last event before, and the events of a new connection.

    `known` says why something is missing there, where that is known beforehand. `reset`: the connection does not go on after
    `after` but where an operator said. Feed it events by `meets` until it is `judged`.
    """

    def __init__(self, after: StreamPosition, known: GapReason | None, *, reset: bool = False) -> None:
        self.reset = reset
        self.judged = False
        self._after = after
        self._known: GapReason | None = known
        self._first: int | None = None

    def meets(self, seq: int, time: datetime | None) -> Gap | None:
        """Take an event of the new connection; return the gap before it, if there is one. `time` is None if the event has none.

        What only a time can tell waits for an event that has one. A cursor that is stored meanwhile keeps the time from before
        the seam, and a reset stays in the database until it is judged: so no crash in between loses the gap.
        """
        if seq <= self._after.seq and not self.reset:
            self.judged = self._known != "unreadable"  # the relay goes on where we were; what can't be read comes later
            return None
        if self._first is None:
            self._first = seq
        if time is None and (self.reset or self._known is None):
            return None
        self.judged = True
        reason = self._reason(self._first, time)
        return None if reason is None else Gap(reason, self._after, StreamPosition(self._first, time))

    def _reason(self, first: int, time: datetime | None) -> GapReason | None:
        after = self._after
        jump = timedelta(0) if time is None or after.time is None else time - after.time
        if self._known == "other_relay":  # whose seqs mean nothing here
            return "other_relay" if jump > timedelta(0) else None
        if first <= after.seq:  # a replay, in which times go back as seqs do; else it is no replay
            least = timedelta(0) if first < after.seq - MAX_DROP else MAX_JUMP
            return "renumbered" if jump > least else None
        if first == after.seq + 1:  # nothing lies between, however long the relay was silent
            return None
        return self._known or ("retention" if jump >= MAX_JUMP else None)
