"""Get past an unreadable message: it would come again forever, because the cursor stays before it."""

import logging

from unified_indexer.metrics import Metrics
from unified_indexer.relay.position import Position

# The close codes with which the library refuses a message: a protocol error, text that is not UTF-8, too big.
REFUSALS = {1002: "websocket_protocol_error", 1007: "websocket_protocol_error", 1009: "frame_too_big"}

log = logging.getLogger(__name__)


class Skipping:
    """Counts how often a message at one position was unreadable, and widens the step beyond it.

    `cursor` is what to ask the relay for: the position's own, except to get past such a message.
    """

    def __init__(self, position: Position, metrics: Metrics) -> None:
        self._position = position
        self._metrics = metrics
        self._stuck_at: int | None = None  # the cursor after which a message could not be read
        self._stuck = 0  # how often that happened there

    @property
    def cursor(self) -> int | None:
        """The last received seq itself, never more, except to get past an unreadable message.

        After the second time the cursor moves on by 1, 2, 4, …: seqs have gaps, so how far the message lies ahead is unknown.
        Good events that a step too wide leaves out lie within the same stretch.
        """
        cursor = self._position.resume_from
        if cursor is None or self._stuck < 2 or self._stuck_at != cursor:
            return cursor
        return cursor + 2 ** min(self._stuck - 2, 40)

    @property
    def passing_over(self) -> bool:
        """Whether `cursor` leaves something out."""
        return self.cursor != self._position.resume_from

    def closed(self, code: int | None, why: str) -> None:
        """Register the code with which we closed the connection, None if the relay closed it. Remembers if a message was the
        reason."""
        if code not in REFUSALS:
            return
        at = self._position.resume_from
        if self._stuck == 0 or self._stuck_at != at:
            self._stuck_at, self._stuck = at, 0
            self._metrics.refused[REFUSALS[code]] += 1
        self._stuck += 1
        log.warning("A message after seq %s cannot be read: %s", at, why)
        if self.passing_over:
            log.warning("Skipping everything between the seqs %s and %s", at, self.cursor)
