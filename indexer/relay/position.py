"""Where in the relay's stream we are: what its seqs and times say about gaps, and about a relay that counts anew."""

import logging
from datetime import datetime

from indexer.errors import Stop
from indexer.relay.gaps import MAX_DROP, MEANING, Gap, Place, Reason, Seam
from indexer.relay.stream_time import StreamTime

log = logging.getLogger(__name__)


class Stream:
    """The highest seq received and the time of the stream there; (None, None) where nothing came yet and no cursor is stored.

    `forgotten`: where an operator took the cursor away (--reset-cursor), or where another relay was that was followed before
    this one (`foreign`), until what came after that is judged; `start`: what the relay is asked for instead (None: live, 0:
    all that it holds).
    """

    def __init__(
        self,
        host: str,
        seq: int | None,
        time: datetime | None,
        *,
        forgotten: Place | None = None,
        foreign: bool = False,
        start: int | None = None,
    ) -> None:
        self.seq = seq
        self.time = time
        self._times = StreamTime()
        self._host = host
        self._connections = -1  # none yet: the first event follows the cursor's own, perhaps of long ago
        self._outdated = -1  # the connection on which the relay said that it no longer holds what we ask for
        self._seam: Seam | None = None
        if forgotten is not None:
            goes_on = start is not None and 0 < start <= forgotten.seq
            known: Reason | None = "other_relay" if foreign else None if goes_on else "reset"
            self._seam = Seam(forgotten, known, reset=True)

    def outdated(self, connections: int) -> None:
        """The relay no longer holds all that comes after our cursor: it says so before the first event of a connection."""
        if connections != self._connections:
            self._outdated = connections

    def arrived(
        self, seq: int, time: datetime | None, connections: int, *, repo: str = "", passing_over: bool = False
    ) -> Gap | None:
        """Takes down an event; returns the gap before it, which has been told. `connections`: how often the relay was connected
        to by now. `time`: the event's own, bounded by our clock; `repo`: whose it is.
        `passing_over`: this connection leaves something out, to get past a message that can't be read.

        Raises Stop for a relay whose numbering is another than before: neither numbering's cursor means anything in the other.
        """
        if self.seq is not None and seq < self.seq - MAX_DROP:
            raise Stop(
                f"{self._host} now sends seq {seq:,} after {self.seq:,}: it counts anew: the cursor means nothing to it. Two "
                "ways on: start with --reset-cursor and CURSOR=oldest to read all that it holds (replaying is harmless), "
                "or set RELAY_URL to a relay that kept the old numbering"
            )
        if connections != self._connections:
            self._connect(connections, passing_over)
        if time is not None:
            time = self._times.take(repo, time)
        gap = None if self._seam is None else self._judge(self._seam, seq, time)
        if self.seq is None or seq > self.seq:
            self.seq = seq
        self.time = time or self.time
        return gap

    def _connect(self, connections: int, passing_over: bool) -> None:
        self._connections = connections
        self._times.clear()
        if self._seam is not None and self._seam.reset:
            return  # still to be judged
        known: Reason | None = "unreadable" if passing_over else "retention" if self._outdated == connections else None
        self._seam = None if self.seq is None else Seam(Place(self.seq, self.time), known)

    def _judge(self, seam: Seam, seq: int, time: datetime | None) -> Gap | None:
        gap = seam.meets(seq, time)
        if seam.judged:
            self._seam = None
        if gap is not None:
            log.warning(
                "Gap: after seq %d of %s the relay goes on with seq %d of %s (%s); what lay between is not indexed",
                gap.after.seq,
                _told(gap.after.time),
                gap.upto.seq,
                _told(gap.upto.time),
                MEANING[gap.reason],
            )
        return gap


def _told(time: datetime | None) -> str:
    return "unknown time" if time is None else time.isoformat()
