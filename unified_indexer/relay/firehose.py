"""A relay's event stream as frames: connect, ask from a cursor, reconnect, whatever happens to a connection.

Source: https://atproto.com/specs/event-stream and the lexicon com.atproto.sync.subscribeRepos.
"""

import asyncio
import logging
import ssl as tls
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from unified_indexer.config.addresses import SUBSCRIBE_PATH
from unified_indexer.metrics import Metrics
from unified_indexer.relay.backoff import Backoff
from unified_indexer.relay.connection import UNREACHABLE, asked_to_wait, open_connection, why_not
from unified_indexer.relay.position import Position
from unified_indexer.relay.skipping import Skipping
from unified_indexer.relay.watchdog import PING_INTERVAL, Watchdog

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where a session's frames come from. `connected` and `next_attempt_at` are for people to see."""

    connected: bool
    next_attempt_at: float | None

    def frames(self) -> AsyncGenerator[bytes, None]:
        """The frames, through any number of connections, until `stop`."""
        ...

    def disconnect(self, reason: str) -> None:
        """Drop this connection; `frames` continues with a new one."""
        ...

    def stop(self) -> None:
        """End `frames` at once, wherever it is."""
        ...


class Firehose:
    """One relay's stream. `frames` yields the messages; `position` says where a reconnect continues; `stop` ends it."""

    def __init__(
        self,
        relay_url: str,
        position: Position,
        *,
        idle_timeout: float,
        metrics: Metrics,
        ssl: tls.SSLContext | None = None,
        ping_interval: float = PING_INTERVAL,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`relay_url` is ws(s)://host[:port]. The consumer of `frames` must register in `position` what arrived.

        `idle_timeout` and `ping_interval` are in seconds; an idle time-out of 0 is off. `ssl` replaces the system's own
        certificate authorities. `backoff` and `sleep` are the waits between connections.
        """
        self.connected = False
        self.next_attempt_at: float | None = None  # by time.monotonic, while the next connection is waited for
        self._relay_url = relay_url
        self.position = position
        self._skipping = Skipping(position, metrics)
        self._watchdog: Watchdog | None = None  # of the last connection
        self._idle_timeout = idle_timeout
        self._ping_interval = ping_interval
        self._metrics = metrics
        self._ssl = ssl
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._stopping = False
        self._interruptible: asyncio.Timeout | None = None  # what stop() breaks off while there is no connection

    def disconnect(self, reason: str) -> None:
        """Drop this connection and what was read ahead on it; `frames` continues with a new one, after the back-off."""
        if self._watchdog is not None:
            self._watchdog.end(reason)

    def stop(self) -> None:
        """End `frames` at once, wherever it is."""
        if not self._stopping:
            self._stopping = True
            self.disconnect("stopping")
            if self._interruptible is not None:
                self._interruptible.reschedule(asyncio.get_running_loop().time())

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The relay's binary messages, in order, through any number of connections, until `stop`.

        For one consumer, which should close it (contextlib.aclosing) if it leaves early. While the consumer is busy nothing is
        read and no time-out runs; a connection that is lost meanwhile is noticed, and made again, when the next frame is
        asked for. Raises OperatorError for a proxy setting that is unusable; whatever the network does is a reconnect.
        """
        while not self._stopping:
            connection = await self._connect()
            if connection is None:
                continue
            before = self.position.resume_from
            watchdog = self._watchdog = Watchdog(idle_timeout=self._idle_timeout, ping_interval=self._ping_interval)
            if self._stopping:
                watchdog.end("stopping")
            watch = asyncio.create_task(watchdog.watch(connection))
            reason = ""
            try:
                while watchdog.ending is None:
                    watchdog.waiting = True
                    message = await connection.recv()
                    watchdog.waiting = False
                    watchdog.messages += 1
                    if isinstance(message, bytes):
                        yield message
                    else:
                        self._metrics.refused["text_frame"] += 1
            except ConnectionClosed as closed:
                reason = str(closed)
                if watchdog.ending is None:
                    self._skipping.closed(_our_code(closed), reason)
            finally:
                watchdog.waiting = self.connected = False
                await _end(watch, connection, lost=bool(reason))
            if self.position.resume_from != before:  # only connections that bring nothing new make the waits grow
                self._backoff.reset()
            await self._pause(logging.INFO, f"Disconnected ({watchdog.ending or reason})")

    async def _connect(self) -> ClientConnection | None:
        """A new connection; None after a failure, which has been logged and waited for, and when stopping."""
        cursor = self._skipping.cursor
        url = self._relay_url + SUBSCRIBE_PATH + ("" if cursor is None else f"?cursor={cursor}")
        try:
            async with asyncio.timeout(None) as self._interruptible:
                connection = await open_connection(url, self._ssl)
        except UNREACHABLE as error:
            await self._pause(logging.WARNING, f"Cannot connect to {self._relay_url} ({why_not(error)})", asked_to_wait(error))
            return None
        finally:
            self._interruptible = None
        self.position.connected(passing_over=self._skipping.passing_over)
        self.connected = self._metrics.was_connected = True
        log.info("Connected to %s, %s", self._relay_url, _from(cursor))
        return connection

    async def _pause(self, level: int, what: str, at_least: float = 0.0) -> None:
        """Log `what` happened and wait for the next attempt, `at_least` seconds. Does nothing when stopping."""
        if self._stopping:
            return
        seconds = max(self._backoff.next(), at_least)
        self._metrics.reconnecting(what)
        log.log(level, "%s; reconnecting in %.1f s, %s", what, seconds, _from(self._skipping.cursor))
        self.next_attempt_at = monotonic() + seconds
        try:
            async with asyncio.timeout(None) as self._interruptible:
                await self._sleep(seconds)
        except TimeoutError:
            pass
        finally:
            self._interruptible = self.next_attempt_at = None


async def _end(watch: asyncio.Task[None], connection: ClientConnection, *, lost: bool) -> None:
    watch.cancel()
    closing = asyncio.create_task(connection.close())
    # The relay's answer stands behind what it had sent before, and is seen only if that is read. Of a connection that is lost
    # half a message may be left, at which the library fails.
    with suppress(ConnectionClosed):
        while not lost:
            await connection.recv()
    await asyncio.wait([watch, closing])
    if not watch.cancelled():
        watch.result()


def _our_code(closed: ConnectionClosed) -> int | None:
    """The close code with which our side began to close; None if the relay did, or nobody."""
    return closed.sent.code if closed.sent is not None and not closed.rcvd_then_sent else None


def _from(cursor: int | None) -> str:
    return "live" if cursor is None else f"from cursor {cursor}"
