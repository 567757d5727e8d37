"""How far each share of the stream is, and who works on it: looked at every few seconds, for the page of each worker."""

import asyncio
from typing import NamedTuple

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.lock import keeper_key, lock_key
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.shares import Share

INTERVAL = 5.0  # seconds
# By the locks, who works: a worker that is gone has lost them within seconds.
SHARES = """
WITH held AS (
  SELECT (l.classid::bigint << 32) | l.objid::bigint AS key, l.pid FROM pg_catalog.pg_locks AS l
  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.mode = 'ExclusiveLock'
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
)
SELECT extract(epoch FROM now() - c.last_event_time::timestamptz)::float8 AS lag, h.pid IS NOT NULL AS works,
  EXISTS (SELECT FROM held AS k WHERE k.key = $3 AND k.pid = h.pid) AS keeper
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS s (service, key, number)
LEFT JOIN {schema}.firehose_cursor AS c USING (service) LEFT JOIN held AS h USING (key) ORDER BY number
"""


class ShareState(NamedTuple):
    """`lag`: seconds from the newest stored event until now, None before the first. `works`: whether a worker has it.

    `keeper`: whether that one does for all shares what is done once.
    """

    lag: float | None
    works: bool
    keeper: bool


class Shares:
    """`seen` has the state of each share, the first one first; empty where one worker has all of the stream."""

    def __init__(self, pool: DatabasePool, host: str, share: Share) -> None:
        self.seen: list[ShareState] = []
        self._pool = pool
        self._host = host
        self._share = share

    async def keep_looking(self, schema: str) -> None:
        """Look every few seconds, until cancelled; at once done where there is nothing to see. Raises LockLost."""
        services = [share.service(self._host) for share in self._share.siblings()]
        while self._share.sorts:
            try:
                async with self._pool.lock_connection() as connection:
                    asked = services, [*map(lock_key, services)], keeper_key(self._host)
                    rows = await connection.fetch(SHARES.format(schema=schema), *asked)
                self.seen = [ShareState(*row) for row in rows]
            except DATABASE_ERRORS:
                pass  # others say so, and what was seen grows old within seconds
            await asyncio.sleep(INTERVAL)
