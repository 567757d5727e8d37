"""One client of the relay: the handshake, frames out as fast as the socket takes them, pings and closes answered.

Messages from server to client are not masked, so a frame goes out as it is behind a short head; `websockets` does the rest.
"""

import asyncio
import struct
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.protocol import CLOSED, SEND_EOF
from websockets.server import ServerProtocol

READ_BYTES = 65_536
CLOSE_SECONDS = 5.0  # how long a client may take to answer a close
_FIN = 0x80


def message(payload: bytes | memoryview, opcode: Opcode = Opcode.BINARY) -> tuple[bytes, bytes | memoryview]:
    """A websocket message as the two pieces that go on the wire."""
    length = len(payload)
    if length < 126:
        return struct.pack(">BB", _FIN | opcode, length), payload
    if length < 65_536:
        return struct.pack(">BBH", _FIN | opcode, 126, length), payload
    return struct.pack(">BBQ", _FIN | opcode, 127, length), payload


class Connection:
    """A client's socket; `newest` is the last frame that was sent. Raises ConnectionError from any method once the client has
    gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol(max_size=READ_BYTES)
        self.newest: bytes | memoryview | None = None

    async def request(self) -> Request:
        """The client's opening request. Raises ConnectionError where there is none."""
        while self._protocol.state is not CLOSED:
            await self._receive()
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    return event
        raise ConnectionResetError("the client left without a request")

    async def accept(self, request: Request) -> bool:
        """Answer with the websocket, or with the refusal that the request deserves; whether it is the websocket."""
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        await self._flush()
        return response.status_code == 101

    async def refuse(self, status: int, headers: dict[str, str], body: str) -> None:
        """Answer with this status and close."""
        response = self._protocol.reject(status, body)
        for name, value in headers.items():
            with suppress(KeyError):
                del response.headers[name]
            response.headers[name] = value
        self._protocol.send_response(response)
        await self._flush()
        await self.finish()

    async def pass_on(self, request: Request, url: str) -> None:
        """Have a server at this http URL answer, and close."""
        target = urlsplit(url)
        try:
            reader, writer = await asyncio.open_connection(target.hostname, target.port)
        except OSError as error:
            raise ConnectionResetError("nobody is there to answer") from error
        request.headers.pop("Connection", None)
        request.headers["Connection"] = "close"
        writer.write(request.serialize())
        try:
            while piece := await reader.read(READ_BYTES):
                self._write(piece)
                await self._writer.drain()
        finally:
            writer.close()

    async def send(self, frames: Sequence[bytes | memoryview]) -> None:
        """Send frames, each a binary message, and wait while the client is behind."""
        self._write(b"".join(piece for frame in frames for piece in message(frame)))
        self.newest = frames[-1] if frames else self.newest
        await self._writer.drain()

    async def say(self, payload: bytes, *, text: bool) -> None:
        """Send one message of either kind."""
        self._write(b"".join(message(payload, Opcode.TEXT if text else Opcode.BINARY)))
        await self._writer.drain()

    def _write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
        except RuntimeError as ended:  # asyncio's word for a stream that has been ended
            raise ConnectionResetError("the client has gone") from ended

    async def listen(self) -> None:
        """Answer pings and the close until the connection has ended."""
        while self._protocol.state is not CLOSED:
            await self._receive()
            self._protocol.events_received()

    async def close(self) -> None:
        """Say goodbye; `listen` must be running and ends with the client's answer."""
        self._protocol.send_close(1001, "the relay restarts")
        await self._flush()

    async def finish(self) -> None:
        """Close the socket once what is written has gone out."""
        self._writer.close()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.wait_closed()

    def abort(self) -> None:
        """Drop the socket without a word."""
        self._writer.transport.abort()

    async def _receive(self) -> None:
        data = await self._reader.read(READ_BYTES)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        await self._flush()
        if not data and self._protocol.state is not CLOSED:
            raise ConnectionResetError("the client has gone")

    async def _flush(self) -> None:
        for piece in self._protocol.data_to_send():
            if piece != SEND_EOF:
                self._writer.write(piece)
            elif self._writer.can_write_eof():
                with suppress(OSError):  # the client has reset the connection meanwhile
                    self._writer.write_eof()
        await self._writer.drain()
