"""DIDs of which something is true for a while: a bounded set, of which the oldest go first."""

import math
import time


class Recent:
    """At most `most` DIDs."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._noted: dict[str, tuple[float, float]] = {}  # since when and until when (time.monotonic), in the order of notes

    def __contains__(self, did: str) -> bool:
        noted = self._noted.get(did)
        return noted is not None and noted[1] > time.monotonic()

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, did: str, seconds: float = math.inf) -> None:
        """It is true of this DID, for these seconds."""
        self._noted.pop(did, None)
        now = time.monotonic()
        self._noted[did] = now, now + seconds
        if len(self._noted) > self._most:
            del self._noted[next(iter(self._noted))]

    def forget(self, did: str, before: float = math.inf) -> None:
        """It is true no more; but of what was noted since `before` (time.monotonic)."""
        if did in self._noted and self._noted[did][0] < before:
            del self._noted[did]
