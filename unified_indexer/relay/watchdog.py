"""End a connection that is dead: too long without a message, or no answer to a ping."""

import asyncio

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

PING_INTERVAL = 20.0  # seconds of silence before a ping, and for its answer


class Watchdog:
    """Watches one connection. The reader tells it when it waits for a message, and counts the messages.

    `ending` is why the connection shall end, once it shall.
    """

    def __init__(self, *, idle_timeout: float, ping_interval: float) -> None:
        """Both are in seconds; an idle time-out of 0 is off."""
        self.waiting = False  # for a message: the only time in which silence counts
        self.messages = 0
        self.ending: str | None = None
        self._ended = asyncio.Event()
        self._idle_timeout = idle_timeout
        self._ping_interval = ping_interval

    def end(self, reason: str) -> None:
        """Ask for the end of the connection, with this reason; `watch` closes it."""
        self.ending = reason
        self._ended.set()

    async def watch(self, connection: ClientConnection) -> None:
        """Close the connection when its end was asked for, or when it is dead. Returns when it is closed.

        Silence counts only while a message is waited for: then the socket is being read, so an answer would be seen. It is
        counted in ticks, not by the clock, so a loop that was held up for a while does not take its own pause for silence.
        """
        tick = min(self._ping_interval, self._idle_timeout or self._ping_interval) / 10
        seen = quiet = pinged = 0.0
        pong: asyncio.Future[float] | None = None
        while not await self._ends_within(tick):
            if not self.waiting or seen != self.messages:
                seen, quiet, pinged, pong = self.messages, 0.0, 0.0, None
                continue
            quiet += tick
            if self._idle_timeout and quiet >= self._idle_timeout:
                self.end(f"no event for {self._idle_timeout:g} s")
            elif quiet - pinged >= self._ping_interval:
                if pong is not None and not pong.done():
                    self.end(f"no answer to a ping in {self._ping_interval:g} s")
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
