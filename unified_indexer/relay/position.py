"""Where in the relay's stream we are: what was received, what to request next, and which gaps seqs and times show.

What is finished of it is the watermark's to say (unified_indexer/pipeline/watermark.py).
"""

import logging
from datetime import datetime
from typing import NamedTuple

from unified_indexer.errors import Stop
from unified_indexer.relay.gaps import MAX_DROP, MEANING, Gap, GapReason, Seam, StreamPosition
from unified_indexer.relay.stream_time import StreamTime

log = logging.getLogger(__name__)


FUTURE_CURSOR = (
    "{host} does not know our cursor {seq} yet ({message}): its numbering is not the one of the stored cursor. Two ways to "
    "continue: start with --reset-cursor and CURSOR=oldest to read all that it holds (replaying is harmless), or set "
    "RELAY_URL to the relay that the cursor came from"
)


class Stored(NamedTuple):
    """What the database holds about this relay's stream: the cursor, its event's time, and a reset that is not judged yet.

    `seq` is None where no cursor is stored. `forgotten`: where an operator took the cursor away (--reset-cursor), or where
    another relay was that was followed before this one (`foreign`), until what came after that is judged.
    """

    seq: int | None = None
    time: datetime | None = None
    forgotten: StreamPosition | None = None
    foreign: bool = False


class Position:
    """The highest seq received and the stream's time there; (None, None) if nothing arrived yet and no cursor is stored.

    `start`: what the relay is asked for where no cursor is stored (None: live, 0: all that it holds). The first event of a
    live stream gives `start` a number, so that a session after this one goes on there.
    """

    def __init__(self, host: str, stored: Stored, start: int | None) -> None:
        self.seq = stored.seq
        self.time = stored.time
        self.start = start
        self._least = start if stored.seq is None else None
        self._times = StreamTime()
        self._host = host
        self._fresh = True  # no event has come on this connection; the first of all follows the cursor's, perhaps of long ago
        self._known: GapReason | None = None  # why something is missing where this connection begins, if that is known
        self._seam: Seam | None = None
        if stored.forgotten is not None:
            goes_on = start is not None and 0 < start <= stored.forgotten.seq
            known: GapReason | None = "other_relay" if stored.foreign else None if goes_on else "reset"
            self._seam = Seam(stored.forgotten, known, reset=True)

    @property
    def resume_from(self) -> int | None:
        """The cursor to request from the relay: the highest seq received, or where to start. None: live."""
        return max((seq for seq in (self.seq, self._least) if seq is not None), default=None)

    def connected(self, *, passing_over: bool = False) -> None:
        """Register a new connection. `passing_over`: it leaves something out, to get past an unreadable message."""
        self._fresh = True
        self._known = "unreadable" if passing_over else None

    def outdated(self) -> None:
        """Register that the relay no longer holds everything after our cursor: it says so before a connection's first event."""
        if self._fresh:
            self._known = self._known or "retention"

    def unknown_yet(self, message: str | None) -> Stop:
        """The error that ends the worker when the relay says that our cursor is in the future."""
        return Stop(FUTURE_CURSOR.format(host=self._host, seq=self.seq, message=message))

    def arrived(self, seq: int, time: datetime | None, repo: str = "") -> Gap | None:
        """Register an event; return the gap before it, which has been logged.

        `time`: the event's own, bounded by our clock; None where it says nothing. `repo`: whose event it is.
        Raises Stop for a relay whose numbering is another than before: neither numbering's cursor means anything in the other.
        """
        if self.seq is not None and seq < self.seq - MAX_DROP:
            raise Stop(
                f"{self._host} now sends seq {seq:,} after {self.seq:,}: it restarted its numbering, so the cursor is "
                "meaningless to it. Two ways to continue: start with --reset-cursor and CURSOR=oldest to read all that it "
                "holds (replaying is harmless), or set RELAY_URL to a relay that kept the old numbering"
            )
        if self._fresh:
            self._join()
        if time is not None:
            time = self._times.take(repo, time)
        gap = None if self._seam is None else self._judge(self._seam, seq, time)
        if self.seq is None or seq > self.seq:
            self.seq = seq
        if self.start is None:
            self.start = seq - 1
        self.time = time or self.time
        return gap

    def _join(self) -> None:
        """The first event of a connection: from here on it is judged whether something is missing before it."""
        self._fresh = False
        self._times.clear()
        if self._seam is not None and self._seam.reset:
            return  # still to be judged
        self._seam = None if self.seq is None else Seam(StreamPosition(self.seq, self.time), self._known)

    def _judge(self, seam: Seam, seq: int, time: datetime | None) -> Gap | None:
        gap = seam.meets(seq, time)
        if seam.judged:
            self._seam = None
        if gap is not None:
            log.warning(
                "Gap: after seq %d of %s the relay continues with seq %d of %s (%s); the events between are not indexed",
                gap.after.seq,
                _time(gap.after.time),
                gap.upto.seq,
                _time(gap.upto.time),
                MEANING[gap.reason],
            )
        return gap


def _time(time: datetime | None) -> str:
    return "unknown time" if time is None else time.isoformat()
