"""Look-ups that wait for their turn: four lines by urgency, every one bounded.

The newest first, because its account writes just now; what falls out at the old end comes again when it is used again. Only of
those that somebody waits for, half a minute each, the oldest goes first: they are few.
"""

from collections import OrderedDict
from enum import IntEnum

MOST_WAITING = 10_000  # of one urgency


class Urgency(IntEnum):
    """Why a DID is asked for."""

    REFRESH = 0  # a signature failed: somebody waits for the answer
    FRESH = 1  # somebody waits for what the document says now
    FIRST = 2  # nothing is known of it
    AGAIN = 3  # what is known is old


# Whose turn it is: each urgency gets its share, so a flood of one keeps none of the others waiting for ever.
_TURNS = (
    (Urgency.REFRESH, Urgency.FRESH, Urgency.FIRST, Urgency.AGAIN),
    (Urgency.FIRST, Urgency.REFRESH, Urgency.FRESH, Urgency.AGAIN),
    (Urgency.FRESH, Urgency.REFRESH, Urgency.FIRST, Urgency.AGAIN),
    (Urgency.REFRESH, Urgency.FIRST, Urgency.FRESH, Urgency.AGAIN),
    (Urgency.AGAIN, Urgency.FIRST, Urgency.REFRESH, Urgency.FRESH),
)


class WaitingLine:
    """The DIDs that wait."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._lines: dict[Urgency, OrderedDict[str, None]] = {urgency: OrderedDict() for urgency in Urgency}
        self._turn = 0

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __contains__(self, did: str) -> bool:
        return any(did in line for line in self._lines.values())

    def count(self, urgency: Urgency) -> int:
        """How many of this urgency wait."""
        return len(self._lines[urgency])

    def put(self, did: str, urgency: Urgency) -> None:
        """Have a DID wait as the newest, once, with the higher of two urgencies."""
        for other, line in self._lines.items():
            if did in line and other <= urgency:
                if other is not Urgency.FRESH:
                    line.move_to_end(did)
                return
            line.pop(did, None)
        line = self._lines[urgency]
        line[did] = None
        if len(line) > self._most:
            line.popitem(last=False)

    def pop(self) -> tuple[str, Urgency]:
        """Take the next one. Raises IndexError if none waits."""
        self._turn += 1
        for urgency in _TURNS[self._turn % len(_TURNS)]:
            if self._lines[urgency]:
                return self._lines[urgency].popitem(last=urgency is not Urgency.FRESH)[0], urgency
        raise IndexError
