"""A few connections of a pool, for work that leaves the others to the stream."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from unified_indexer.database.connection.sessions import Connection


class Pool(Protocol):
    """What lends connections: `size` at most."""

    @property
    def size(self) -> int: ...
    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Borrow one, for a block."""
        ...


class Few:
    """At most `size` connections of `pool` at one time, and only one while not `calm`. Who asks first has one first."""

    def __init__(self, pool: Pool, size: int, calm: Callable[[], bool] = lambda: True) -> None:
        self.size = size
        self._pool = pool
        self._calm = calm
        self._turns = asyncio.Semaphore(size)
        self._lent = 0
        self._returned = asyncio.Event()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Borrow one, for a block."""
        async with self._turns:
            while self._lent and not self._calm():
                self._returned.clear()
                await self._returned.wait()
            self._lent += 1
            try:
                async with self._pool.connection() as connection:
                    yield connection
            finally:
                self._lent -= 1
                self._returned.set()
