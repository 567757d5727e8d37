"""Which partitions this worker has, by locks of the database, and their cursors, stored in the database alone.

Each worker takes as many as fall to it when all have the same, and gives up what is over when another one comes. Both happen on
the connection that holds the worker's lock: who loses that has lost all partitions, and can't store a cursor any more.
"""

import asyncio
import logging
import random
from collections.abc import Iterable
from typing import Any

from unified_indexer.config.stream_url import PARTITIONS
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.lock import lock_key
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.errors import OperatorError
from unified_indexer.log.handler import warn_limited
from unified_indexer.pipeline.cursor import Cursor
from unified_indexer.pipeline.dividing import divide
from unified_indexer.pipeline.watermark import Watermark
from unified_indexer.relay.gaps import StreamPosition
from unified_indexer.relay.position import Stored
from unified_indexer.shares import Share
from unified_indexer.stream.partitions import Partition, Partitions, StreamGap

INTERVAL = 1.0  # seconds between two savings, and two looks at who else is there

# Who has a share of the same number holds this lock with the others (unified_indexer/database/connection/lock.py).
WORKERS = """
SELECT count(DISTINCT l.pid) FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.mode = 'ShareLock'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = $1
"""
# The limit ends the scan: no lock is taken beyond it.
TAKE = "SELECT number FROM unnest($1::int[], $2::bigint[]) AS free (number, key) WHERE pg_try_advisory_lock(key) LIMIT $3"
GIVE = "SELECT pg_advisory_unlock($1)"
LOAD = """
SELECT service, cursor,
  CASE WHEN last_event_time::timestamptz < now() + interval '5 minutes' THEN last_event_time::timestamptz END AS time
FROM {schema}.firehose_cursor WHERE service = ANY($1)
"""
# Gaps in one statement with the cursors that pass them: so each is kept, and once.
SAVE = """
WITH noted AS (
  INSERT INTO unified_worker.gaps (service, reason, after_seq, after_time, upto_seq, upto_time)
  SELECT * FROM unnest($4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::bigint[], $9::timestamptz[])
  ON CONFLICT DO NOTHING
)
INSERT INTO {schema}.firehose_cursor (service, cursor, last_event_time, updated_at)
SELECT service, cursor, time, now() FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS p (service, cursor, time)
ON CONFLICT (service) DO UPDATE SET cursor = excluded.cursor, last_event_time = excluded.last_event_time,
  updated_at = excluded.updated_at
"""

log = logging.getLogger(__name__)


class Cursors(Cursor):
    """The cursors of a worker's partitions, in place of the cursor of a relay."""

    def __init__(self, pool: DatabasePool, host: str) -> None:
        super().__init__(pool, host)
        self._of = {number: Share(number, PARTITIONS).service(host) for number in range(1, PARTITIONS + 1)}
        self._workers_key = lock_key(f"{host}#/{PARTITIONS}")

    async def start(self, schema: str, configured: str | int, *, forget: bool) -> Stored:
        """Divide what is stored among the partitions. Where to begin is each partition's own."""
        if forget:
            raise OperatorError(["--reset-cursor does nothing with a stream's server: docs/streams.md says how to begin again"])
        self._schema = schema
        async with self._pool.lock_connection() as connection:
            await divide(connection, schema, self._host, PARTITIONS)
        return Stored()

    async def keep_saving(self, watermark: Watermark) -> None:
        """Store the cursors every second, take partitions and give them up, until cancelled."""
        if not isinstance(watermark, Partitions):
            raise TypeError("a stream has partitions")
        while True:
            await self.try_saving(watermark)
            try:
                await self.balance(watermark)
            except DATABASE_ERRORS as error:
                warn_limited(log, "partitions", "Could not look which partitions are free (%s)", error)
            await asyncio.sleep(INTERVAL)

    async def save(self, watermark: Watermark) -> None:
        """Store the cursors that moved, and the gaps before them."""
        if isinstance(watermark, Partitions):
            async with self._pool.lock_connection() as connection:
                await self._store(connection, watermark.parts.values())
            watermark.refresh()

    async def _store(self, connection: Connection, parts: Iterable[Partition]) -> None:
        moved = [
            (part, part.cursor, part.time, tuple(part.gaps))
            for part in parts
            if part.cursor is not None and (part.cursor != part.stored or part.gaps)
        ]
        if not moved:
            return
        gaps = [
            (self._host if isinstance(gap, StreamGap) else self._of[part.number], gap.reason, *gap.after, *gap.upto)
            for part, *_, passed in moved
            for gap in passed
        ]
        columns: list[list[Any]] = [list(column) for column in zip(*gaps, strict=True)] if gaps else [[] for _ in range(6)]
        services = [self._of[part.number] for part, *_ in moved]
        cursors, times = [str(cursor) for _, cursor, *_ in moved], [time for *_, time, _ in moved]
        await connection.execute(SAVE.format(schema=self._schema), services, cursors, times, *columns)
        for part, cursor, _, passed in moved:
            part.saved(cursor, len(passed))

    async def balance(self, partitions: Partitions) -> None:
        """Take as many partitions as fall to this worker, or mark those that are over, and give up what is finished.

        A worker that hangs would keep its own for ever: its machine answers for it. So whoever looks ends its session.
        """
        async with self._pool.lock_connection() as connection:
            await self._pool.lock.end_silent(connection)
            workers = max(1, await connection.fetchval(WORKERS, self._workers_key))
            fair = -(-PARTITIONS // workers)
            parts, before = partitions.parts, len(partitions.parts)
            kept = [part for part in parts.values() if not part.leaving]
            for part in kept[fair:]:
                part.leaving = True
            await self._give_up(connection, parts)
            if len(parts) < fair:
                await self._take(connection, partitions, fair - len(parts))
        if workers != partitions.workers or len(parts) != before:
            partitions.workers = workers
            log.info("Reading %d of %d partitions; workers: %d", len(parts), PARTITIONS, workers)

    async def _give_up(self, connection: Connection, parts: dict[int, Partition]) -> None:
        done = [part for part in parts.values() if part.leaving and part.idle and not len(part)]
        await self._store(connection, done)
        for part in done:
            await connection.fetchval(GIVE, lock_key(self._of[part.number]))
            del parts[part.number]

    async def _take(self, connection: Connection, partitions: Partitions, wanted: int) -> None:
        free = [number for number in self._of if number not in partitions.parts]
        random.shuffle(free)  # workers that start together don't ask for the same ones
        keys = [lock_key(self._of[number]) for number in free]
        numbers = [row["number"] for row in await connection.fetch(TAKE, free, keys, wanted)]
        if not numbers:
            return
        rows = await connection.fetch(LOAD.format(schema=self._schema), [self._of[number] for number in numbers])
        stored = {row["service"]: StreamPosition(int(row["cursor"]), row["time"]) for row in rows if row["cursor"] is not None}
        for number in numbers:
            part = Partition(number, stored.get(self._of[number]))
            part.rejoin()
            partitions.parts[number] = part
