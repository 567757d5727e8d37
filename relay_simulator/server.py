"""The relay itself: serves a log of frames at /xrpc/com.atproto.sync.subscribeRepos, by cursor, with faults on order.

async with RelayServer(frames) as relay: connect(relay.url)
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import assert_never, cast
from urllib.parse import parse_qs, urlsplit

from relay_simulator.connection import CLOSE_SECONDS, Connection
from relay_simulator.encoding import seq_of
from relay_simulator.faults import Cut, Fault, Refuse, Say, Silence
from relay_simulator.frames_file import FrameLog, GrowingLog, Log
from relay_simulator.ports import free_port

PATH = "/xrpc/com.atproto.sync.subscribeRepos"
CHUNK_BYTES = 262_144  # written at once: few system calls, and little kept when the client is slow
CHUNK_FRAMES = 200


class RelayServer:
    """A relay over the frames given, those of a recorded file before them, or over another `log`. Port 0 takes a free one;
    `url` says which.

    With `rate` (frames a second) the stream moves on from the first connection at that pace, after the first `held` frames,
    which are there at once; without, all of it is. A client with a cursor gets what comes after it (`inclusive`: from it on)
    and goes on live; without one, only what comes from now on. At the end the connection stays open. Each connection takes one
    list of faults from `script`, or `always` when that is empty.
    """

    def __init__(
        self,
        frames: Iterable[bytes] = (),
        *,
        recorded: Path | None = None,
        log: Log | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        rate: float | None = None,
        held: int = 0,
        inclusive: bool = False,
        tls: ssl.SSLContext | None = None,
        script: Iterable[Sequence[Fault]] = (),
        always: Sequence[Fault] = (),
    ) -> None:
        self.log: Log = FrameLog(frames, recorded) if log is None else log
        self.script = deque(script)
        self.always = always
        self.connections = 0  # requests that came, refused ones included
        self.cursors: list[int | None] = []  # asked for, in order of the connections
        self.frames_sent = 0  # to all clients together, what faults said not included
        self.beside = ""  # the URL of a server that answers what asks for anything but the stream
        self.open: dict[Connection, asyncio.Task[None]] = {}  # clients now, and what serves each
        self._host = host
        self._port = port or free_port()  # it may be stopped, and started again there
        self._rate = rate
        self._held = held
        self._inclusive = inclusive
        self._tls = tls
        self._furthest = 0  # position behind the last frame that any client has had
        self._began: float | None = None
        self._grown = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens, as ws:// or wss:// with host and port and no path."""
        return f"{'wss' if self._tls else 'ws'}://{self._host}:{self._port}"

    async def __aenter__(self) -> "RelayServer":
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. After `stop` it listens on the same port again."""
        self._server = await asyncio.start_server(self._client, self._host, self._port, ssl=self._tls)

    async def stop(self) -> None:
        """Drop every client and stop listening."""
        if self._server is not None:
            self._server.close()
            self.drop()
            await asyncio.gather(*self.open.values(), return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    @property
    def sent_seq(self) -> int:
        """The seq of the newest frame that any client has had, or is being sent; 0 before the first."""
        for position in reversed(range(self._furthest)):
            seq = seq_of(bytes(self.log[position]))
            if seq is not None:
                return seq
        return 0

    def append(self, frame: bytes) -> None:
        """Add a frame at the end of the stream, if its log takes any; clients that wait get it."""
        if not isinstance(self.log, GrowingLog):
            raise TypeError("nothing can be added to such a log")
        self.log.append(frame)
        self._grown.set()
        self._grown = asyncio.Event()

    def drop(self) -> None:
        """Drop every client's socket now, without a word."""
        for connection in self.open:
            connection.abort()

    def _head(self) -> int:
        """How many frames the stream has so far."""
        if self._rate is None or self._began is None:
            return len(self.log)
        return min(len(self.log), self._held + int((asyncio.get_running_loop().time() - self._began) * self._rate))

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self.open[connection] = task
        try:
            await self._serve(connection)
        except ConnectionError:
            pass  # the client left, or was dropped on order
        finally:
            await connection.finish()
            del self.open[connection]

    async def _serve(self, connection: Connection) -> None:
        request = await connection.request()
        if self.beside and urlsplit(request.path).path != PATH:
            await connection.pass_on(request, self.beside)
            return
        self.connections += 1
        faults = deque(self.script.popleft() if self.script else self.always)
        target = urlsplit(request.path)
        if target.path != PATH:
            await connection.refuse(404, {}, "no such method")
            return
        try:
            cursor = int(parse_qs(target.query)["cursor"][0]) if "cursor=" in target.query else None
        except ValueError:
            await connection.refuse(400, {}, "the cursor is no number")
            return
        self.cursors.append(cursor)
        if faults and isinstance(faults[0], Refuse):
            await connection.refuse(faults[0].status, faults[0].headers, faults[0].body)
            return
        if not await connection.accept(request):
            return
        if self._began is None:
            self._began = asyncio.get_running_loop().time()
        position = self._head() if cursor is None else self.log.after(cursor, inclusive=self._inclusive)
        listening = asyncio.create_task(connection.listen())
        sending = asyncio.create_task(self._send(connection, position, faults))
        try:
            await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not sending.exception():
                await asyncio.wait({listening}, timeout=CLOSE_SECONDS)
        finally:
            listening.cancel()
            sending.cancel()
            ended = await asyncio.gather(listening, sending, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, ConnectionError):
                raise error

    async def _send(self, connection: Connection, position: int, faults: deque[Fault]) -> None:
        """Send from this position on, with the faults in between, until one of them ends it."""
        sent = 0
        while True:
            while faults and _due(faults[0]) <= sent:
                if await self._commit_fault(connection, faults.popleft()):
                    return
            most = min(CHUNK_FRAMES, _due(faults[0]) - sent) if faults else CHUNK_FRAMES
            grown = self._grown
            chunk = self._chunk(position, most)
            if chunk:
                self._furthest = max(self._furthest, position + len(chunk))
                await connection.send(chunk)
                position += len(chunk)
                sent += len(chunk)
                self.frames_sent += len(chunk)
            elif position < len(self.log) and self._rate is not None:
                await asyncio.sleep(1 / self._rate)
            else:
                await grown.wait()

    def _chunk(self, position: int, most: int) -> list[bytes | memoryview]:
        chunk: list[bytes | memoryview] = []
        size = 0
        for at in range(position, min(position + most, self._head())):
            chunk.append(self.log[at])
            size += len(chunk[-1])
            if size >= CHUNK_BYTES:
                break
        return chunk

    async def _commit_fault(self, connection: Connection, fault: Fault) -> bool:
        """Do it; whether it has ended the connection."""
        match fault:
            case Say(_, message, text):
                await connection.say(message, text=text)
                return False
            case Silence():
                await asyncio.Event().wait()
            case Cut(_, "close"):
                await connection.close()
            case Cut():
                connection.abort()
            case Refuse():
                raise ValueError("a refusal comes first in its list, before the websocket is open")
            case _:
                assert_never(fault)
        return True


def _due(fault: Fault) -> int:
    """After how many frames a fault comes."""
    return 0 if isinstance(fault, Refuse) else fault.after
