"""An endless stream: events are made as they are sent, and carry the time of then. What was sent a while ago is let go.

The made-up network itself is kept, with the names of its records: 0.5 to 0.7 kB an event.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import UTC, datetime

from relay_simulator.encoding import seq_of
from relay_simulator.forge.forger import Forger
from relay_simulator.forge.told import Forged
from relay_simulator.generator import Generator
from relay_simulator.server import RelayServer
from relay_simulator.truth import Sent

KEPT = 20_000  # frames for clients that come back, of some 4.5 kB each
TICK = 0.02  # seconds from one look at the clock to the next
NUMBERED_FROM = datetime(2026, 7, 1, tzinfo=UTC)
SEQS_PER_SECOND = 10_000  # more than there are events


class RecentFrames:
    """A log that holds the newest `kept` frames, by their positions in the whole stream."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._frames: dict[int, bytes] = {}
        self._highest: dict[int, int] = {}  # the highest seq up to and including each frame
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> bytes:
        try:
            return self._frames[position]
        except KeyError:
            raise ConnectionResetError("the client is too slow: that frame has been let go") from None

    def append(self, frame: bytes) -> None:
        """Add a frame at the end, in place of the oldest."""
        position = self._length
        self._frames[position] = frame
        self._highest[position] = max(self._highest.get(position - 1, -1), seq_of(frame) or -1)
        self._length += 1
        if len(self._frames) > self._kept:
            del self._frames[position - self._kept], self._highest[position - self._kept]

    def after(self, cursor: int, *, inclusive: bool) -> int:
        """The position of the first frame that a client with this cursor has yet to see, of those that are left."""
        there = range(self._length - len(self._frames), self._length)
        bisect = bisect_left if inclusive else bisect_right
        return there.start + bisect(there, cursor, key=self._highest.__getitem__)


class Feed:
    """Makes events for a relay, `rate` a second; that may be changed at any time, and be 0. `note` sees each before it goes."""

    def __init__(
        self,
        relay: RelayServer,
        generator: Generator | Forger,
        rate: float,
        note: Callable[[Sent | Forged], object] | None = None,
    ) -> None:
        self.rate = rate
        self._note = note
        self._relay = relay
        self._generator = generator

    async def run(self) -> None:
        """Goes on until cancelled."""
        loop = asyncio.get_running_loop()
        before, owed = loop.time(), 0.0
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            # After a machine's pause no more than a second's worth at once.
            owed = min(owed + (now - before) * self.rate, max(self.rate, 1.0))
            before = now
            while owed >= 1:
                owed -= 1
                event = self._generator.event(datetime.now(UTC))
                if self._note is not None:
                    self._note(event)
                self._relay.append(event.frame)


def first_seq(start: datetime) -> int:
    """A seq to begin with that is above those of every stream that began earlier, as a relay's are after its restart."""
    return max(1, int((start - NUMBERED_FROM).total_seconds() * SEQS_PER_SECOND))
