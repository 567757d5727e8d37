"""The cursors of a relay's shares. Where their number has changed, all begin at the least cursor of the number before.

What lies between is read again by those who were further, and changes nothing: the guard finds it stale.
"""

import logging
import re
from datetime import datetime
from typing import Any, NamedTuple

from unified_indexer.database.connection.lock import lock_key
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.errors import OperatorError
from unified_indexer.shares import Share

log = logging.getLogger(__name__)

ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock($1)"
ROWS = """
SELECT service, cursor, last_event_time::timestamptz AS time FROM {schema}.firehose_cursor
WHERE service = $1 OR starts_with(service, $1 || '#')
"""
GONE = "DELETE FROM {schema}.firehose_cursor WHERE service = ANY($1)"
# Their gaps are the relay's from now on; of their runs nothing is left to say.
GAPS_KEPT = """
WITH theirs AS (DELETE FROM unified_worker.gaps WHERE service = ANY($1) RETURNING *)
INSERT INTO unified_worker.gaps (service, reason, after_seq, after_time, upto_seq, upto_time, noticed_at)
SELECT DISTINCT ON (after_seq, upto_seq) $2, reason, after_seq, after_time, upto_seq, upto_time, noticed_at FROM theirs
WHERE upto_seq IS NOT NULL ON CONFLICT DO NOTHING
"""
RUNS_GONE = "DELETE FROM unified_worker.runs WHERE service = ANY($1)"
BEGIN = """
INSERT INTO {schema}.firehose_cursor (service, cursor, last_event_time, updated_at)
SELECT s, $2::text, $3::timestamptz, now() FROM unnest($1::text[]) AS s
ON CONFLICT (service) DO UPDATE SET cursor = excluded.cursor, last_event_time = excluded.last_event_time, updated_at = now()
WHERE $2::text IS NOT NULL
"""


class _Row(NamedTuple):
    service: str
    seq: int | None
    time: datetime | None


async def divide(connection: Connection, schema: str, host: str, shares: int) -> bool:
    """See to it that each of the relay's `shares` has its row, and no other number of them any. Return whether the relay was
    followed before. The caller holds the lock of its own share, so none of another number is at work.

    Raises OperatorError where a cursor that counts is no seq.
    """
    async with connection.transaction():
        await connection.execute(ONE_AT_A_TIME, lock_key(f"{host}#dividing"))
        found = [row for row in await connection.fetch(ROWS.format(schema=schema), host) if _is_share(row["service"], host)]
        services = [share.service(host) for share in Share(1, shares).siblings()]
        others = [_read(row) for row in found if row["service"] not in services]
        if not others and (shares == 1 or len(found) == shares):
            return bool(found)
        begun = [row for row in others if row.seq is not None]
        if begun:
            begun += [row for row in map(_read, (row for row in found if row["service"] in services)) if row.seq is not None]
        least = min(begun, key=lambda row: row.seq or 0, default=_Row("", None, None))
        gone = [row.service for row in others]
        if gone:
            shares_gone = [service for service in gone if service != host]
            await connection.execute(GAPS_KEPT, shares_gone, host)
            await connection.execute(RUNS_GONE, shares_gone)
            await connection.execute(GONE.format(schema=schema), gone)
        seq = None if least.seq is None else str(least.seq)
        await connection.execute(BEGIN.format(schema=schema), services, seq, least.time)
    if begun:
        log.warning(
            "The events of %s were divided among %d before, and are among %d now: all begin at the least cursor, %d",
            *(host, len(others), shares, least.seq),
        )
    return bool(found)


def _is_share(service: str, host: str) -> bool:
    return service == host or re.fullmatch(r"#[0-9]+/[0-9]+", service.removeprefix(host)) is not None


def _read(row: Any) -> _Row:
    cursor: str | None = row["cursor"]
    if cursor is not None and not cursor.isdecimal():
        raise OperatorError(
            [f"the cursor stored for {row['service']} is not a seq ({cursor[:40]!r}): correct or delete that row"]
        )
    return _Row(row["service"], None if cursor is None else int(cursor), row["time"])
