"""While the stream is filled: one ingester at a time, memory watched, and trimmed what PostgreSQL has had for a minute."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from secrets import token_hex
from time import monotonic

from unified_indexer.log.handler import warn_limited
from unified_indexer.stream.engine import Engine, EngineLost, Word
from unified_indexer.stream.filling import Filling
from unified_indexer.stream.keys import HOLD, LET_GO, TELL, TRIM, own_key, turn_key
from unified_indexer.stream.server import Server, look
from unified_indexer.stream.stored import Stored, Unknown

INTERVAL = 1.0  # seconds
TURN = 13_000  # ms without a sign of life, after which another one, which looks each second, fills the stream: within 15 s
# An asynchronous standby that takes over has lost some seconds of rows and cursors: what they came from must still be here.
KEPT = 60.0  # seconds that a frame is kept after PostgreSQL has it
FULL, ROOMY = 0.90, 0.85  # of the memory: where reading stops, and where it continues

log = logging.getLogger(__name__)


class Turn:
    """Who may fill the stream. Two at once would do no harm, but each frame would be sent twice."""

    def __init__(self, host: str) -> None:
        self._key = turn_key(host)
        self._name = token_hex(8)
        self._told = False

    async def take(self, engine: Engine) -> bool:
        """Take the turn, or keep it; whether it is ours."""
        (ours,) = await engine.ask(("EVAL", HOLD, 1, self._key, self._name, TURN))
        if not ours and not self._told:
            log.info("Another ingester fills this stream: waiting for it to end")
        self._told = not ours
        return bool(ours)

    async def let_go(self, engine: Engine) -> None:
        """Give the turn to whoever waits."""
        await engine.ask(("EVAL", LET_GO, 1, self._key, self._name))


class Keeping:
    """Looks every second, on a connection of its own, so that no batch waits for it."""

    def __init__(self, host: str, turn: Turn, stored: Stored) -> None:
        self._own = own_key(host)
        self._turn = turn
        self._stored = stored
        self._known: deque[tuple[float, Mapping[int, int]]] = deque()  # what PostgreSQL had, and when
        self._trimmed: Mapping[int, int] = {}

    async def look(self, engine: Engine, filling: Filling) -> None:
        """Keep the turn, and let the relay be read where there is room. Raises EngineLost when the turn is gone."""
        if not await self._turn.take(engine):
            raise EngineLost("another ingester fills this stream")
        self._watch(await look(engine), filling)
        await self._tell(engine, filling)

    async def run(self, engine: Engine, filling: Filling) -> None:
        """Until cancelled. Raises EngineLost when the turn or the connection is gone."""
        while True:
            await self.look(engine, filling)
            await self._trim(engine)
            await asyncio.sleep(INTERVAL)

    def _watch(self, server: Server, filling: Filling) -> None:
        self.server = server
        if server.replica:
            raise EngineLost("the stream's server is a replica: it takes no writes")
        share = server.used / server.limit
        if share >= FULL and filling.room.is_set():
            filling.room.clear()
            log.warning(
                "The stream's server has %.0f %% of its memory in use (%d of %d MB): the relay is not read until workers have "
                "caught up; more memory (maxmemory) holds more",
                100 * share,
                server.used // 2**20,
                server.limit // 2**20,
            )
        elif share < ROOMY and not filling.room.is_set():
            filling.room.set()
            log.info("The stream's server has room again (%.0f %% in use): reading continues", 100 * share)

    async def _tell(self, engine: Engine, filling: Filling) -> None:
        """What workers show of the server."""
        full = int(not filling.room.is_set())
        said: list[Word] = ["memory", self.server.used, "limit", self.server.limit, "full", full]
        await engine.ask(("EVAL", TELL, 1, self._own, *said))

    async def _trim(self, engine: Engine) -> None:
        try:
            cursors = await self._stored.cursors()
        except Unknown as error:
            warn_limited(log, "database away", "The database does not answer (%s): the stream grows meanwhile", error)
            return
        now = monotonic()
        self._known.append((now, {number: at.seq for number, at in cursors.partitions.items()}))
        least: Mapping[int, int] = {}
        while self._known and now - self._known[0][0] >= KEPT:
            least = self._known.popleft()[1]
        moved: list[Word] = []
        for number, seq in least.items():
            if seq != self._trimmed.get(number):
                moved += [number, seq]
        if moved:
            await engine.ask(("EVAL", TRIM, 1, self._own, *moved))
            self._trimmed = least
