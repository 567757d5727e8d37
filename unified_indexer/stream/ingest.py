"""The ingester: a relay's stream into a Redis or Valkey server, from one failure of the server to the next."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from unified_indexer.config.settings import Config
from unified_indexer.config.stream_url import PARTITIONS, StreamAddress
from unified_indexer.errors import OperatorError
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.relay.backoff import Backoff
from unified_indexer.relay.firehose import Firehose
from unified_indexer.relay.gaps import StreamPosition
from unified_indexer.relay.position import Position
from unified_indexer.relay.position import Stored as Begun
from unified_indexer.stream.engine import Engine, EngineFull, EngineLost
from unified_indexer.stream.filling import Filling
from unified_indexer.stream.keeping import Keeping, Turn
from unified_indexer.stream.keys import own_key
from unified_indexer.stream.server import look
from unified_indexer.stream.stored import Stored, Unknown

log = logging.getLogger(__name__)

UNIT = 0.5  # seconds: the shortest wait before a server is tried again
LONGEST = 5.0  # seconds: the longest; the frames of that time wait at the relay
UNLIMITED = (
    "The stream's server has no limit of memory (maxmemory): reading stops at %d MB, half of the machine's; set maxmemory, so "
    "that the machine keeps what else it needs"
)
OTHER_NUMBER = (
    "the stream at {place} has {there} partitions, this version needs {here}: let the workers read all of it, delete its keys "
    "({own}*), and start the ingester and the workers of one version"
)


class Ingest:
    """One run. `initialize` and `run` as a command's; the Metrics count frames put (finished) and found there (stale)."""

    def __init__(self, config: Config, address: StreamAddress) -> None:
        self._config = config
        self._address = address
        self.metrics = Metrics()
        self._host = config.relay_host
        self._stored = Stored(config.database_url, config.relay_host)
        self._turn = Turn(config.relay_host)
        self._backoff = Backoff(unit=UNIT)
        self._stop = asyncio.Event()
        self._filling: Filling | None = None
        self._warned = False

    async def initialize(self) -> None:
        """Look whether the server can hold the stream. Raises OperatorError for what it must not be."""
        try:
            engine = await Engine.open(self._address)
        except EngineLost as error:
            log.warning("No connection to %s (%s): trying again until there is one", self._address, error)
            return
        try:
            await self._check(engine)
        except (EngineLost, EngineFull) as error:
            log.warning("%s takes nothing just now (%s): trying again", self._address, error)
        finally:
            engine.close()

    async def run(self) -> None:
        """Work until `stop`: what was read is in the server then."""
        try:
            while not self._stop.is_set():
                try:
                    await self._session()
                except* (EngineLost, EngineFull) as group:
                    why = " ".join(str(error) for error in group.exceptions)
                    await self._wait(f"The stream's server failed ({why})")
        finally:
            self._stored.close()

    def stop(self) -> None:
        """End the reading; `run` returns when what was read is in the server."""
        self._stop.set()
        if self._filling is not None:
            self._filling.stop()

    def abandon(self) -> None:
        """Nothing is left to close: what the server does not have is read again."""
        self._stored.close()

    async def _wait(self, why: str) -> None:
        seconds = min(self._backoff.next(), LONGEST)
        warn_limited(log, "stream server", "%s: trying again in %.1f s, from the cursor that it has", why, seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _session(self) -> None:
        """Fill the stream until the server's connection fails, or until `stop`."""
        engine = await Engine.open(self._address)
        beside: Engine | None = None
        try:
            await self._check(engine)
            while not await self._turn.take(engine):
                await self._pause()
                if self._stop.is_set():
                    return
            begun = await self._begin(engine)
            if begun is None:
                return
            beside = await Engine.open(self._address)
            await self._fill(engine, beside, begun)
            await self._turn.let_go(beside)
        finally:
            for one in (engine, beside):
                if one is not None:
                    one.close()

    async def _fill(self, engine: Engine, beside: Engine, begun: Begun) -> None:
        position = Position(self._host, begun, self._config.start)
        firehose = Firehose(self._config.relay_url, position, idle_timeout=self._config.idle_timeout, metrics=self.metrics)
        filling = self._filling = Filling(self._host, firehose, position, self.metrics)
        self._backoff.reset()
        if self._stop.is_set():
            filling.stop()
        keeping = Keeping(self._host, self._turn, self._stored)
        await keeping.look(beside, filling)  # nothing is asked of the relay for a server that is full
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(filling.read())
            kept = tasks.create_task(keeping.run(beside, filling))
            await filling.write(engine)
            kept.cancel()

    async def _check(self, engine: Engine) -> None:
        server = await look(engine)
        if server.replica:
            raise EngineLost("it is a replica: it takes no writes")
        if not server.limited and not self._warned:
            self._warned = True
            log.warning(UNLIMITED, server.limit // 2**20)
        asked = ("HGET", own_key(self._host), "partitions")
        (there,) = await engine.ask(asked)
        if there is None:  # else a full server that only trims would refuse us
            _, there = await engine.ask(("HSETNX", own_key(self._host), "partitions", PARTITIONS), asked)
        if there != str(PARTITIONS).encode():
            raise OperatorError(
                [OTHER_NUMBER.format(place=self._address, there=there.decode(), here=PARTITIONS, own=own_key(self._host))]
            )

    async def _begin(self, engine: Engine) -> Begun | None:
        """Where to begin: at what the server has, less what a crash can take from it, but never before what PostgreSQL has of
        each partition. An empty server begins at what PostgreSQL has, a new stream where CURSOR says. None when stopping."""
        (flat,) = await engine.ask(("HGETALL", own_key(self._host)))
        there = begun_at({name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)})
        while not self._stop.is_set():
            try:
                cursors = await self._stored.cursors()
            except Unknown as error:
                if there is not None:  # a new stream would leave out what only the database knows that it lacks
                    return Begun(*there)
                warn_limited(log, "database away", "The database does not answer (%s): no new stream begins without it", error)
                await self._pause()
                continue
            known = [at for at in (there, cursors.least if there else cursors.start) if at is not None]
            start = max(known, default=None, key=lambda at: at.seq)
            log.info("The stream continues %s", "where CURSOR says" if start is None else f"after the seq {start.seq}")
            return Begun() if start is None else Begun(*start)
        return None

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._stop.wait()


def begun_at(own: Mapping[str, str]) -> StreamPosition | None:
    """Where the stream in the server ended some seconds before its end, by its own key; None for a new one."""
    for seq, time in (("safe", "safe_time"), ("cursor", "time")):
        if own.get(seq, "").isdecimal():
            return StreamPosition(int(own[seq]), datetime.fromisoformat(own[time]) if own.get(time) else None)
    return None
