"""The database connections: an asyncpg pool, of which one connection holds the worker's lock.

The lock (lock.py) says that no other worker writes this relay's cursor into this database. The cursor is saved on the lock's
own connection, so a worker that lost its lock can't save one. With a pool of one connection lanes share that one.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg

from unified_indexer.database.connection.failures import DATABASE_ERRORS, READ_ONLY, Unavailable, sqlstate
from unified_indexer.database.connection.lock import WorkerLock
from unified_indexer.database.connection.poolers import pooled, refuse_shared, set_all
from unified_indexer.database.connection.server import CONNECT_TIMEOUT, HOST_TIMEOUT, Server, hosts, ready_session
from unified_indexer.database.connection.sessions import PUBLISH, SESSION_SETTINGS, Connection
from unified_indexer.errors import leaves
from unified_indexer.shares import WHOLE, Share

if TYPE_CHECKING:
    from asyncpg.pool import Pool, PoolConnectionProxy

# What asyncpg raises for a connection that the server ended while it lay idle: the server's last word has been read, the end of
# the socket has not, so the connection still passes for open.
ENDED_UNNOTICED = asyncpg.InternalClientError

# A server that is silent is noticed within 15 s.
PING_INTERVAL = 5.0  # seconds between two questions whether the server is still there
PING_TIMEOUT = 9.0  # seconds for the answer

PING = "SELECT 1"
# The server's own number of a session, not that of a pooler between, and since when it is that session's.
PLACE = "SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()"
# Whether the session of the lock has been waiting for us for so long; no row: it has ended.
WAITS_FOR_US = """
SELECT COALESCE(state LIKE 'idle%' AND state_change < clock_timestamp() - make_interval(secs => $3), false)
FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND backend_start = $2
"""
UNHEARD = 27.0  # seconds in which nobody answers for the server, but connections to it are refused


class LockLost(Exception):
    """The connection that holds the worker's lock is gone: what was not saved must be read again."""


class DatabasePool:
    """The connections of one process: asyncpg's pool, the worker's lock on it, and the connections that stages borrow.

    `url`: a PostgreSQL connection string. `size`: connections at most, the lock's included. `name`: the relay's host.
    `durable`: whether a call returns only when its commits are on disk. `exclusive`: whether the lock is taken; who writes no
    cursor does without. `publishes`: whether what is written is noted for PUBLISH. `share`: the part of the relay's accounts
    that the lock is for. `on_standby`, `after_standby`: as WorkerLock's.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        name: str,
        durable: bool,
        exclusive: bool = True,
        publishes: bool = False,
        share: Share = WHOLE,
        on_standby: Callable[[], None] | None = None,
        after_standby: Callable[[], None] | None = None,
    ) -> None:
        self.size = size
        self.durable = durable
        self.url = url
        self.name = name
        self.service = share.service(name)
        self.lock = WorkerLock(name, share, on_standby, after_standby)
        self.answered_at = -math.inf  # when the lock's connection answered last, by time.monotonic
        self._exclusive = exclusive
        self._publishes = publishes
        self._pool: Pool[Any] | None = None
        self._server: Server | None = None  # where the lock is
        self._lock_connection: PoolConnectionProxy[Any] | None = None
        self._url = url  # of the host where the lock is
        self._place: Sequence[object] = ()  # of the lock's session there
        self._lost: asyncio.Event = asyncio.Event()
        self._turn = asyncio.Lock()  # the lock's connection serves one statement at a time
        self._wanted = 0  # who has it, or waits for it
        self._turns = 0  # how often it was taken

    @property
    def busy(self) -> int:
        """The number of connections in use; the lock's connection counts while a statement runs on it."""
        if self._pool is None:
            return 0
        lent = self._pool.get_size() - self._pool.get_idle_size() - (self._lock_connection is not None)
        return lent + self._turn.locked()

    async def open(self) -> None:
        """Connect to the first host that accepts us, and take the lock there. Raises OperatorError for a pooler, or if another
        worker holds the lock.

        Raises what the last host answered, if none takes us; one that is silent costs HOST_TIMEOUT where others are named.
        """
        candidates = hosts(self.url)
        patience = CONNECT_TIMEOUT if len(candidates) == 1 else HOST_TIMEOUT
        for url in candidates[:-1]:
            with suppress(*DATABASE_ERRORS):
                await self._connect(url, patience)
                break
        else:
            await self._connect(candidates[-1], patience)
        if self._exclusive:
            async with self.lock_connection() as connection:
                await self.lock.take(connection)

    async def _connect(self, url: str, patience: float) -> None:
        """A pool on this one host, and the connection in it that is to hold the lock."""
        self.terminate()
        self._server = None
        self._pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=self.size,
            max_inactive_connection_lifetime=0,
            timeout=patience,
            server_settings=SESSION_SETTINGS,
            init=lambda connection: self._ready(connection, url, patience),
            reset=_no_reset,
        )
        connection = await self._pool.acquire(timeout=patience)
        self._url, self._place = url, tuple(await connection.fetchrow(PLACE, timeout=patience) or ())
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        self._lock_connection, self._lost = connection, lost

    async def _ready(self, connection: "Connection", url: str, patience: float) -> None:
        """Every new connection: its session is its own and set up, and it leads where the lock's does."""
        try:
            if await pooled(connection):
                if self._server is None:
                    await refuse_shared(connection, url, patience)
                await set_all(connection)
            self._server = await ready_session(connection, self._server)
            if self._publishes:
                await connection.execute(PUBLISH)
        except BaseException:
            connection.terminate()  # asyncpg would close it in good order, and wait for a silent server without end
            raise

    def terminate(self) -> None:
        """Close all connections at once: everything that matters was committed before."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None
            self._lock_connection = None

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator["Connection"]:
        """Borrow a connection to write with; waits while all are in use."""
        pool = self._pool  # `terminate` may come while the connection is lent
        if pool is None:
            raise LockLost
        if self.size == 1:
            async with self.lock_connection() as connection:
                yield connection
            return
        with _cancellation_heeded():
            try:
                connection = await pool.acquire(timeout=CONNECT_TIMEOUT)
            except DATABASE_ERRORS as error:
                if self._lost.is_set():
                    raise LockLost from None  # the lock's server is gone: a new one is chosen with a new lock
                raise Unavailable(f"no connection: {error or type(error).__name__}") from None
            try:
                yield connection
            except (asyncpg.PostgresError, asyncpg.DataError) as error:
                if sqlstate(error) == READ_ONLY:
                    connection.terminate()  # a primary no more: another connection may lead to the new one
                raise  # otherwise an answer: the connection is sound, or knows that it is closed
            except BaseException:
                connection.terminate()  # something may still run on it, and giving it back would wait for that
                raise
            finally:
                await pool.release(connection)

    @asynccontextmanager
    async def lock_connection(self) -> AsyncGenerator["Connection"]:
        """Borrow the connection that holds the lock: what is written on it is written by the lock's holder."""
        async with self._taken():
            connection = self._lock_connection
            if connection is None or self._lost.is_set():
                raise LockLost
            with _cancellation_heeded():
                try:
                    yield connection
                    self.answered_at = time.monotonic()
                except ENDED_UNNOTICED:
                    connection.terminate()
                    raise LockLost from None
                except DATABASE_ERRORS:
                    if self._lost.is_set() or connection.is_closed():
                        raise LockLost from None
                    raise

    @asynccontextmanager
    async def _taken(self) -> AsyncGenerator[None]:
        self._wanted += 1
        try:
            async with self._turn:
                self._turns += 1
                yield
        finally:
            self._wanted -= 1

    async def watch(self) -> None:
        """Raise LockLost when the lock's connection ends or no longer answers; never returns.

        A network that loses all packets ends a connection for neither side: who waits for an answer would wait for ever. So a
        lost server's connections are cut: what is broken off in a transaction would wait for its ROLLBACK.
        """
        try:
            await self._until_lost()
            self._lost.set()
            raise LockLost
        finally:
            if self._lost.is_set():
                self.terminate()

    async def _until_lost(self) -> None:
        heard = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_INTERVAL):
                    await self._lost.wait()
                    return
            try:
                async with asyncio.timeout(PING_TIMEOUT):
                    if not await self._ping():
                        return
                heard = time.monotonic()
            except (LockLost, TimeoutError):
                return
            except DATABASE_ERRORS as error:
                if isinstance(error, asyncpg.PostgresError) and not sqlstate(error).startswith("08"):
                    heard = time.monotonic()  # an answer: a statement that was cancelled, too many connections
                elif time.monotonic() - heard > UNHEARD:
                    return

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Break the block off with LockLost where `watch` finds it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self.watch())
                yield
                watching.cancel()
        except BaseExceptionGroup as group:
            raise leaves(group)[0] from None

    async def _ping(self) -> bool:
        """Wait until the server answers; False where it has no such session, or waits for us while we wait for it.

        A statement of ours may take long. Then another connection asks, because that one may never be free again.
        """
        if not self._wanted:
            async with self.lock_connection() as connection:
                await connection.fetchval(PING)
            return True
        turn = self._turns
        beside = await asyncpg.connect(self._url, server_settings=SESSION_SETTINGS)
        try:
            waits = await beside.fetchval(WAITS_FOR_US, *self._place, PING_TIMEOUT)
        finally:
            beside.terminate()
        self.answered_at = time.monotonic()
        if waits:  # who borrows the connection only makes statements; this one may have ended meanwhile
            return not self._turn.locked() or self._turns != turn
        return waits is False


@contextmanager
def _cancellation_heeded() -> Generator[None]:
    """asyncpg may answer a cancellation with an error of its own; what was cancelled in here ends all the same."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0  # not always 0: a TaskGroup that failed leaves its mark on its task
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


async def _no_reset(_connection: object) -> None:
    """Settings are the session's own and nothing is left behind by a call, so giving a connection back costs no round trip."""
