"""The whole log of the did:plc directory into the table, from a directory or from a file of its lines; it resumes."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.identity import store
from unified_indexer.identity.errors import FetchError, NotFound, Refused
from unified_indexer.identity.export import Operation
from unified_indexer.identity.following import PAGE_PAUSE, Log, Page, read, write
from unified_indexer.identity.store import Position

LINES = 2_000  # of a file, for one transaction
ATTEMPTS = 8  # for a page
RETRY_PAUSE = 2.0  # seconds; doubles


class Progress(NamedTuple):
    """How far an import is. `share`: of a file, from 0 to 1."""

    operations: int
    position: Position
    share: float | None
    seconds: float


class Import:
    """Imports into `connection`. `tell` gets the progress after each transaction."""

    def __init__(self, connection: Connection, tell: Callable[[Progress], None]) -> None:
        self.refused: Counter[str] = Counter()
        self.resumed = 0  # from which seq or line on
        self._connection = connection
        self._tell = tell
        self._operations = 0
        self._began = time.monotonic()
        self._stopping = False

    def stop(self) -> None:
        """End after the current transaction."""
        self._stopping = True

    async def from_directory(self, one: Log) -> bool:
        """Import a directory's log; whether its end was reached. Raises FetchError if it does not answer for long, and Stop."""
        self.refused = one.refused
        position = await store.read_position(self._connection, one.directory)
        self.resumed = position.position
        while not self._stopping:
            operations, position, is_end = await _patiently(one, position)
            await self._write(one.directory, operations, position, None)
            if is_end:
                return True
            await asyncio.sleep(PAGE_PAUSE)
        return False

    async def from_file(self, path: Path, *, allow_private: bool) -> bool:
        """Import a file of JSON lines, compressed if its name ends with .gz; whether its end was reached. Raises OSError."""
        source, size = _place(path)
        before = await store.read_position(self._connection, source)
        self.resumed = 0 if before.complete else before.position
        async for at, share, lines in _batches(path, size, self.resumed):
            operations = list(read(lines, self.refused, allow_private=allow_private))
            through = operations[-1].made if operations else before.through
            await self._write(source, operations, Position(at, through, complete=share == 1), share)
            if self._stopping:
                return share == 1
        return True

    async def _write(self, source: str, operations: list[Operation], position: Position, share: float | None) -> None:
        await write(self._connection, source, operations, position)
        self._operations += len(operations)
        self._tell(Progress(self._operations, position, share, time.monotonic() - self._began))


async def _patiently(one: Log, after: Position) -> Page:
    """The next page, after as many attempts as it takes, within reason."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return await one.read(after)
        except (NotFound, Refused):
            raise
        except FetchError as error:
            await asyncio.sleep(max(RETRY_PAUSE * 2**attempt, error.retry_after or 0.0))
    return await one.read(after)


def _place(path: Path) -> tuple[str, int]:
    """A file's full name, and its size."""
    return str(path.resolve()), path.stat().st_size


async def _batches(path: Path, size: int, skip: int) -> AsyncIterator[tuple[int, float, list[bytes]]]:
    """The file's lines after the first `skip`: the number of the last, the share of the file until there, and the lines."""
    with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw as lines:
        for _ in islice(lines, skip):
            pass
        at, batch = skip, list(islice(lines, LINES))
        while batch:
            following = list(islice(lines, LINES))
            at += len(batch)
            yield at, min(raw.tell() / max(size, 1), 0.999) if following else 1, [line for line in batch if line.strip()]
            batch = following
            await asyncio.sleep(0)
