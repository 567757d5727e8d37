"""DIDs of which something is true for a while: a bounded set, of which the oldest go first."""

import math
import time


class Recent:
    """At most `most` DIDs."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._until: dict[str, float] = {}  # of time.monotonic, in the order in which they were noted

    def __contains__(self, did: str) -> bool:
        return self._until.get(did, -math.inf) > time.monotonic()

    def __len__(self) -> int:
        return len(self._until)

    def note(self, did: str, seconds: float = math.inf) -> None:
        """It is true of this DID, for these seconds."""
        self._until.pop(did, None)
        self._until[did] = time.monotonic() + seconds
        if len(self._until) > self._most:
            del self._until[next(iter(self._until))]

    def forget(self, did: str) -> None:
        """It is true no more."""
        self._until.pop(did, None)
