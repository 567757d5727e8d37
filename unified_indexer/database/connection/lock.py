"""The worker's lock: one worker per relay, database and share. Who waits for it takes it from a holder that has fallen silent.

All are advisory locks of one session, so they end with it. Whoever has a share holds the relay's own lock with the others, so a
worker that has no share, or another number of shares, is kept out. One of the shares' workers is the keeper besides.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import asyncpg

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.errors import OperatorError
from unified_indexer.shares import Share

log = logging.getLogger(__name__)

LOCK_PATIENCE = 30.0  # seconds: for the server to notice that the lock's last holder was killed
POLL = 0.25  # seconds between two attempts
ANSWER = 9.0  # seconds for an attempt: a server that falls silent meanwhile is left
# Seconds without a statement from the lock's holder, which asks something at least every five (`DatabasePool.watch`). Then its
# machine is gone or its process hangs, whatever the network between says. With the start, less than 15 s pass.
SILENCE = 10.0

_KEY = "(l.classid::bigint << 32 | l.objid::bigint)"
_HELD = """l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"""
TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
TRY_SHARED = "SELECT pg_try_advisory_lock_shared($1)"
UNLOCK_SHARED = "SELECT pg_advisory_unlock_shared($1)"
HOLDER = f"""
SELECT format('pid %s, %s, connected %s', a.pid, a.application_name, a.backend_start) FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a USING (pid) WHERE {_HELD} AND {_KEY} = $1 AND a.pid <> pg_backend_pid() LIMIT 1
"""
# Who holds the relay's lock, and not that of our number of shares.
OTHERS = f"""
SELECT format('pid %s, %s, connected %s', a.pid, a.application_name, a.backend_start) FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a USING (pid) WHERE {_HELD} AND {_KEY} = $1
  AND l.pid NOT IN (SELECT l.pid FROM pg_catalog.pg_locks AS l WHERE {_HELD} AND {_KEY} = $2) LIMIT 1
"""
END_SILENT = f"""
SELECT pg_terminate_backend(a.pid), a.pid FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a USING (pid)
WHERE {_HELD} AND l.mode = $3 AND {_KEY} = $1 AND a.pid <> pg_backend_pid() AND a.state = 'idle'
  AND a.state_change < clock_timestamp() - make_interval(secs => $2)
"""

WAITING = "Another worker writes the events of %s into this database (%s): waiting up to %.0f s for it to end"
STANDING_BY = "Another worker writes the events of %s into this database (%s): standing by to take its place"
BUSY = (
    "another worker writes the events of {} into this database ({}): stop it first, start this one with --standby to take its "
    "place when it ends, or give this one a database of its own"
)
OTHER_SHARES = (
    "SHARE is {share.number}/{share.of}, and a worker with another number of shares, or without SHARE, writes the events of "
    "{host} into this database ({holder}): stop all of them first, then start {share.of} with the new number"
)


def lock_key(name: str) -> int:
    """The key of the lock that protects `name`. Positive, so that the two halves in pg_locks together are the key again."""
    return int.from_bytes(hashlib.sha256(f"unified_worker:{name}".encode()).digest()[:8], "big") >> 1


def keeper_key(host: str) -> int:
    """The key of the lock of the one that does what is done once for all shares."""
    return lock_key(f"{host}#keeper")


def standby_key(service: str) -> int:
    """The key of the lock that all who stand by for `service` hold together, so that `status` can count them."""
    return lock_key(f"{service}#standby")


class Held(NamedTuple):
    """The lock is somebody else's: what a start would say, and whether it would stand by for it rather than refuse."""

    fault: str
    waits: bool


class WorkerLock:
    """The lock of one share of a relay's stream. `on_standby`: None, or called where another worker has it; then this one waits
    for as long as it takes. `after_standby`: called when it has the lock then, or when the database no longer answers."""

    def __init__(
        self, host: str, share: Share, on_standby: Callable[[], None] | None, after_standby: Callable[[], None] | None = None
    ) -> None:
        self.standing_by = False
        self._host = host
        self._share = share
        self._service = share.service(host)
        self._on_standby = on_standby
        self._after_standby = after_standby

    async def take(self, connection: Connection) -> None:
        """Take the lock in this session. Raises OperatorError where another worker keeps it."""
        try:
            await self._wait(connection)
        finally:
            if self.standing_by and self._after_standby is not None:
                self._after_standby()
        self.standing_by = False

    async def _wait(self, connection: Connection) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE
        told = marked = False
        while True:
            async with asyncio.timeout(ANSWER):
                taken, others = await self._attempt(connection)
                if taken:
                    if marked:
                        await connection.fetchval(UNLOCK_SHARED, standby_key(self._service))
                    return
                waits = self._on_standby is not None and others is None
                holder = others or await connection.fetchval(HOLDER, lock_key(self._service))
                if waits:
                    self._stand_by(holder)
                if waits and not marked:
                    marked = True
                    await connection.fetchval(TRY_SHARED, standby_key(self._service))
                if others is None:
                    await self._end_silent(connection, self._service, "ExclusiveLock")
            if not waits and not told:
                told = True
                log.warning(WAITING, self._service, holder, LOCK_PATIENCE)
            if not waits and time.monotonic() >= deadline:
                raise OperatorError([self._fault(holder, others)])
            await asyncio.sleep(POLL)

    async def look(self, connection: Connection) -> Held | None:
        """Who keeps a start of now from taking the lock; None if nobody does. Nothing is taken."""
        number = lock_key(f"{self._host}#/{self._share.of}")
        others = None if self._share.of == 1 else await connection.fetchval(OTHERS, lock_key(self._host), number)
        holder = others or await connection.fetchval(HOLDER, lock_key(self._service))
        if holder is None:
            return None
        return Held(self._fault(holder, others), self._on_standby is not None and others is None)

    async def try_keeping(self, connection: Connection) -> bool:
        """Whether this session is the keeper from now on; ask each time that it was not."""
        return self._share.of == 1 or await connection.fetchval(TRY_LOCK, keeper_key(self._host))

    async def _attempt(self, connection: Connection) -> tuple[bool, str | None]:
        """Whether the lock is ours now; or whom another number of shares belongs to. What was taken halfway is given back."""
        if self._share.of == 1:
            taken = await connection.fetchval(TRY_LOCK, lock_key(self._host))
            return taken, None
        number, relay = lock_key(f"{self._host}#/{self._share.of}"), lock_key(self._host)
        await connection.fetchval(TRY_SHARED, number)  # nobody takes it for itself
        if await connection.fetchval(TRY_SHARED, relay):
            others = await connection.fetchval(OTHERS, relay, number)
            # Who takes its parts one by one (number 0) needs no lock of its own.
            if others is None and (self._share.number == 0 or await connection.fetchval(TRY_LOCK, lock_key(self._service))):
                return True, None
            await connection.fetchval(UNLOCK_SHARED, relay)
        else:
            others = await connection.fetchval(HOLDER, relay)
        await connection.fetchval(UNLOCK_SHARED, number)
        return False, others

    async def end_silent(self, connection: Connection) -> None:
        """End the sessions of those who have a share of the same number and have fallen silent."""
        await self._end_silent(connection, f"{self._host}#/{self._share.of}", "ShareLock")

    async def _end_silent(self, connection: Connection, name: str, mode: str) -> None:
        try:
            ended = await connection.fetch(END_SILENT, lock_key(name), SILENCE, mode)
        except asyncpg.InsufficientPrivilegeError:
            return  # another role's session: the server itself notices a machine that is gone
        for row in ended:
            log.warning(
                "The worker that writes the events of %s (pid %d) has been silent for %.0f s: its session is ended",
                *(self._service, row["pid"], SILENCE),
            )

    def _stand_by(self, holder: str | None) -> None:
        if not self.standing_by:
            self.standing_by = True
            log.info(STANDING_BY, self._service, holder)
        if self._on_standby is not None:
            self._on_standby()

    def _fault(self, holder: str | None, others: str | None) -> str:
        if others is None:
            return BUSY.format(self._service, holder)
        return OTHER_SHARES.format(share=self._share, host=self._host, holder=others)
