"""Whether the database has room for whole repos: they must not take the stream's last."""

import asyncio
import logging
import shutil
from typing import NamedTuple

from unified_indexer.backfill.again import keep
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import room
from unified_indexer.formatting import size
from unified_indexer.log.handler import warn_limited

log = logging.getLogger(__name__)

INTERVAL = 10.0  # seconds between two looks
LEAST = 0.1  # of the disk that must be free
NOTHING = "No repo is fetched, because "


class Room:
    """`lacks` says what there is too little of: `disk` (of a server on this machine, whose data directory we may know) or
    `size` (the database has reached `limit`, in bytes; 0: it may have any); None while there is room."""

    def __init__(self, pool: DatabasePool, limit: int) -> None:
        self.lacks: str | None = None
        self._pool = pool
        self._limit = limit

    async def keep_looking(self) -> None:
        """Look every ten seconds, until cancelled."""
        await keep(self.look, INTERVAL, log, "room", "Could not read how much room the database has")

    async def look(self) -> None:
        """See how much room there is."""
        async with self._pool.connection() as connection:
            directory = await room.data_directory(connection)
            taken = await room.size(connection) if self._limit else 0
        lack = lacking(self._limit, taken, await asyncio.to_thread(free_of, directory))
        if lack is not None:
            self.lacks = lack.what
            warn_limited(log, f"room {lack.what}", "%s", lack.words)
        elif self.lacks is not None:
            self.lacks = None
            log.info("The database has room again: fetching continues")


class Lack(NamedTuple):
    """`what`: `disk` or `size`, as Room says; `words`: for the operator."""

    what: str
    words: str


def lacking(limit: int, taken: int, free: tuple[int, int] | None) -> Lack | None:
    """What there is too little of for whole repos, where the database has `taken` bytes of `limit`, and its disk `free`."""
    if limit and taken >= limit:
        return Lack("size", NOTHING + f"the database has {size(taken)}, and BACKFILL_DATABASE_LIMIT is {size(limit)}")
    if free is not None and free[0] < LEAST * free[1]:
        return Lack("disk", NOTHING + f"the disk of the database has {size(free[0])} free of {size(free[1])}")
    return None


def free_of(directory: str | None) -> tuple[int, int] | None:
    """Bytes that are free, and that there are in all; None where nothing can be seen."""
    try:
        usage = None if directory is None else shutil.disk_usage(directory)
    except OSError:  # it is in a container, for example
        return None
    return None if usage is None else (usage.free, usage.total)
