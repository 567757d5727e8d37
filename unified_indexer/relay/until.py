"""Where a run is to end by itself (--until): at a seq, or at a time of the stream."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unified_indexer.config.values import MAX_SEQ
from unified_indexer.protocol.events import Event

if TYPE_CHECKING:  # the command line reads --until before it knows whether there is a relay to follow
    from unified_indexer.relay.firehose import Source
    from unified_indexer.relay.position import Position

WRITE = f"write a seq (0 to {MAX_SEQ}), or a time in ISO 8601 (2026-11-29T22:00:00Z; without a zone it is UTC)"


class Until:
    """The end of a run. At a seq no later event is taken in; at a time the last one is that which brings the stream there."""

    def __init__(self, text: str) -> None:
        """Raises ValueError, which says what to write."""
        self._text = text.strip()
        self._seq: int | None = None
        self._time: datetime | None = None
        self._passed = False
        if re.fullmatch(r"[0-9]{1,19}", self._text) and int(self._text) <= MAX_SEQ:
            self._seq = int(self._text)
            return
        try:
            time = datetime.fromisoformat(self._text)
        except ValueError:
            raise ValueError(WRITE) from None
        self._time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)

    def __str__(self) -> str:
        return self._text

    async def frames(self, source: "Source", position: "Position") -> AsyncGenerator[bytes]:
        """The source's frames as far as the end. `position`: what has arrived of them."""
        self._passed = False  # of the session before: what it had not written is read again
        if self.reached(position.seq, position.time):
            return
        async with aclosing(source.frames()) as frames:
            async for frame in frames:
                yield frame
                if self.reached(position.seq, position.time):
                    return

    def is_before(self, event: Event) -> bool:
        """Whether the event comes after the end, and is to be left alone. A seq that was only salvaged tells nothing."""
        seq = None if getattr(event, "salvaged", False) else getattr(event, "seq", None)
        self._passed = self._passed or (self._seq is not None and seq is not None and seq > self._seq)
        return self._passed

    def reached(self, seq: int | None, time: datetime | None) -> bool:
        """Whether the end is here, with what has arrived: the highest seq, and the stream's time."""
        by_seq = self._seq is not None and seq is not None and seq >= self._seq
        return self._passed or by_seq or (self._time is not None and time is not None and time >= self._time)
