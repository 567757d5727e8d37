"""Whether the database has room for whole repos: they must not take the stream's last."""

import asyncio
import logging
import shutil

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import room
from unified_indexer.formatting import size
from unified_indexer.log.handler import warn_limited

log = logging.getLogger(__name__)

INTERVAL = 10.0  # seconds between two looks
LEAST = 0.1  # of the disk that must be free


class Room:
    """`lacks` says what there is too little of: `disk` (of a server on this machine, whose data directory we may know) or
    `size` (the database has reached `limit`, in bytes; 0: it may have any); None while there is room."""

    def __init__(self, pool: DatabasePool, limit: int) -> None:
        self.lacks: str | None = None
        self._pool = pool
        self._limit = limit

    async def keep_looking(self) -> None:
        """Look every ten seconds, until cancelled."""
        while True:
            try:
                await self.look()
            except DATABASE_ERRORS as error:
                warn_limited(log, "room", "Could not read how much room the database has (%s); trying again", error)
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """See how much room there is."""
        async with self._pool.connection() as connection:
            directory = await room.data_directory(connection)
            taken = await room.size(connection) if self._limit else 0
        if self._limit and taken >= self._limit:
            self._say("size", "the database has %s, and BACKFILL_DATABASE_LIMIT is %s", taken, self._limit)
        elif (free := await asyncio.to_thread(_free, directory)) is not None and free[0] < LEAST * free[1]:
            self._say("disk", "the disk of the database has %s free of %s", *free)
        elif self.lacks is not None:
            self.lacks = None
            log.info("The database has room again: fetching continues")

    def _say(self, lacks: str, why: str, one: int, other: int) -> None:
        self.lacks = lacks
        warn_limited(log, f"room {lacks}", f"No repo is fetched, because {why}", size(one), size(other))


def _free(directory: str | None) -> tuple[int, int] | None:
    """Bytes that are free, and that there are in all; None where nothing can be seen."""
    try:
        usage = None if directory is None else shutil.disk_usage(directory)
    except OSError:  # it is in a container, for example
        return None
    return None if usage is None else (usage.free, usage.total)
