"""A worker's partitions as frames, in order in each, through any number of connections. The server keeps no position."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import datetime
from time import monotonic

import orjson

from unified_indexer.config.stream_url import PARTITIONS, StreamAddress
from unified_indexer.errors import OperatorError
from unified_indexer.metrics import Metrics
from unified_indexer.relay.backoff import Backoff
from unified_indexer.stream.engine import Engine, EngineFull, EngineLost, Reply
from unified_indexer.stream.keys import GAP, own_key, partition_key
from unified_indexer.stream.partitions import Partition, Partitions, gap_of
from unified_indexer.stream.pieces import fields_of
from unified_indexer.stream.server import look

UNIT = 0.5  # seconds: the shortest wait before a server is tried again
LONGEST = 10.0  # seconds: the longest
BLOCK = 500  # ms that the server waits for an entry
AT_ONCE = 512  # entries a read, of all partitions together: at most 32 MB, for an entry has 64 kB at most
LEAST = 8  # entries of each partition
FEW, PAUSE = 64, 0.02  # after a read of few entries, so many seconds pass: a read of 64 keys costs as much as ten entries
SAID = ("partitions", "cursor", "time", "memory", "limit", "full")  # of the stream's own key, by the ingester
OTHER_NUMBER = (
    "the stream at {place} has {there} partitions, this version needs {here}: start the ingester and the workers of one version"
)

log = logging.getLogger(__name__)


class Reader:
    """What a Firehose is for a relay. The consumer of `frames` registers each in the partition that `place` names."""

    def __init__(self, address: StreamAddress, host: str, partitions: Partitions, metrics: Metrics) -> None:
        self.connected = False
        self.next_attempt_at: float | None = None  # by time.monotonic, while the next connection is waited for
        self._address = address
        self._host = host
        self._own = own_key(host)
        self._partitions = partitions
        self._metrics = metrics
        self._backoff = Backoff(unit=UNIT)
        self._engine: Engine | None = None
        self._stop = asyncio.Event()

    def disconnect(self, reason: str) -> None:
        """Drop this connection; `frames` continues with a new one, from what was received."""
        if self._engine is not None:
            self._engine.close()

    def stop(self) -> None:
        """End `frames` at once, wherever it is."""
        self._stop.set()
        self.disconnect("stopping")

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The frames of all partitions that this worker has, until `stop`. Raises OperatorError for a server that can't hold a
        stream; whatever else happens to it is a new connection."""
        while not self._stop.is_set():
            reason = "stopping"
            try:
                self._engine = await Engine.open(self._address)
                await look(self._engine)
                self._joined()
                async for frame in self._read(self._engine):
                    yield frame
            except (EngineLost, EngineFull) as error:
                reason = str(error)
            finally:
                self.connected = False
                self.disconnect("")
                self._engine = None
            await self._pause(reason)

    def _joined(self) -> None:
        self.connected = self._metrics.was_connected = True
        self.next_attempt_at = None
        for part in self._partitions.parts.values():
            part.rejoin()
        log.info("Connected to %s, which holds the stream of %s", self._address, self._host)

    async def _pause(self, reason: str) -> None:
        if self._stop.is_set():
            return
        seconds = min(self._backoff.next(), LONGEST)
        self._metrics.reconnecting(f"The stream's server: {reason}")
        log.warning("No stream from %s (%s); reconnecting in %.1f s, from what was received", self._address, reason, seconds)
        self.next_attempt_at = monotonic() + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _read(self, engine: Engine) -> AsyncGenerator[bytes, None]:
        while not self._stop.is_set():
            parts = {partition_key(self._host, part.number).encode(): part for part in self._partitions.reading()}
            if not parts:
                await asyncio.sleep(PAUSE)
                continue
            count = max(LEAST, AT_ONCE // len(parts))
            # What the ingester had stored before the read: if a partition has no more, it has nothing up to there.
            new = [part for part in parts.values() if not part.judged]
            (there, cursor, time, used, limit, full_now, *trimmed), found = await engine.ask(
                ("HMGET", self._own, *SAID, *(f"trim:{part.number}" for part in new)),
                ("XREAD", "COUNT", count, "BLOCK", BLOCK, "STREAMS", *parts, *(part.last_id for part in parts.values())),
            )
            self._check(there)
            self._partitions.memory = int(used) / int(limit) if used and limit else None
            self._partitions.full = full_now == b"1"
            for part, seq in zip(new, trimmed, strict=True):
                self._judge(part, seq)
            read = 0
            full: set[int] = set()
            for key, entries in found or ():
                part = parts[key]
                read += len(entries)
                if len(entries) >= count:
                    full.add(part.number)
                for name, entry in entries:
                    part.last_id = name
                    if (frame := self._taken(part, entry)) is not None:
                        self._partitions.place.at(part)
                        yield frame
                        if self._stop.is_set():
                            return
            self._backoff.reset()
            for part in parts.values():
                if cursor is not None and part.number not in full and not part.joining.open:
                    part.tick(int(cursor), _time(time))
            if read < FEW:
                await asyncio.sleep(PAUSE)

    def _taken(self, part: Partition, entry: list[bytes]) -> bytes | None:
        kind, data = fields_of(entry)
        if kind != GAP:
            return part.joining.take(kind, data)
        try:
            gap = gap_of(orjson.loads(data))
        except ValueError:
            gap = None
        if gap is not None:
            self._metrics.gaps += 1
            part.misses(gap)
        return None

    def _judge(self, part: Partition, trimmed: bytes | None) -> None:
        gap = part.judge(None if trimmed is None else int(trimmed))
        if gap is not None:
            self._metrics.gaps += 1
            log.warning(
                "Gap: the stream's server no longer has what follows on seq %d in partition %d; it begins at %d",
                *(gap.after.seq, part.number, gap.upto.seq),
            )

    def _check(self, there: Reply) -> None:
        if there is not None and there != b"%d" % PARTITIONS:
            raise OperatorError([OTHER_NUMBER.format(place=self._address, there=there.decode(), here=PARTITIONS)])


def _time(text: bytes | None) -> datetime | None:
    return datetime.fromisoformat(text.decode()) if text else None
