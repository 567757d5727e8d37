"""A relay's event stream as frames: connect, ask from a cursor, reconnect, whatever happens to a connection.

Source: https://atproto.com/specs/event-stream and the lexicon com.atproto.sync.subscribeRepos.
"""

import asyncio
import logging
import ssl as tls
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from time import monotonic

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidProxy, WebSocketException

from indexer.config.addresses import SUBSCRIBE_PATH
from indexer.errors import OperatorError
from indexer.metrics import Metrics
from indexer.relay.backoff import Backoff
from indexer.relay.connection import asked_to_wait, open_connection, told

PING_INTERVAL = 20.0  # seconds of silence before a ping, and for its answer
# The close codes with which the library refuses a message: a protocol error, text that is not UTF-8, too big.
REFUSALS = {1002: "websocket_protocol_error", 1007: "websocket_protocol_error", 1009: "frame_too_big"}

log = logging.getLogger(__name__)


class Firehose:
    """One relay's stream. `frames` gives the messages; `received` tells where a reconnect goes on; `stop` ends it."""

    def __init__(
        self,
        relay_url: str,
        start: int | None,
        *,
        idle_timeout: float,
        metrics: Metrics,
        ssl: tls.SSLContext | None = None,
        ping_interval: float = PING_INTERVAL,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`relay_url` is ws(s)://host[:port]. `start` is the cursor to ask for: None for live, 0 for the oldest that it holds.

        `idle_timeout` and `ping_interval` are in seconds; an idle time-out of 0 is off. `ssl` replaces the system's own
        certificate authorities. `backoff` and `sleep` are the waits between connections.
        """
        self._relay_url = relay_url
        self._cursor = start
        self._idle_timeout = idle_timeout
        self.connected = False
        self.next_attempt_at: float | None = None  # by time.monotonic, while the next connection is waited for
        self.passing_over = False  # this connection leaves something out, to get past a message that can't be read
        self._metrics = metrics
        self._ssl = ssl
        self._ping_interval = ping_interval
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._stopping = False
        self._interruptible: asyncio.Timeout | None = None  # what stop() breaks off while there is no connection
        self._ending: str | None = None  # why this connection shall end, once it shall
        self._ended = asyncio.Event()  # set together with _ending
        self._waiting = False  # for a message: the only time in which silence counts
        self._messages = 0
        self._stuck_at: int | None = None  # the cursor after which a message could not be read
        self._stuck = 0  # how often that happened there

    def received(self, seq: int) -> None:
        """The event `seq` has been received: a reconnect asks for what follows it. A smaller seq changes nothing."""
        if self._cursor is None or seq > self._cursor:
            self._cursor = seq

    def disconnect(self, reason: str) -> None:
        """Drop this connection and what was read ahead on it; `frames` goes on with a new one, after the back-off."""
        self._ending = reason
        self._ended.set()

    def stop(self) -> None:
        """End `frames`, at once, wherever it is."""
        if not self._stopping:
            self._stopping = True
            self.disconnect("stopping")
            if self._interruptible is not None:
                self._interruptible.reschedule(asyncio.get_running_loop().time())

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The relay's binary messages, in order, through any number of connections, until `stop`.

        For one consumer, which should close it (contextlib.aclosing) if it leaves early. While the consumer is busy nothing is
        read and no time-out runs; a connection that is lost meanwhile is noticed, and made anew, when the next frame is
        asked for. Raises OperatorError for a proxy setting that is unusable; whatever the network does is a reconnect.
        """
        while not self._stopping:
            connection = await self._connect()
            if connection is None:
                continue
            before = self._cursor
            watch = asyncio.create_task(self._watch(connection))
            reason = ""
            try:
                while self._ending is None:
                    self._waiting = True
                    message = await connection.recv()
                    self._waiting = False
                    self._messages += 1
                    if isinstance(message, bytes):
                        yield message
                    else:
                        self._metrics.refused["text_frame"] += 1
            except ConnectionClosed as closed:
                reason = self._reason(closed)
            finally:
                self._waiting = self.connected = False
                await _end(watch, connection, lost=bool(reason))
            if self._cursor != before:  # it brought events: only connections that bring nothing new make the waits grow
                self._backoff.reset()
            await self._pause(logging.INFO, f"Disconnected ({self._ending or reason})")

    async def _connect(self) -> ClientConnection | None:
        """A new connection; None after a failure, which has been told and waited for, and when stopping."""
        cursor = self._next_cursor()
        url = self._relay_url + SUBSCRIBE_PATH + ("" if cursor is None else f"?cursor={cursor}")
        try:
            async with asyncio.timeout(None) as self._interruptible:
                connection = await open_connection(url, self._ssl)
        except (InvalidProxy, ImportError) as error:
            detail = error.msg  # not the whole error, which shows the proxy's password
            raise OperatorError([f"the proxy of the environment is unusable ({detail}); correct or unset it"]) from None
        except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
            await self._pause(logging.WARNING, f"Cannot connect to {self._relay_url} ({told(error)})", asked_to_wait(error))
            return None
        finally:
            self._interruptible = None
        self.passing_over = cursor != self._cursor
        self._ending = "stopping" if self._stopping else None
        self._ended.clear()
        self.connected = self._metrics.was_connected = True
        log.info("Connected to %s, %s", self._relay_url, _position(cursor))
        return connection

    async def _pause(self, level: int, what: str, at_least: float = 0.0) -> None:
        """Log `what` happened and wait for the next attempt, for `at_least` so many seconds. Nothing of it when stopping."""
        if self._stopping:
            return
        seconds = max(self._backoff.next(), at_least)
        self._metrics.reconnecting(what)
        log.log(level, "%s; reconnecting in %.1f s, %s", what, seconds, _position(self._next_cursor()))
        self.next_attempt_at = monotonic() + seconds
        try:
            async with asyncio.timeout(None) as self._interruptible:
                await self._sleep(seconds)
        except TimeoutError:
            pass
        finally:
            self._interruptible = self.next_attempt_at = None

    async def _watch(self, connection: ClientConnection) -> None:
        """End the connection when it shall end, or is dead: too long without an event, or no answer to a ping.

        Silence counts only while a message is waited for: then the socket is being read, so an answer would be seen. It is
        counted in ticks, not by the clock, so a loop that was held up for a while does not take its own pause for silence.
        """
        tick = min(self._ping_interval, self._idle_timeout or self._ping_interval) / 10
        seen = quiet = pinged = 0.0
        pong: asyncio.Future[float] | None = None
        while not await self._ends_within(tick):
            if not self._waiting or seen != self._messages:
                seen, quiet, pinged, pong = self._messages, 0.0, 0.0, None
                continue
            quiet += tick
            if self._idle_timeout and quiet >= self._idle_timeout:
                self.disconnect(f"no event for {self._idle_timeout:g} s")
            elif quiet - pinged >= self._ping_interval:
                if pong is not None and not pong.done():
                    self.disconnect(f"no answer to a ping in {self._ping_interval:g} s")
                    continue
                try:
                    pinged, pong = quiet, asyncio.ensure_future(await connection.ping())
                except ConnectionClosed:
                    return
        await connection.close()

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._ended.wait()
        except TimeoutError:
            return False

    def _reason(self, closed: ConnectionClosed) -> str:
        """Why the connection was closed, in words; and note when that was because of a message that we could not read."""
        code = closed.sent.code if closed.sent is not None and not closed.rcvd_then_sent else None
        if self._ending is None and code in REFUSALS:
            if self._stuck == 0 or self._stuck_at != self._cursor:
                self._stuck_at, self._stuck = self._cursor, 0
                self._metrics.refused[REFUSALS[code]] += 1
            self._stuck += 1
            log.warning("A message that comes after seq %s cannot be read: %s", self._cursor, closed)
            if self._next_cursor() != self._cursor:
                log.warning("Passing over whatever lies between the seqs %s and %s", self._cursor, self._next_cursor())
        return str(closed)

    def _next_cursor(self) -> int | None:
        """The cursor to ask for: the last received seq itself, never more, except to get past a message that can't be read.

        Such a message would come again for ever. After the second time the cursor moves on by 1, 2, 4, …: seqs have gaps, so
        how far the message lies ahead is unknown. Good events that a step too wide leaves out lie within the same stretch.
        """
        if self._cursor is None or self._stuck < 2 or self._stuck_at != self._cursor:
            return self._cursor
        return self._cursor + 2 ** min(self._stuck - 2, 40)


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


def _position(cursor: int | None) -> str:
    return "live" if cursor is None else f"from cursor {cursor}"
