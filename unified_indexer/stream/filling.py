"""The relay's frames into the server: each into its account's partition, and the relay's cursor in the same script.

So the cursor can't be ahead of the frames, whatever the server loses in a crash. A start goes back further than that, to
where the cursor was 10 seconds before, because a server may lose a second that it had acknowledged (appendfsync everysec).
What is read twice is stored once.
"""

import asyncio
import logging
from collections import deque
from contextlib import aclosing
from datetime import UTC, datetime
from time import monotonic

from unified_indexer import json
from unified_indexer.config.stream_url import PARTITIONS
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.protocol.commits import Clock
from unified_indexer.protocol.envelope import envelope
from unified_indexer.protocol.events import Account, Commit, Foreign, Identity, Ignored, Info, StreamError, Sync, Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.proving import did_of
from unified_indexer.protocol.syntax import parse_datetime
from unified_indexer.relay.firehose import Firehose
from unified_indexer.relay.gaps import Gap, StreamPosition
from unified_indexer.relay.position import Position
from unified_indexer.stream.engine import Engine, Word
from unified_indexer.stream.keys import GAP, PUT, own_key, partition_of
from unified_indexer.stream.pending import Item, Pending
from unified_indexer.stream.pieces import cut

BACK = 10.0  # seconds: more than a server with appendfsync everysec can lose
NOBODY = partition_of("")  # of frames without an account

log = logging.getLogger(__name__)


class Filling:
    """It ends with the server's connection; the next one begins at the server's cursor."""

    def __init__(self, host: str, firehose: Firehose, position: Position, metrics: Metrics) -> None:
        self._own = own_key(host)
        self._firehose = firehose
        self._position = position
        self._metrics = metrics
        self._pending = Pending()
        self._lately: deque[tuple[float, StreamPosition]] = deque()  # cursors that the server has, and since when
        self.room = asyncio.Event()  # whether the server has memory for more
        self.room.set()
        self._stopping = False

    def stop(self) -> None:
        """End the reading; `write` returns when the server has what was read."""
        self._stopping = True
        self._firehose.stop()
        self.room.set()

    async def read(self) -> None:
        """Take in the relay's frames until `stop`."""
        async with aclosing(self._firehose.frames()) as frames:
            async for frame in frames:
                if not self._stopping:
                    await self.room.wait()
                await self.take(frame)
        self._pending.close()

    async def take(self, frame: bytes) -> None:
        """Put a frame into its partition's queue; a message for us alone is answered here."""
        seen = envelope(frame)
        if seen is not None:
            now = datetime.now(UTC)
            time = None if seen.time is None else parse_datetime(seen.time)
            gap = self._position.arrived(seen.seq, None if time is None or time > now else time, seen.did)
            await self._put(partition_of(seen.did), seen.seq, frame, gap)
            return
        event = decode(frame, lambda: Clock(self._position.time, datetime.now(UTC)))
        match event:
            case Info():
                if event.name == "OutdatedCursor":
                    self._position.outdated()
                warn_limited(log, "info", "The relay says %s: %s", event.name, event.message)
            case StreamError(error="FutureCursor"):
                raise self._position.unknown_yet(event.message)
            case StreamError():
                self._firehose.disconnect(f"the relay says {event.error}: {event.message}")
            case Ignored():
                gap = None if event.seq is None else self._position.arrived(event.seq, None)
                await self._put(NOBODY, event.seq, frame, gap)
            case Commit() | Sync() | Identity() | Account() | Unusable():
                # A wrong bit must not lead the cursor anywhere.
                seq = None if isinstance(event, Unusable) and event.salvaged else event.seq
                gap = None if seq is None else self._position.arrived(seq, None)
                await self._put(partition_of(did_of(event)), seq, frame, gap)
            case Foreign():
                pass  # none is, where nobody says whose are wanted

    async def _put(self, partition: int, seq: int | None, frame: bytes, gap: Gap | None) -> None:
        at = self._position.seq, self._position.time
        if gap is not None:
            self._metrics.gaps += 1
            await self._pending.put(Item(NOBODY, None, told(gap), True, None, None))
        await self._pending.put(Item(partition, seq, frame, False, *at))

    async def write(self, engine: Engine) -> None:
        """Put what waits into the server, batch by batch, until the reading ends. Raises EngineLost and EngineFull, after
        which nothing of the last batch counts as stored."""
        while batch := await self._pending.take():
            (again,) = await engine.ask(self._script(batch))
            self._metrics.finished += len(batch) - again
            self._metrics.stale += again
            self._acknowledged(batch)

    def _script(self, batch: list[Item]) -> list[Word]:
        last = batch[-1]
        safe = self._safe()
        words: list[Word] = ["EVAL", PUT, 1, self._own, PARTITIONS]
        words += ["" if last.cursor is None else last.cursor, text_of(last.time)]
        words += ["", ""] if safe is None else [safe.seq, text_of(safe.time)]
        for item in batch:
            for kind, piece in [(GAP, item.data)] if item.gap else cut(item.data):
                words += [item.partition, "" if item.seq is None else item.seq, kind, piece]
        return words

    def _acknowledged(self, batch: list[Item]) -> None:
        """Remember where the stream was when the server had it, a place each second."""
        last, now = batch[-1], monotonic()
        if last.cursor is not None and (not self._lately or now - self._lately[-1][0] >= 1.0):
            self._lately.append((now, StreamPosition(last.cursor, last.time)))

    def _safe(self) -> StreamPosition | None:
        """Where the stream was BACK seconds ago; None until so much time has passed since the beginning."""
        safe, now = None, monotonic()
        while self._lately and now - self._lately[0][0] >= BACK:
            safe = self._lately.popleft()[1]
        return safe


def text_of(time: datetime | None) -> str:
    """A time for the server; empty: unknown."""
    return "" if time is None else time.isoformat()


def told(gap: Gap) -> bytes:
    """A gap as an entry's bytes."""
    places = [[place.seq, text_of(place.time)] for place in (gap.after, gap.upto)]
    return json.dumps({"reason": gap.reason, "after": places[0], "upto": places[1]}).encode()
