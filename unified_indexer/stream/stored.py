"""What PostgreSQL has of the stream: the cursors of its partitions. Only this is trimmed in the server."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from unified_indexer.config.stream_url import PARTITIONS
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.errors import OperatorError
from unified_indexer.relay.gaps import StreamPosition
from unified_indexer.shares import Share

# The rows of this relay, whoever wrote them: one worker alone (the host), shares or partitions (host#k/n). Compared as texts,
# for a host may hold what LIKE takes for a wildcard.
LOAD = """
SELECT service, cursor, last_event_time::timestamptz AS time FROM firehose_cursor
WHERE service = $1 OR left(service, length($1) + 1) = $1 || '#'
"""
ANSWER_TIMEOUT = 9.0  # seconds for both answers: a machine that hangs ends no connection
READY = "SELECT to_regclass('firehose_cursor') IS NOT NULL"


class Unknown(Exception):
    """The database can't be asked just now."""


class Cursors(NamedTuple):
    """`partitions`: those that have a cursor, by number. `others`: of workers that read the relay themselves, and of shares."""

    partitions: Mapping[int, StreamPosition]
    others: tuple[StreamPosition, ...]

    @property
    def least(self) -> StreamPosition | None:
        """Up to here everything is in the database; None if that can't be said of each partition."""
        return min(self.partitions.values(), key=lambda at: at.seq) if len(self.partitions) == PARTITIONS else None

    @property
    def start(self) -> StreamPosition | None:
        """Where to begin if the server holds nothing: nothing before is missing. None: the database has no cursor either."""
        known = (*self.partitions.values(), *(() if self.least else self.others))
        return min(known, default=None, key=lambda at: at.seq)


class Stored:
    """Asks the database, over a connection that is made when it is needed."""

    def __init__(self, url: str, host: str) -> None:
        self._pool = DatabasePool(url, size=1, name="ingest", durable=True, exclusive=False)
        self._host = host
        self._open = False

    async def cursors(self) -> Cursors:
        """The cursors that are stored. Raises Unknown while the database does not answer."""
        try:
            if not self._open:
                await self._pool.open()
                self._open = True
            async with self._pool.lock_connection() as connection, asyncio.timeout(ANSWER_TIMEOUT):
                ready = await connection.fetchval(READY)
                rows = await connection.fetch(LOAD, self._host) if ready else []
        except (LockLost, OperatorError, *DATABASE_ERRORS) as error:
            self.close()
            raise Unknown(str(error) or type(error).__name__) from None
        found: dict[str, StreamPosition] = {}
        for row in rows:
            cursor, time = row["cursor"], row["time"]
            if cursor is not None and cursor.isdecimal():
                found[row["service"]] = StreamPosition(int(cursor), time if isinstance(time, datetime) else None)
        parts = {number: found.pop(Share(number, PARTITIONS).service(self._host), None) for number in range(1, PARTITIONS + 1)}
        return Cursors({number: at for number, at in parts.items() if at is not None}, tuple(found.values()))

    def close(self) -> None:
        """Close the connection at once."""
        self._open = False
        self._pool.terminate()
