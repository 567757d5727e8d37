"""A bounded number of questions at once, each account once."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self


class Crew:
    """At most `most` jobs at once. Leaving the block waits for those under way; cancelling it cancels them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._group = asyncio.TaskGroup()
        self._under_way: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self._group.__aexit__(kind, error, at)

    @property
    def room(self) -> int:
        """How many jobs may be started."""
        return self._most - len(self._under_way)

    @property
    def under_way(self) -> list[str]:
        """The accounts that are asked about."""
        return list(self._under_way)

    def start(self, did: str, job: Coroutine[Any, Any, None]) -> None:
        """Start the job of an account that is not under way; there must be room."""
        self._under_way.add(did)
        # The job itself is the task: one that is cancelled before it began is closed as well.
        self._group.create_task(job).add_done_callback(lambda _: self._under_way.discard(did))
