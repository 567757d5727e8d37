"""Fresh DID documents: who needs one waits for the next look-up, which the identities make at their own pace."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from unified_indexer.identity.asker import Answer
from unified_indexer.identity.document import Identity
from unified_indexer.identity.key_cache import NoIdentity

PATIENCE = 30.0  # seconds

Document = Identity | NoIdentity


class Source(Protocol):
    """Where documents are looked up: the identities."""

    def ask(self, did: str, *, primary: bool = False) -> None:
        """Have a DID looked up soon; `primary`: not at a replica, which may be behind."""
        ...

    def listen(self, listener: Callable[[Answer], None]) -> None:
        """Have `listener` called with the end of each look-up."""
        ...


class Waiting(NamedTuple):
    """One who waits. `since`: an answer that was asked for before (time.monotonic) may not know what it is about. `primary`:
    nor may a replica's."""

    future: asyncio.Future[Document]
    since: float
    primary: bool


class Documents:
    """The documents that come from now on."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._waiting: dict[str, set[Waiting]] = {}
        source.listen(self._ended)

    async def fresh(self, did: str, *, primary: bool = False) -> Document | None:
        """What the account's document says now; None if nobody answers in time. `primary`: a replica's word is not enough."""
        one = Waiting(asyncio.get_running_loop().create_future(), time.monotonic(), primary)
        waiting = self._waiting.setdefault(did, set())
        waiting.add(one)
        self._source.ask(did, primary=primary)
        try:
            async with asyncio.timeout(PATIENCE):
                return await one.future
        except TimeoutError:
            return None
        finally:
            waiting.discard(one)
            if not waiting and self._waiting.get(did) is waiting:
                del self._waiting[did]

    def _ended(self, answer: Answer) -> None:
        if answer.identity is None:
            return
        for one in self._waiting.get(answer.did, ()):
            if one.since <= answer.began and (answer.primary or not one.primary) and not one.future.done():
                one.future.set_result(answer.identity)
