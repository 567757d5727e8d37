"""Frames that were read and wait for the server: bounded, in order."""

import asyncio
from collections import deque
from datetime import datetime
from typing import NamedTuple

MAX_BYTES = 16 * 2**20
MAX_FRAMES = 2_048
MAX_BATCH = 250  # frames a script: it holds the server for some ms
MAX_BATCH_BYTES = 4 * 2**20


class Item(NamedTuple):
    """A frame (or, by `gap`, what did not come) for a partition, and where the relay's stream is with it."""

    partition: int
    seq: int | None
    data: bytes
    gap: bool
    cursor: int | None
    time: datetime | None


class Pending:
    """One queue between the reader of the relay and the writer of the server."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._closed = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, item: Item) -> None:
        """Add at the end; waits while it is full. What is larger than the limit goes in alone."""
        while self._items and (len(self._items) >= MAX_FRAMES or self._bytes >= MAX_BYTES):
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        self._bytes += len(item.data)
        self._filled.set()

    async def take(self) -> list[Item]:
        """What waits, as much as one script carries; nothing once it is closed and empty."""
        while not self._items:
            if self._closed:
                return []
            self._filled.clear()
            await self._filled.wait()
        batch: list[Item] = []
        size = 0
        while self._items and len(batch) < MAX_BATCH and (not batch or size + len(self._items[0].data) <= MAX_BATCH_BYTES):
            batch.append(self._items.popleft())
            size += len(batch[-1].data)
        self._bytes -= size
        self._room.set()
        return batch

    def close(self) -> None:
        """Mark the end."""
        self._closed = True
        self._filled.set()
