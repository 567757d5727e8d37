"""The stored cursor: the relay's seq up to which everything is in the database. One row per relay and share."""

import asyncio
import logging

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.errors import OperatorError
from unified_indexer.log.handler import warn_limited
from unified_indexer.pipeline.dividing import divide
from unified_indexer.pipeline.watermark import Watermark
from unified_indexer.relay.gaps import StreamPosition
from unified_indexer.relay.position import Stored
from unified_indexer.shares import WHOLE, Share

log = logging.getLogger(__name__)

SAVE_INTERVAL = 1.0  # seconds

# Cast by their target column, which is with or without a time zone (sessions run in UTC).
# A time ahead of the clock was stored before such times were bounded; it would hide a gap.
LOAD = """
SELECT cursor,
  CASE WHEN last_event_time::timestamptz < now() + interval '5 minutes' THEN last_event_time::timestamptz END AS time
FROM {schema}.firehose_cursor WHERE service = $1
"""
# Gaps in one statement with the cursor that passes them: so each is kept, and once.
SAVE = """
WITH noted AS (
  INSERT INTO unified_worker.gaps (service, reason, after_seq, after_time, upto_seq, upto_time)
  SELECT $1, * FROM unnest($4::text[], $5::bigint[], $6::timestamptz[], $7::bigint[], $8::timestamptz[])
  ON CONFLICT DO NOTHING
), judged AS (
  DELETE FROM unified_worker.gaps WHERE $9 AND service = $1 AND upto_seq IS NULL
)
INSERT INTO {schema}.firehose_cursor (service, cursor, last_event_time, updated_at) VALUES ($1, $2, $3::timestamptz, now())
ON CONFLICT (service) DO UPDATE SET cursor = excluded.cursor, last_event_time = excluded.last_event_time,
  updated_at = excluded.updated_at
"""
# What is forgotten stays as a gap without an end, until the first event says what is missing.
FORGET = """
WITH forgotten AS (
  DELETE FROM {schema}.firehose_cursor WHERE service = $1
  RETURNING CASE WHEN cursor ~ '^[0-9]{{1,19}}$' THEN cursor::numeric END AS seq, last_event_time::timestamptz AS time
)
INSERT INTO unified_worker.gaps (service, reason, after_seq, after_time)
SELECT $1, 'reset', seq, time FROM forgotten WHERE seq <= 9223372036854775807
ON CONFLICT DO NOTHING
"""
# Another relay brought what came before: so it is known where that ended, though not in this one's seqs.
FOREIGN = """
INSERT INTO unified_worker.gaps (service, reason, after_seq, after_time)
SELECT $1, 'other_relay', cursor::numeric, last_event_time::timestamptz FROM {schema}.firehose_cursor
WHERE split_part(service, '#', 1) <> split_part($1, '#', 1)
  AND cursor ~ '^[0-9]{{1,18}}$' ORDER BY last_event_time DESC NULLS LAST LIMIT 1
ON CONFLICT DO NOTHING
"""
FORGOTTEN = "SELECT after_seq, after_time, reason FROM unified_worker.gaps WHERE service = $1 AND upto_seq IS NULL"
# Without a row nothing tells whether the relay has counted anew since it was followed last: then what accounts said is newer or
# not by its time, as if it came from another relay. From then on there is a row, at first without a cursor. A start that finds
# it so follows on one that ended in its first second: the relay counts as it did.
FORGET_SEQS = """
UPDATE unified_worker.repos SET account_relay = NULLIF(account_relay, $1), handle_relay = NULLIF(handle_relay, $1),
  place_relay = NULLIF(place_relay, $1)
WHERE $1 IN (account_relay, handle_relay, place_relay)
"""
FOLLOWED = "INSERT INTO {schema}.firehose_cursor (service, updated_at) VALUES ($1, now()) ON CONFLICT (service) DO NOTHING"
# Shares that have not read yet begin where the first one did: a live stream has no other beginning that all have in common.
BEGUN = "UPDATE {schema}.firehose_cursor SET cursor = $2, updated_at = now() WHERE service = ANY($1) AND cursor IS NULL"


def seq_of(service: str, cursor: str) -> int:
    """The seq that a stored cursor says. Raises OperatorError where it says none."""
    if not cursor.isdecimal():
        raise OperatorError([f"the cursor stored for {service} is not a seq ({cursor[:40]!r}): start with --reset-cursor"])
    return int(cursor)


class Cursor:
    """Loads and saves the cursor of one relay, together with the gaps, on the connection that holds the worker's lock."""

    def __init__(self, pool: DatabasePool, host: str, share: Share = WHOLE) -> None:
        self._pool = pool
        self._host = host
        self._share = share
        self._schema = ""
        self._warned = False  # that CURSOR is ignored
        self._service = share.service(host)

    async def start(self, schema: str, configured: str | int, *, forget: bool) -> Stored:
        """What is stored; without a seq if this relay has none, so that CURSOR decides.

        `schema`: where the tables are. `configured`: CURSOR, which a stored cursor overrules. `forget`: delete the
        stored one first (--reset-cursor).
        """
        self._schema = schema
        async with self._pool.lock_connection() as connection:
            if forget:
                await connection.execute(FORGET.format(schema=self._schema), self._service)
            followed = await divide(connection, schema, self._host, self._share.of)
            row = await connection.fetchrow(LOAD.format(schema=self._schema), self._service)
            if row is None or row["cursor"] is None:
                await connection.execute(FOREIGN.format(schema=self._schema), self._service)
            if forget or not followed:
                await connection.execute(FORGET_SEQS, self._host)
            if row is None:
                await connection.execute(FOLLOWED.format(schema=self._schema), self._service)
            left = await connection.fetchrow(FORGOTTEN, self._service)
        forgotten = None if left is None else StreamPosition(left["after_seq"], left["after_time"])
        foreign = left is not None and left["reason"] == "other_relay"
        if row is None or row["cursor"] is None:
            if forgotten is not None and foreign:
                self._tell_foreign(forgotten)
            log.info("No cursor is stored for %s: starting from CURSOR=%s", self._service, configured)
            return Stored(None, None, forgotten, foreign)
        seq = seq_of(self._service, row["cursor"])
        if configured != "live" and not self._warned:
            self._warned = True
            log.warning(
                "CURSOR=%s is ignored, because a cursor is stored for %s; --reset-cursor removes it", configured, self._service
            )
        log.info("Resuming %s from the stored cursor %d", self._service, seq)
        return Stored(seq, row["time"], forgotten, foreign)

    def _tell_foreign(self, last: StreamPosition) -> None:
        log.warning(
            "No cursor is stored for %s, but one for another relay is, of %s: the events since then are missing, unless this "
            "relay still has them and you set CURSOR=oldest",
            self._service,
            "unknown time" if last.time is None else last.time.isoformat(),
        )

    async def save(self, watermark: Watermark) -> None:
        """Store the watermark, if it moved, and the gaps before it."""
        seq, time, gaps = watermark.cursor, watermark.time, tuple(watermark.gaps)
        if seq is None or seq == watermark.stored:
            return
        judged = time is not None  # before an event with a time, a reset is not (unified_indexer/relay/gaps.py)
        columns = [list(column) for column in zip(*((gap.reason, *gap.after, *gap.upto) for gap in gaps), strict=True)]
        async with self._pool.lock_connection() as connection:
            if watermark.stored is None and self._share.of > 1 and watermark.began is not None:
                services = [share.service(self._host) for share in self._share.siblings()]
                await connection.execute(BEGUN.format(schema=self._schema), services, str(watermark.began))
            await connection.execute(
                SAVE.format(schema=self._schema), self._service, str(seq), time, *(columns or [[]] * 5), judged
            )
        watermark.saved(seq, len(gaps))

    async def keep_saving(self, watermark: Watermark) -> None:
        """Store the watermark every second, until cancelled."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            await self.try_saving(watermark)

    async def try_saving(self, watermark: Watermark) -> None:
        """Store the watermark if the database allows it; otherwise the cursor is unchanged, and a replay is harmless."""
        try:
            await self.save(watermark)
        except DATABASE_ERRORS as error:
            warn_limited(log, "cursor not saved", "Could not save the cursor, so it is unchanged (%s)", error)
