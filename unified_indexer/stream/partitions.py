"""The partitions that this worker has, each with its own place in the stream.

Together they are one position and one watermark, so that the worker's flow is the same as with a relay.
"""

from collections.abc import Mapping
from datetime import datetime
from time import monotonic

from unified_indexer.pipeline.watermark import Ticket, Watermark
from unified_indexer.relay.gaps import MEANING, Gap, StreamPosition
from unified_indexer.relay.position import Position, Stored
from unified_indexer.relay.stream_time import StreamTime
from unified_indexer.stream.pieces import Joining

TICK = 1.0  # seconds between two steps of a partition in which nothing comes
MOST_OPEN = 8_192  # events of a partition that arrived behind one that is not finished


class StreamGap(Gap):
    """A gap of the whole stream, found by the ingester; any other one is of its partition."""


class PartTicket(Ticket):
    """A ticket that knows its partition."""

    __slots__ = ("part",)

    def __init__(self, part: "Partition", seq: int | None, time: datetime | None, gap: Gap | None) -> None:
        super().__init__(seq, time, gap)
        self.part = part


class Partition(Watermark):
    """One partition: what of it is finished (as a Watermark), and where it is read. `number` counts from 1."""

    def __init__(self, number: int, stored: StreamPosition | None) -> None:
        super().__init__(*(stored or (None, None)), most=MOST_OPEN)
        self.number = number
        self.leaving = False  # another worker is to have it
        self.idle = False  # nothing of it is being read any more
        self.judged = False  # whether it is known that nothing was trimmed before us
        self.received: int | None = self.cursor  # the highest seq
        self.now = self.time  # the stream's time there
        self.times = StreamTime()
        self.joining = Joining()
        self.last_id = b""
        self._ticked = 0.0

    def rejoin(self) -> None:
        """A new connection reads from here: behind what was received, but what came late under that seq comes again."""
        self.joining = Joining()
        self.last_id = b"0-0" if self.received is None else b"%d-0" % self.received

    def arrive(self, seq: int | None, time: datetime | None, gap: Gap | None = None) -> PartTicket:
        ticket = PartTicket(self, seq, time, gap)
        self._open.append(ticket)
        return ticket

    def took(self, seq: int, time: datetime | None, repo: str) -> None:
        """Register an event's place."""
        if time is not None:
            self.now = self.times.take(repo, time)
        if self.received is None or seq > self.received:
            self.received = seq

    def tick(self, seq: int, time: datetime | None) -> None:
        """All of the stream up to here has been received: so the cursor may pass it when that is finished."""
        now = monotonic()
        if now - self._ticked >= TICK and (self.received is None or seq > self.received):
            self._ticked = now
            self.received, self.now = seq, time or self.now
            self.finish(self.arrive(seq, time))

    def misses(self, gap: Gap) -> None:
        """Register what did not come, behind all that did."""
        self.finish(self.arrive(None, None, gap))

    def judge(self, trimmed: int | None) -> Gap | None:
        """The gap before us, if the server no longer has what this database lacks: it went back, to a standby or a backup."""
        self.judged = True
        begun = self.received or 0
        if trimmed is None or trimmed <= begun:
            return None
        gap = Gap("retention", StreamPosition(begun, self.time), StreamPosition(trimmed, None))
        self.misses(gap)
        return gap


class Place(Position):
    """The partition that is being read, as the position of the stream."""

    def __init__(self, host: str) -> None:
        super().__init__(host, Stored(), 0)
        self.part: Partition | None = None

    def at(self, part: Partition) -> None:
        """The next events are of this partition."""
        self.part, self.time = part, part.now

    def arrived(self, seq: int, time: datetime | None, repo: str = "") -> Gap | None:
        """Register an event of that partition. Gaps are the ingester's to find."""
        if self.part is not None:
            self.part.took(seq, time, repo)
            self.time = self.part.now
        self.seq = max(seq, self.seq or 0)
        return None


class Partitions(Watermark):
    """All partitions of this worker, as one watermark: `cursor` and `time` are those of the last of them, as of `refresh`."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.parts: dict[int, Partition] = {}
        self.workers = 0
        self.memory: float | None = None  # the share of the server's memory that is in use
        self.full = False  # whether the ingester waits for room there

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def reading(self) -> list[Partition]:
        """Those to read from; the others are idle from now on."""
        for part in self.parts.values():
            part.idle = part.leaving
        return [part for part in self.parts.values() if not part.leaving]

    @property
    def has_room(self) -> bool:
        return self.place.part is None or self.place.part.has_room

    async def room(self) -> None:
        if self.place.part is not None:
            await self.place.part.room()

    def arrive(self, seq: int | None, time: datetime | None, gap: Gap | None = None) -> Ticket:
        if self.place.part is None:
            raise RuntimeError("no partition is being read")
        return self.place.part.arrive(seq, time, gap)

    def finish(self, ticket: Ticket) -> None:
        if isinstance(ticket, PartTicket):
            ticket.part.finish(ticket)

    def refresh(self) -> None:
        """Where the last of the partitions is; what has no cursor yet has nothing behind it either."""
        known = [part for part in self.parts.values() if part.cursor is not None]
        if known:
            last = min(known, key=lambda part: part.cursor or 0)
            self.cursor, self.time = last.cursor, last.time


def gap_of(said: Mapping[str, object]) -> StreamGap | None:
    """A gap as the ingester put it; None for what is none."""
    match said:
        case {
            "reason": str() as reason,
            "after": [int() as after, str() as after_time],
            "upto": [int() as upto, str() as upto_time],
        } if reason in MEANING:
            return StreamGap(reason, StreamPosition(after, _time(after_time)), StreamPosition(upto, _time(upto_time)))
        case _:
            return None


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
