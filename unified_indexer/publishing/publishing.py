"""What each worker does where PUBLISH is set: look at the server at its start, and wait where too much waits."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from unified_indexer.config.settings import Config
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.write import outbox
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.publishing.publisher import Publisher
from unified_indexer.stream.engine import Engine, EngineLost
from unified_indexer.stream.server import look

MOST_WAITING = 1_000_000  # entries, some 400 MB of the database
INTERVAL = 1.0  # seconds between two looks at how many wait

log = logging.getLogger(__name__)


class Publishing:
    """Nothing at all without PUBLISH."""

    def __init__(self, config: Config, pool: DatabasePool, metrics: Metrics) -> None:
        self._address = config.publish
        self._length = config.publish_length
        self._pool = pool
        self._metrics = metrics
        self._room = asyncio.Event()
        self._room.set()
        self._ends = False

    async def check(self) -> None:
        """Look whether the server can hold the stream. Raises OperatorError for what it must not be."""
        if self._address is None:
            return
        try:
            engine = await Engine.open(self._address)
        except EngineLost as error:
            log.warning("No connection to %s of PUBLISH (%s): entries wait in the database", self._address, error)
            return
        try:
            await look(engine)
        except EngineLost as error:
            log.warning("The connection to %s of PUBLISH is gone (%s): entries wait in the database", self._address, error)
        finally:
            engine.close()

    def work(self) -> list[Coroutine[Any, Any, object]]:
        """What every worker does while it reads, until cancelled."""
        return [] if self._address is None else [self._keep_counting()]

    def once_for_all(self) -> list[Coroutine[Any, Any, object]]:
        """What one of the workers does for all."""
        if self._address is None:
            return []
        return [Publisher(self._pool, self._address, self._length, self._metrics).keep_publishing()]

    async def room(self) -> None:
        """Wait while too many entries wait."""
        await self._room.wait()

    def end(self) -> None:
        """From now on nothing waits: what was read is written, so that a stop need not wait for the server."""
        self._ends = True
        self._room.set()

    async def _keep_counting(self) -> None:
        while True:
            try:
                async with self._pool.connection() as connection:
                    self._note((await outbox.standing(connection)).waiting)
            except DATABASE_ERRORS as error:
                warn_limited(log, "publish count", "Could not count what is to be published (%s)", error)
            await asyncio.sleep(INTERVAL)

    def _note(self, waiting: int) -> None:
        self._metrics.publish_waiting = waiting
        if self._room.is_set() and waiting >= MOST_WAITING and not self._ends:
            self._room.clear()
            log.warning(
                "%d entries wait to be published: nothing more is written until the server of PUBLISH takes them", waiting
            )
        elif not self._room.is_set() and waiting < MOST_WAITING:
            self._room.set()
            log.info("The server of PUBLISH takes entries again: writing continues")
