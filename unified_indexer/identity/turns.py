"""Who may ask now: how many requests there may be at once, in all and at a host."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Turns:
    """Gives turns. One waits first for its host, so that a slow host takes none of the others' turns."""

    def __init__(self, most: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._hosts: dict[str, tuple[asyncio.Semaphore, int]] = {}  # and how many wait or ask there

    @asynccontextmanager
    async def turn(self, host: str, most: int) -> AsyncGenerator[None]:
        """Wait until fewer than `most` ask at this host; the turn ends with the block."""
        semaphore, users = self._hosts.get(host) or (asyncio.Semaphore(most), 0)
        self._hosts[host] = (semaphore, users + 1)
        try:
            async with semaphore, self._all:
                yield
        finally:
            semaphore, users = self._hosts[host]
            if users == 1:
                del self._hosts[host]
            else:
                self._hosts[host] = (semaphore, users - 1)
