"""The connections to the HTTP server: a hundred at once, and none of a client that does not read what it asked for."""

import asyncio
from collections.abc import Callable
from typing import cast

MOST_CONNECTIONS = 100  # open at once; more are closed at once, so that they can't use up the process's files
PATIENCE = 20.0  # seconds in which a client must read something of what waits for it
INTERVAL = 1.0  # seconds between two looks


class Connections:
    """Admits connections. `keep_looking` makes room: what waits for a client that does not read would wait for ever."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()

    def admit(self, serve: Callable[[], asyncio.Protocol] | None) -> asyncio.Protocol:
        """The protocol of a new connection, which one that `serve` makes answers if there is room."""
        if serve is None or len(self._open) >= MOST_CONNECTIONS:
            return _TurnedAway()
        return Connection(serve(), self._open)

    async def keep_looking(self) -> None:
        """End the connections whose clients do not read, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            now = asyncio.get_running_loop().time()
            for connection in list(self._open):
                connection.look(now)


class Connection(asyncio.Protocol):
    """A connection that `served` answers. It is among the open ones until its last byte is out, also where `served` has closed
    it: that waits for the client too."""

    def __init__(self, served: asyncio.Protocol, among: "set[Connection]") -> None:
        self._served = served
        self._among = among
        self._transport: asyncio.Transport | None = None
        self._waiting = 0  # bytes, at the last look
        self._read_at = 0.0  # when the client had read something last, or nothing waited for it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._among.add(self)
        self._served.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served.eof_received()

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._among.discard(self)
        self._served.connection_lost(exc)

    def look(self, now: float) -> None:
        """End the connection if for PATIENCE there never was less to read than before."""
        if self._transport is None:
            return
        before, self._waiting = self._waiting, self._transport.get_write_buffer_size()
        if not before or self._waiting < before:
            self._read_at = now
        elif now - self._read_at >= PATIENCE:
            self._transport.abort()


class _TurnedAway(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
