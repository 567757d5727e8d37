"""From the outbox into the stream, in the order of each repo: one of the workers does it for all.

What is read is on disk before it is sent. It stays in the outbox for KEPT seconds after the server has it: a server that is
killed loses what it has not written to its own disk. If the last entry is not there any more, all of it is sent again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import cast

from unified_indexer.config.stream_url import StreamAddress
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.write import outbox
from unified_indexer.database.write.outbox import Place, Row
from unified_indexer.errors import OperatorError
from unified_indexer.metrics import Metrics
from unified_indexer.publishing.entries import fields, stream_key
from unified_indexer.relay.backoff import Backoff
from unified_indexer.stream.engine import Engine, EngineFull, EngineLost, Word
from unified_indexer.stream.server import look

AT_ONCE = 500  # rows: entries of a transaction in the server
INTERVAL = 0.1  # seconds between two looks at an outbox with nothing new
KEPT = 10.0  # seconds that a row stays after the server has it: appendfsync everysec may lose two
DELETED_AT_ONCE = 10_000
MOST_QUOTED = 200  # characters of what the server says
UNIT, LONGEST = 0.5, 10.0  # seconds: the shortest and the longest wait before a server is tried again

log = logging.getLogger(__name__)


class Publisher:
    """Publishes for as long as it runs. `length`: about how many entries the stream keeps."""

    def __init__(self, pool: DatabasePool, address: StreamAddress, length: int, metrics: Metrics) -> None:
        self._pool = pool
        self._address = address
        self._key = stream_key(pool.name)
        self._length = length
        self._metrics = metrics
        self._backoff = Backoff(unit=UNIT)
        self._place = Place()
        self._last: bytes | None = None  # the id of the entry that the server acknowledged last
        self._sent: deque[tuple[float, list[int]]] = deque()  # when, and which rows are to be deleted KEPT seconds later

    async def keep_publishing(self) -> None:
        """Publish, from one failure of the server or the database to the next, until cancelled."""
        try:
            while True:
                try:
                    await self._connected()
                except (EngineLost, EngineFull, OperatorError) as error:
                    self._failed(f"{self._address} of PUBLISH takes nothing ({error})")
                except DATABASE_ERRORS as error:
                    self._failed(f"What is to be published can't be read ({error or type(error).__name__})")
                await asyncio.sleep(min(self._backoff.next(), LONGEST))
        finally:
            self._metrics.publish_failing_since = None

    def _failed(self, why: str) -> None:
        if self._metrics.publish_failing_since is None:
            self._metrics.publish_failing_since = monotonic()
            log.warning("%s: entries wait in the database until there is one", why)

    async def _connected(self) -> None:
        """Publish through one connection."""
        engine = await Engine.open(self._address)
        try:
            await look(engine)
            if self._last is not None:
                (there,) = await engine.ask(("XRANGE", self._key, self._last, self._last))
                if not there:  # the server has lost its end: all that is in the outbox is sent again
                    self._place, self._last = Place(), None
                    self._sent.clear()
            while True:
                if await self._turn(engine) < AT_ONCE:
                    await asyncio.sleep(INTERVAL)
        finally:
            engine.close()

    async def _turn(self, engine: Engine) -> int:
        """Publish what is there, and delete what was published long enough ago; return how many rows there were."""
        async with self._pool.connection() as connection:
            rows = await self._place.next(connection, AT_ONCE)
            before = await outbox.flush(connection, self._place.after, durable=self._pool.durable) if rows else 0
        if rows:
            await self._put(engine, rows, before)
        else:
            await engine.ask(("PING",))  # a server that is gone may have lost what it was sent
        if self._metrics.publish_failing_since is not None:
            self._metrics.publish_failing_since = None
            log.info("Publishing to %s again", self._address)
        self._backoff.reset()
        await self._clear_away()
        return len(rows)

    async def _put(self, engine: Engine, rows: Sequence[Row], before: int) -> None:
        """All of them or none: with a part of them a later entry of a repo could be there without an earlier one."""
        entries = [entry for row in rows if (entry := fields(row)) is not None]
        if entries:
            add: list[Word] = ["XADD", self._key, "MAXLEN", "~", self._length, "*"]
            replies = await engine.ask(("MULTI",), *([*add, *entry] for entry in entries), ("EXEC",))
            if not isinstance(ids := replies[-1], list) or not all(isinstance(one, bytes) for one in cast("list[object]", ids)):
                raise EngineLost(f"the key {self._key} does not take entries ({replies[-1]!r})"[:MOST_QUOTED])
            self._last = ids[-1]
            self._metrics.published += len(entries)
        self._place.passed(rows, before)
        self._sent.append((monotonic(), [row.id for row in rows]))

    async def _clear_away(self) -> None:
        ids: list[int] = []
        while self._sent and monotonic() - self._sent[0][0] > KEPT and len(ids) < DELETED_AT_ONCE:
            ids += self._sent.popleft()[1]
        if ids:
            async with self._pool.connection() as connection:
                await outbox.delete(connection, ids, self._place.after)
