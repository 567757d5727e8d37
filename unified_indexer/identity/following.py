"""Brings the log of a directory into the table: all of it once (`identities import`), and from then on what comes."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.errors import Rejected, Stop
from unified_indexer.identity import store
from unified_indexer.identity.client import Client
from unified_indexer.identity.errors import FetchError
from unified_indexer.identity.export import PAGE, Operation, last_seq, read_operation, read_page
from unified_indexer.identity.store import Position
from unified_indexer.log.handler import warn_limited

PAGE_PAUSE = 0.2  # seconds between two pages of a log that is behind
END_PAUSE = 10.0  # seconds, at its end or after a failure
LOOK_PAUSE = 60.0  # seconds between two looks whether an import has reached its end

log = logging.getLogger(__name__)


class Page(NamedTuple):
    """Operations, how far the log is read with them, and whether that is its end: a full page may hold lines that count for
    nothing."""

    operations: list[Operation]
    position: Position
    is_end: bool


class Log:
    """The log of `directory`. `refused`: lines that are no operations, by reason."""

    def __init__(self, client: Client, directory: str, *, allow_private: bool = False) -> None:
        self.directory = directory
        self.refused: Counter[str] = Counter()
        self._client = client
        self._allow_private = allow_private

    async def read(self, after: Position) -> Page:
        """The next page, and how far it reaches; at the log's end that is now. Raises FetchError, and Stop if the directory
        does not number its log."""
        now = int(time.time())
        lines = await read_page(self._client, self.directory, after.position)
        operations = list(read(lines, self.refused, allow_private=self._allow_private))
        seq = last_seq(lines)
        if (seq is None and (operations or len(lines) == PAGE)) or (seq is not None and seq <= after.position):
            raise Stop(f"{self.directory} does not give its operations in the order of a seq: import a file of them")
        if len(lines) < PAGE:
            return Page(operations, Position(seq or after.position, now, True), is_end=True)
        through = operations[-1].made if operations else after.through
        return Page(operations, Position(seq or after.position, through, after.complete), is_end=False)


def read(lines: Iterable[bytes], refused: Counter[str], *, allow_private: bool) -> Iterator[Operation]:
    """The operations of these lines; what is none is counted."""
    for line in lines:
        try:
            operation = read_operation(line, allow_private=allow_private)
        except Rejected as error:
            refused[error.reason] += 1
            continue
        if operation is not None:
            yield operation


async def write(connection: Connection, source: str, operations: Sequence[Operation], position: Position) -> None:
    """Write what these operations say, of each DID the last, and how far the source was read."""
    rows = {operation.row.did: operation.row for operation in operations}
    await store.write_export(connection, source, list(rows.values()), position)


class Follower:
    """Follows the first of these logs that was imported to its end. `heard` gets each page, and until when the log is known
    (seconds since 1970)."""

    def __init__(self, pool: DatabasePool, logs: Sequence[Log], heard: Callable[[Sequence[Operation], int], None]) -> None:
        self._pool = pool
        self._logs = logs
        self._heard = heard

    async def run(self) -> None:
        """Follow, until cancelled."""
        while True:
            try:
                pause = await self._step()
            except (FetchError, Stop, *DATABASE_ERRORS) as error:
                warn_limited(log, "export", "Could not follow the log of the directory (%s): trying again", error)
                pause = END_PAUSE
            await asyncio.sleep(pause)

    async def _step(self) -> float:
        """Read and write a page; seconds until the next one."""
        async with self._pool.connection() as connection:
            positions = [await store.read_position(connection, one.directory) for one in self._logs]
        for one, before in zip(self._logs, positions, strict=True):
            if before.complete:
                operations, position, is_end = await one.read(before)
                if is_end:  # they are newer than all that was looked up, whatever the clocks say
                    operations = [made._replace(row=made.row._replace(checked=position.through)) for made in operations]
                async with self._pool.connection() as connection:
                    await write(connection, one.directory, operations, position)
                self._heard(operations, position.through)
                return END_PAUSE if is_end else PAGE_PAUSE
        return LOOK_PAUSE
