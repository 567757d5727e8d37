"""The one HTTP client for everything outside: DID documents, handles, PDS. What it may dial and read is bounded.

Anyone can have us ask any URL: a DID document names its PDS, a did:web its host. So only public addresses are dialled, and the
check is of the address on the socket: no name server, redirect or numeric host passes it. https on port 443 only, no
redirects, no cookies, no proxies of the environment, nothing compressed; only downloads.py follows redirects and asks for gzip.
"""

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Self, cast

import orjson
from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from unified_indexer.identity.answers import body_of, failure_of
from unified_indexer.identity.dialling import HostNames, PrivateAddress, public_socket
from unified_indexer.identity.document import MAX_DOCUMENT_BYTES
from unified_indexer.identity.errors import NotAllowed, Unreachable
from unified_indexer.identity.names import Names, NameServer
from unified_indexer.identity.turns import Turns
from unified_indexer.version import VERSION

IN_FLIGHT = 64  # requests
PER_HOST = 2  # requests
PER_TRUSTED_HOST = 8  # requests to a host of the operator's choice
TIMEOUT = ClientTimeout(total=5.0, connect=3.0)  # seconds; a connection includes its name and TLS
PAGE_TIMEOUT = ClientTimeout(total=30.0, connect=3.0)  # seconds, for a page of a directory's log
KEEP_ALIVE = 5.0  # seconds
MAX_URL_CHARACTERS = 2048
_HEADERS = {"User-Agent": f"unified-worker/{VERSION}", "Accept-Encoding": "identity"}


class Client:
    """Fetches small answers over HTTP. `allow_private`: http, other ports and private addresses too, for tests and demos."""

    def __init__(self, *, allow_private: bool = False, dns_servers: Sequence[NameServer] = ()) -> None:
        self.names = Names(dns_servers)
        self._allow_private = allow_private
        self._turns = Turns(IN_FLIGHT)
        self._sessions: dict[bool, ClientSession] = {}  # by `trusted`

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. The next request opens new ones."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def get_json(self, url: str, limit: int = MAX_DOCUMENT_BYTES, *, trusted: bool = False) -> object:
        """The JSON value at `url`, of at most `limit` bytes. Waits for its turn, then 5 s at most.

        `trusted`: the operator chose the host, which may be private and without TLS. Raises FetchError (errors.py).
        """
        body = await self._get(url, limit, trusted)
        try:
            return cast("object", orjson.loads(body))
        except orjson.JSONDecodeError:
            raise Unreachable("not_json", status=200) from None

    async def get_text(self, url: str, limit: int) -> str:
        """The text (UTF-8) at `url`, of at most `limit` bytes; otherwise like `get_json`."""
        try:
            return (await self._get(url, limit, trusted=False)).decode()
        except UnicodeDecodeError:
            raise Unreachable("not_text", status=200) from None

    async def get_page(self, url: str, limit: int) -> bytes:
        """The bytes at `url`, of a host that the operator chose, within half a minute; otherwise like `get_json`."""
        return await self._get(url, limit, trusted=True, limits=PAGE_TIMEOUT)

    @asynccontextmanager
    async def answer(
        self, url: URL, limits: ClientTimeout, *, trusted: bool = False, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[ClientResponse]:
        """The answer at a URL that was checked, while it is read: nobody's turn, no limit of size. What goes wrong, here or in
        the block, becomes a FetchError."""
        try:
            async with self._session(trusted).get(url, allow_redirects=False, timeout=limits, headers=headers) as response:
                yield response
        except TimeoutError:
            raise Unreachable("timeout") from None
        except ClientConnectorError as error:
            if isinstance(error.os_error, PrivateAddress):
                raise NotAllowed("private_address") from None
            is_tls = isinstance(error, ClientSSLError) or isinstance(error.os_error, ssl.SSLError)
            raise Unreachable("tls" if is_tls else "connection") from None
        except ClientConnectorCertificateError:
            raise Unreachable("tls") from None
        except (ClientError, OSError, ValueError) as error:
            raise Unreachable("connection" if isinstance(error, OSError) else "protocol") from None

    def checked(self, text: str, *, trusted: bool = False) -> URL:
        """The URL, as the very object that is requested. Raises NotAllowed (`bad_url`)."""
        try:
            url = URL(text)
            host, port = url.host, url.explicit_port
        except ValueError:
            raise NotAllowed("bad_url") from None
        free = trusted or self._allow_private
        if len(text) > MAX_URL_CHARACTERS or not host or url.user is not None or url.password is not None:
            raise NotAllowed("bad_url")
        if url.scheme != "https" and not (free and url.scheme == "http"):
            raise NotAllowed("bad_url")
        if port not in (None, 443) and not free:
            raise NotAllowed("bad_url")
        return url

    async def _get(self, text: str, limit: int, trusted: bool, limits: ClientTimeout | None = None) -> bytes:
        url = self.checked(text, trusted=trusted)
        turn = self._turns.turn(f"{url.host}:{url.port}", PER_TRUSTED_HOST if trusted else PER_HOST)
        async with turn, self.answer(url, limits or TIMEOUT, trusted=trusted) as response:
            if "Content-Encoding" in response.headers and response.headers["Content-Encoding"].lower() != "identity":
                raise Unreachable("encoded", status=response.status)
            if response.status != 200:
                raise await failure_of(response, limit)
            return await body_of(response, limit)

    def _session(self, trusted: bool) -> ClientSession:
        session = self._sessions.get(trusted)
        if session is None:
            guard = None if trusted or self._allow_private else public_socket
            connector = TCPConnector(
                limit=0,  # `Turns` counts, so that waiting takes nothing of a request's time
                resolver=None if trusted else HostNames(self.names),
                use_dns_cache=False,
                happy_eyeballs_delay=None,  # one address after the other, IPv4 first
                socket_factory=guard,
                keepalive_timeout=KEEP_ALIVE,
            )
            session = self._sessions[trusted] = ClientSession(
                connector=connector,
                headers=_HEADERS,
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return session
