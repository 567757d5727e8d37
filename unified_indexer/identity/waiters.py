"""Tasks that wait for the end of a look-up."""

import asyncio
from typing import NamedTuple


class Awaited(NamedTuple):
    """What is waited for. `primary`: only an answer of the one who knows best counts."""

    did: str
    primary: bool


class Waiters:
    """Who waits for what."""

    def __init__(self) -> None:
        self._futures: dict[Awaited, list[asyncio.Future[None]]] = {}

    def __contains__(self, awaited: object) -> bool:
        return awaited in self._futures

    async def wait(self, awaited: Awaited, within: float) -> None:
        """Wait until this has come, `within` seconds at most."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        futures = self._futures.setdefault(awaited, [])
        futures.append(future)
        try:
            await asyncio.wait((future,), timeout=within)
        finally:
            futures.remove(future)
            if not futures and self._futures.get(awaited) is futures:
                del self._futures[awaited]

    def wake(self, awaited: Awaited) -> None:
        """This has come."""
        for future in self._futures.get(awaited, ()):
            if not future.done():
                future.set_result(None)
