"""Order per repo: each DID has its lane, one task drains each lane in order, and lanes run in parallel.

Lanes are bounded in number and in bytes; a full one makes the reader wait, and with it the relay.
"""

import asyncio
import os
from collections import deque
from typing import NamedTuple

from unified_indexer.pipeline.watermark import Ticket
from unified_indexer.protocol.events import Commit, RepoEvent

MAX_QUEUED_BYTES = 32 * 2**20  # in all lanes together
MAX_QUEUED = 1_024  # events in all lanes together: a batch each for four lanes; more only leaves the CPU's cache (measured)
MAX_BATCH_BYTES = 4 * 2**20
BLOCK_BYTES = 250  # of memory for each block that waits to be proven, besides the block: a frame may hold 50,000 of 3 bytes
MAX_BATCH = 250  # commits a call: no gain beyond (measured)
# While one lane's batch is made, or flushed to disk, another's is at work: two lanes a core do 5 % more than one (measured).
# Beyond four connections there is nothing to gain on two cores, and batches get smaller.
LANES_PER_CORE = 2
MOST_LANES = 4


def lane_count(pool_size: int) -> int:
    """How many lanes to use: each needs a connection, and the lock uses one of the pool."""
    return min(max(pool_size - 1, 1), LANES_PER_CORE * (os.cpu_count() or 1), MOST_LANES)


class Placed(NamedTuple):
    """An event in a lane, with the ticket that marks its end. `answered`: None until its account's key was asked for on its
    behalf; then whether there was an answer."""

    ticket: Ticket
    event: RepoEvent
    answered: bool | None = None

    @property
    def size(self) -> int:
        """What it counts of the bytes that may wait."""
        event = self.event
        return len(event.frame) + (BLOCK_BYTES * len(event.blocks) if type(event) is Commit else 0)


class Lane:
    """One queue: filled by the reader, drained in batches by the lane's task."""

    def __init__(self, number: int, max_events: int, max_bytes: int) -> None:
        self.number = number
        self.bytes = 0
        self.max_events = max_events
        self._max_bytes = max_bytes
        self._queue: deque[Placed] = deque()
        self._closed = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    async def put(self, placed: Placed) -> None:
        """Add an event at the end; waits while the lane is full. An event larger than the limit goes in alone."""
        while self._queue and (len(self._queue) >= self.max_events or self.bytes >= self._max_bytes):
            self._room.clear()
            await self._room.wait()
        self._queue.append(placed)
        self.bytes += placed.size
        self._filled.set()

    def put_first(self, events: list[Placed]) -> None:
        """Put events that were taken before in front of all others, in their order."""
        self._queue.extendleft(reversed(events))
        self.bytes += sum(placed.size for placed in events)
        self._filled.set()

    async def take(self) -> list[Placed]:
        """The next batch, in order: what waits now, as much as one call carries. Empty at the end of a closed lane."""
        while not self._queue:
            if self._closed:
                return []
            self._filled.clear()
            await self._filled.wait()
        batch: list[Placed] = []
        size = 0
        while self._queue and len(batch) < MAX_BATCH and (not batch or size + self._queue[0].size <= MAX_BATCH_BYTES):
            placed = self._queue.popleft()
            size += placed.size
            batch.append(placed)
        self.bytes -= size
        self._room.set()
        return batch

    def close(self) -> None:
        """Mark the end: `take` returns what is left, then nothing."""
        self._closed = True
        self._filled.set()


class Lanes:
    """The lanes, and which DID uses which lane."""

    def __init__(self, count: int) -> None:
        self.all = tuple(Lane(number, MAX_QUEUED // count, MAX_QUEUED_BYTES // count) for number in range(count))

    def __len__(self) -> int:
        """Events that wait, in all lanes."""
        return sum(map(len, self.all))

    async def put(self, did: str, placed: Placed) -> None:
        """Add an event to its DID's lane; waits while that lane is full."""
        await self.all[hash(did) % len(self.all)].put(placed)

    def close(self) -> None:
        """Mark the end in every lane."""
        for lane in self.all:
            lane.close()
