"""Events whose account's key is being asked for. They wait aside, each account's in order, so that others need not."""

from collections.abc import Collection

from unified_indexer.pipeline.lanes import Lane, Placed
from unified_indexer.protocol.proving import Provable

MAX_EVENTS = 1_024
MAX_BYTES = 16 * 2**20
MAX_OF_ONE = 64  # events of one account, so that it leaves room for others
MAX_MESSAGES = 32  # there before one that proves nothing, so that it leaves room for the account's commits


class Aside:
    """What waits, by DID; bounded in number and in bytes. Tickets stay open, so the cursor does not pass them."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Placed]] = {}
        self._events = 0
        self._bytes = 0

    def __len__(self) -> int:
        """Events that wait."""
        return self._events

    def __contains__(self, did: str) -> bool:
        return did in self._waiting

    def put(self, did: str, placed: Placed) -> bool:
        """Let it wait, behind what waits of its account. False: there is no room."""
        before = self._waiting.get(did, ())
        most = MAX_OF_ONE if isinstance(placed.event, Provable) else MAX_MESSAGES
        if self._events >= MAX_EVENTS or self._bytes >= MAX_BYTES or len(before) >= most:
            return False
        self._waiting.setdefault(did, []).append(placed)
        self._events += 1
        self._bytes += placed.size
        return True

    def take(self, did: str) -> list[Placed]:
        """All of an account's, which wait no more."""
        events = self._waiting.pop(did)
        self._events -= len(events)
        self._bytes -= sum(placed.size for placed in events)
        return events

    def back(self, did: str, lane: Lane, *, answered: bool | None) -> None:
        """Put all of an account's in front of its lane. `answered`: the key was asked for, and there was an answer or none."""
        lane.put_first([placed._replace(answered=answered) for placed in self.take(did)])

    def accounts(self) -> Collection[str]:
        """Whose events wait."""
        return self._waiting.keys()
