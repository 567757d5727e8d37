"""A TCP proxy that does to connections what networks do: before the relay, and before PostgreSQL's socket."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType

from relay_simulator.ports import free_port

CHUNK = 65_536
ACCEPTING = 10  # turns of the loop in which a connection that was accepted just now has come to `_client`
CLOSING = 1.0  # seconds for what is written to go out
NO_LINGER = struct.pack("ii", 1, 0)  # closing then resets the connection

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Forwards what connects to 127.0.0.1:`port` to where `connect` leads. Meanwhile others change its ways.

    `stalled`: nothing is passed on, and nothing is closed. `refusing`: what connects is closed at once. `rate`: bytes a second
    from the server to the client. `cut_after`: bytes from the server until all is cut, in the middle of whatever goes by.
    """

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self._going = asyncio.Event()
        self._going.set()
        self._server: asyncio.Server | None = None
        self._pairs: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._silenced: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self.refusing = False
        self.rate: float | None = None
        self.cut_after: int | None = None
        self.port = free_port()  # stays the same, however often it listens

    async def __aenter__(self) -> "Proxy":
        await self.listen()
        return self

    async def listen(self) -> None:
        """Take connections, at the same port as before."""
        self._server = await asyncio.start_server(self._client, "127.0.0.1", self.port)

    def deafen(self) -> None:
        """Nothing listens any more; the connections that there are go on."""
        assert self._server is not None
        self._server.close()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        self._over.set()
        self.resume()
        self.reset()
        for _ in range(ACCEPTING):
            await asyncio.sleep(0)
        while self._pairs:
            await asyncio.gather(*self._pairs, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pairs)

    def reset(self, share: float = 1.0) -> None:
        """Reset connections (RST, not FIN): all, or the oldest such share of them."""
        pairs = list(self._pairs.values())
        for writers in pairs[: max(1, round(share * len(pairs)))]:
            for writer in writers:
                raw = writer.get_extra_info("socket")
                if raw is not None and raw.family != socket.AF_UNIX:
                    with contextlib.suppress(OSError):  # it is closed already
                        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                writer.transport.abort()

    def close(self) -> None:
        """End all connections in good order (FIN)."""
        for writers in self._pairs.values():
            for writer in writers:
                writer.close()

    def silence(self) -> None:
        """The connections that are open now pass nothing on any more and stay open; new ones are not touched."""
        self._silenced.update(self._pairs)

    def give_up(self) -> None:
        """End what was silenced on the server's side."""
        for task in self._silenced:
            for writer in self._pairs[task][1:]:
                writer.transport.abort()

    def stall(self) -> None:
        """Pass nothing on, of any connection, until `resume`."""
        self._going.clear()

    def resume(self) -> None:
        """Pass on again what was held up."""
        self._going.set()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.refusing or self._over.is_set():
            writer.transport.abort()
            return
        self._pairs[task] = [writer]
        try:
            await self._going.wait()
            upstream, to_upstream = await self._connect()
            self._pairs[task].append(to_upstream)
            both = (self._pump(task, reader, to_upstream, down=False), self._pump(task, upstream, writer, down=True))
            pumps = [asyncio.create_task(pump) for pump in both]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # the server is not there, or the client has gone
        finally:
            self._silenced.discard(task)
            for end in self._pairs[task]:
                end.close()
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(CLOSING):
                        await end.wait_closed()
                end.transport.abort()
            del self._pairs[task]

    async def _pump(
        self, task: asyncio.Task[None], source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, down: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK if self.rate is None or not down else max(1, int(self.rate / 20))):
                await self._going.wait()
                if task in self._silenced:
                    await self._over.wait()
                if down and self.cut_after is not None:
                    data = data[: self.cut_after]
                    self.cut_after -= len(data)
                sink.write(data)
                await sink.drain()
                if down and self.cut_after == 0:
                    self.cut_after = None
                    self.reset()
                if down and self.rate is not None:
                    await asyncio.sleep(len(data) / self.rate)


def to_port(port: int) -> Callable[[], Awaitable[Streams]]:
    """Leads to a port of this machine."""
    return lambda: asyncio.open_connection("127.0.0.1", port)


def to_socket(path: str) -> Callable[[], Awaitable[Streams]]:
    """Leads to a Unix socket."""
    return lambda: asyncio.open_unix_connection(path)
