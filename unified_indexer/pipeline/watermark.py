"""How far the stream is finished without a break: only this may become the cursor."""

import asyncio
from collections import deque
from datetime import datetime
from time import monotonic

from unified_indexer.relay.gaps import Gap

# Lanes bound the events that wait in them; this bounds those that are finished behind one that is not, as tickets of 100 bytes:
# messages that are ignored, and all that other lanes write while one can't.
MAX_OPEN = 65_536


class Ticket:
    """One event that has arrived: its seq (None for a message without one), its time, the gap before it, when it arrived (by
    time.monotonic), and whether it is finished."""

    __slots__ = ("arrived_at", "finished", "gap", "seq", "time")

    def __init__(self, seq: int | None, time: datetime | None, gap: Gap | None = None) -> None:
        self.seq = seq
        self.time = time
        self.gap = gap
        self.arrived_at = monotonic()
        self.finished = False


class Watermark:
    """The longest finished prefix, in arrival order. `cursor` is the highest seq in it, `time` that event's time.

    `stored` is the seq up to which this is in the database; `gaps` lie after it, and are to be stored with the cursor. `began`:
    the seq before the first event, where no cursor was stored.
    """

    def __init__(self, cursor: int | None = None, time: datetime | None = None, most: int | None = None) -> None:
        """`most`: events that may have arrived behind one that is not finished, MAX_OPEN if not given."""
        self.cursor = self.stored = cursor
        self.time = time
        self.began: int | None = None
        self.gaps: list[Gap] = []
        self._open: deque[Ticket] = deque()
        self._most = most or MAX_OPEN
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        """Events that arrived and are not yet behind the watermark."""
        return len(self._open)

    @property
    def has_room(self) -> bool:
        """Whether one more event may arrive behind one that is not finished."""
        return len(self._open) < self._most

    async def room(self) -> None:
        """Wait until it has room."""
        while not self.has_room:
            self._moved.clear()
            await self._moved.wait()

    async def settled(self) -> None:
        """Wait until all that has arrived is finished and stored, while no more arrives."""
        while self._open or self.stored != self.cursor:
            self._moved.clear()
            await self._moved.wait()

    def arrive(self, seq: int | None, time: datetime | None, gap: Gap | None = None) -> Ticket:
        """Register an event in arrival order. The caller must `finish` the returned ticket."""
        ticket = Ticket(seq, time, gap)
        if self.began is None and seq is not None and self.stored is None:
            self.began = max(0, seq - 1)
        self._open.append(ticket)
        return ticket

    def passed(self, seq: int, time: datetime | None, gap: Gap | None = None) -> None:
        """Register an event of another worker's, which is finished as it arrives. However many such come behind one that is
        not finished, they take one place."""
        last = self._open[-1] if self._open else None
        if gap is None and last is None and self.cursor is not None:
            if seq > self.cursor:
                self.cursor, self.time = seq, time or self.time
        elif gap is None and last is not None and last.finished:
            if last.seq is None or seq > last.seq:
                last.seq, last.time = seq, time or last.time
        else:
            self.finish(self.arrive(seq, time, gap))

    def saved(self, cursor: int, gaps: int) -> None:
        """Note that the cursor is stored, and with it the first `gaps` of the gaps."""
        self.stored = cursor
        self._moved.set()
        del self.gaps[:gaps]

    def finish(self, ticket: Ticket) -> None:
        """Mark the event as finished: committed, kept as a dead letter, or counted without effect."""
        ticket.finished = True
        waiting = self._open
        while waiting and waiting[0].finished:
            first = waiting.popleft()
            self._moved.set()
            if first.gap is not None:
                self.gaps.append(first.gap)
            # A seq that comes again, or goes down a little, never moves the cursor back.
            if first.seq is not None and (self.cursor is None or first.seq > self.cursor):
                self.cursor = first.seq
                self.time = first.time or self.time
