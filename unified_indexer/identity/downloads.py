"""Large answers over HTTP, piece by piece: by the client's guards, but redirects are followed, and gzip is asked for.

A slow server is no fault, one that stands still is: so the time that is waited for depends on what has come.
"""

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import NamedTuple

from aiohttp import ClientResponse, ClientTimeout
from yarl import URL

from unified_indexer.identity.addresses import is_public
from unified_indexer.identity.answers import said
from unified_indexer.identity.client import Client
from unified_indexer.identity.errors import NotAllowed, Unreachable
from unified_indexer.identity.host_names import is_host_name

MAX_HOPS = 3  # redirects
GRACE = 30.0  # seconds that are waited for whatever comes
FLOOR = 65_536  # bytes of the wire a second: each that comes buys its share of one
LONGEST = 600.0  # seconds of waiting in all
FIRST_BYTE = 60.0  # seconds: a server may gather a repo before it says a word
MAX_PIECE_BYTES = 65_536  # decoded
MAX_ERROR_BYTES = 4_096

_LIMITS = ClientTimeout(total=None, connect=10.0, sock_connect=5.0, sock_read=FIRST_BYTE)
_HEADERS = {"Accept-Encoding": "gzip", "Accept": "application/vnd.ipld.car, application/json;q=0.5"}
_REDIRECTS = (301, 302, 303, 307, 308)


class Told(NamedTuple):
    """What an XRPC error says: its name and message, None where it says none."""

    error: str | None
    message: str | None


class Answer:
    """An answer whose head has come. `host`: who gave it, after redirects: its name and port."""

    def __init__(self, response: ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.host = f"{response.url.host}:{response.url.port}"
        self._response = response
        self._waited = 0.0
        self._received = 0

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body, decoded, in pieces of at most 64 KiB. Who does not read all of it closes the generator.

        Raises Unreachable: `timeout` (too slow, or too long in all), `protocol` (cut, or not gzip), `encoded`.
        """
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise Unreachable("encoded", status=self.status)
        decoder = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        while chunk := await self._chunk():
            if decoder is None:
                for start in range(0, len(chunk), MAX_PIECE_BYTES):
                    yield chunk[start : start + MAX_PIECE_BYTES]
                continue
            while chunk and not decoder.eof:
                try:
                    piece = decoder.decompress(chunk, MAX_PIECE_BYTES)
                except zlib.error:
                    raise Unreachable("protocol", status=self.status) from None
                chunk = decoder.unconsumed_tail
                if piece:
                    yield piece
        if decoder is not None and not decoder.eof:
            raise Unreachable("protocol", status=self.status)

    async def told(self) -> Told:
        """What the body of an error says, as far as it is short."""
        body = b""
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > MAX_ERROR_BYTES:
                    return Told(None, None)
        return Told(*said(body))

    async def _chunk(self) -> bytes:
        """What comes next; empty at the end."""
        began = time.monotonic()
        async with asyncio.timeout(patience(self._waited, self._received)):
            chunk = await self._response.content.readany()
        self._waited += time.monotonic() - began
        self._received += len(chunk)
        return chunk


class Downloads:
    """Fetches what is large."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def address(self, origin: str) -> str | None:
        """Where a host is: its first address. None for one that is not of the public internet. Raises FetchError."""
        host = URL(origin).host or ""
        if is_public(host):
            return host
        found = await self._client.names.addresses(host) if is_host_name(host) else []
        return next(filter(is_public, found), None)

    @asynccontextmanager
    async def get(self, text: str, *, trusted: bool = False) -> AsyncGenerator[Answer]:
        """The answer at a URL, after at most three redirects, each of which is checked as the URL itself is.

        `trusted`: the operator chose the host of the URL, which may be private and without TLS.

        Raises FetchError (errors.py): `bad_url`, `private_address`, `redirect` (too many, or to nowhere), and what hinders the
        connection; the same in the block.
        """
        url = self._client.checked(text, trusted=trusted)
        for _ in range(MAX_HOPS + 1):
            async with AsyncExitStack() as stack:
                response = await stack.enter_async_context(self._client.answer(url, _LIMITS, trusted=trusted, headers=_HEADERS))
                if response.status not in _REDIRECTS:
                    yield Answer(response)
                    return
                url, trusted = self._next(url, response), False
        raise NotAllowed("redirect")

    def _next(self, url: URL, response: ClientResponse) -> URL:
        try:
            return self._client.checked(str(url.join(URL(response.headers["Location"]))))
        except (KeyError, ValueError):
            raise NotAllowed("redirect", status=response.status) from None


def patience(waited: float, received: int) -> float:
    """For how many seconds the next bytes are waited for, after so much of both."""
    return max(0.0, min(LONGEST, GRACE + received / FLOOR) - waited)
