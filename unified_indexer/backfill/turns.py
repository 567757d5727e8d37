"""Who fetches now: hosts in turn, each at its pace, and how much memory all fetches may have together."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from unified_indexer.backfill.pace import Paces
from unified_indexer.identity.errors import FetchError
from unified_indexer.protocol.spool import MOST_IN_MEMORY

SMALL = 256 * 1024  # bytes that every fetch may hold
LARGE_AT_ONCE = 6  # fetches that may hold up to MOST_IN_MEMORY; with 64 small ones 64 MiB


Locate = Callable[[str], Awaitable[str | None]]


class HostTurns:
    """Turns at hosts, as `paces` has room. `locate` tells a host's address; without it nobody asks for one."""

    def __init__(self, paces: Paces, locate: Locate | None = None) -> None:
        self.paces = paces
        self._locate = locate
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncGenerator[None]:
        """Wait for one's turn at a host; it ends with the block."""
        if self._locate is not None and not self.paces.is_located(host):
            with contextlib.suppress(FetchError):  # whoever asks it will hear the same
                self.paces.lies_at(host, await self._locate(host))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(host, deque()).append(future)
        self._give()
        try:
            await future
        except asyncio.CancelledError:
            self._leave(host, future)
            raise
        try:
            yield
        finally:
            self.paces.end(host)
            self._give()

    def _leave(self, host: str, future: asyncio.Future[None]) -> None:
        if not future.cancelled():  # the turn came at the same moment
            self.paces.end(host)
        elif future in (line := self._waiting.get(host, deque())):
            line.remove(future)
            if not line:
                del self._waiting[host]
        self._give()

    def _give(self) -> None:
        """Gives all turns that there are, and comes back when time alone holds the next."""
        while (host := self.paces.choose(self._waiting, now := time.monotonic())) is not None:
            line = self._waiting[host]
            future = line.popleft()
            if not line:
                del self._waiting[host]
            if not future.cancelled():  # who waits for it may not have heard of that yet
                self.paces.begin(host, now)
                future.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            seconds = self.paces.soonest(self._waiting, time.monotonic())
            if seconds is None:
                parked = [self.paces.parked(host, time.monotonic()) for host in self._waiting]
                seconds = min((left for left in parked if left), default=None)
            if seconds is not None:
                self._timer = asyncio.get_running_loop().call_later(seconds + 0.001, self._give)


class MemoryTurns:
    """How much one fetch may hold: little at once, more in turn, and beyond that the file, one fetch at a time.

    Turns are taken in this order only, so that nobody waits for one who waits for him.
    """

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._spool = asyncio.Semaphore(1)

    def of_one(self) -> "MemoryTurn":
        """For one fetch."""
        return MemoryTurn(self._large, self._spool)


class MemoryTurn:
    """What one fetch has of it; `release` gives all back, any number of times."""

    def __init__(self, large: asyncio.Semaphore, spool: asyncio.Semaphore) -> None:
        self._large = large
        self._spool = spool
        self._has_large = False
        self.spooled = False  # it may be as large as it is

    async def room_for(self, size: int) -> None:
        """Wait until it may hold `size` bytes."""
        if size <= SMALL or self.spooled:
            return
        if not self._has_large:
            await self._large.acquire()
            self._has_large = True
        if size > MOST_IN_MEMORY:
            await self._spool.acquire()
            self.spooled = True
            self._has_large = False
            self._large.release()  # what was in memory goes to the file

    def release(self) -> None:
        """It is over."""
        if self._has_large:
            self._has_large = False
            self._large.release()
        if self.spooled:
            self.spooled = False
            self._spool.release()
