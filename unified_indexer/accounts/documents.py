"""Fresh DID documents: who needs one waits for the next look-up, which the identities make at their own pace."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from unified_indexer.identity.document import Identity
from unified_indexer.identity.key_cache import NoIdentity

PATIENCE = 30.0  # seconds

Document = Identity | NoIdentity


class Source(Protocol):
    """Where documents are looked up: the identities."""

    def want(self, did: str) -> None:
        """Have a DID looked up when its turn comes."""
        ...

    def subscribe(self, listener: Callable[[str, Document], None]) -> None:
        """Have `listener` called with each answer."""
        ...


class Documents:
    """The documents that come from now on."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._waiting: dict[str, set[asyncio.Future[Document]]] = {}
        source.subscribe(self._came)

    async def fresh(self, did: str) -> Document | None:
        """What the account's document says now; None if nobody answers in time."""
        future: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(did, set())
        waiting.add(future)
        self._source.want(did)
        try:
            async with asyncio.timeout(PATIENCE):
                return await future
        except TimeoutError:
            return None
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(did) is waiting:
                del self._waiting[did]

    def _came(self, did: str, document: Document) -> None:
        for future in self._waiting.pop(did, ()):
            if not future.done():
                future.set_result(document)
