"""One websocket connection to a relay, within limits for hostile relays; and why a connection failed, in words."""

import logging
import ssl as tls
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidProxy, InvalidStatus, SecurityError, WebSocketException

from unified_indexer.errors import OperatorError
from unified_indexer.relay.backoff import retry_after
from unified_indexer.relay.redirects import MAX_HOPS, STATUSES, followed
from unified_indexer.version import VERSION

# The protocol allows 5 MB. Larger messages are still read, so that the decoder refuses them by name and the stream goes on;
# beyond this they are not, because memory is bounded.
MAX_MESSAGE_BYTES = 16 * 2**20
# Messages that are read ahead: reading pauses above the first number and resumes at the second. A read brings up to 256 kB,
# some fifty messages, so more would gain no speed (measured); and one message of 16 MiB, with the next one half read, is
# all that a hostile relay can make us hold.
READ_AHEAD = (1, 0)
MAX_UNSENT_BYTES = 2**15  # answers to pings that the relay has not read
OPEN_TIMEOUT = 10.0  # seconds for TCP, TLS and the HTTP upgrade together
CLOSE_TIMEOUT = 1.0  # seconds for the closing handshake; nothing hangs on it
MAX_QUOTED_CHARACTERS = 300  # of what an error or a web page says, in a line of the log

UNREACHABLE = (OSError, WebSocketException)  # what a connection fails with; TimeoutError is an OSError
CLOSED = ConnectionClosed

log = logging.getLogger(__name__)


async def open_connection(url: str, ssl: tls.SSLContext | None) -> ClientConnection:
    """Connect to `url`, ws or wss, following redirects. `ssl` replaces the system's certificate authorities.

    Raises OSError or WebSocketException, and OperatorError for a proxy setting that is unusable.
    """
    connecting = _Connect(
        url,
        trusted=ssl,
        user_agent_header=f"unified-worker/{VERSION}",
        compression=None,  # a small message can't become a large one, and reading costs a third
        max_size=MAX_MESSAGE_BYTES,
        max_queue=READ_AHEAD,
        write_limit=MAX_UNSENT_BYTES,
        open_timeout=OPEN_TIMEOUT,
        close_timeout=CLOSE_TIMEOUT,
        ping_interval=None,  # the library's own pings fail a connection that we don't read for lack of room
        create_connection=_Connection,
    )
    try:
        return await connecting
    except (InvalidProxy, ImportError) as error:
        detail = error.msg  # not the whole error, which shows the proxy's password
        raise OperatorError([f"the proxy of the environment is unusable ({detail}); correct or unset it"]) from None


def origin(connection: ClientConnection) -> str:
    """Where an open connection leads, after redirects: ws(s)://host[:port]."""
    uri = connection.protocol.uri
    place = f"[{uri.host}]" if ":" in uri.host else uri.host
    port = "" if uri.port == (443 if uri.secure else 80) else f":{uri.port}"
    return f"{'wss' if uri.secure else 'ws'}://{place}{port}"


def encryption(connection: ClientConnection) -> str | None:
    """The version of TLS that an open connection has; None if it has none."""
    found = connection.transport.get_extra_info("ssl_object")
    return None if found is None else found.version()


class _Connect(connect):
    """The library's own, which follows redirects: by our rules instead of its own. `trusted`: certificate authorities."""

    def __init__(self, url: str, *, trusted: tls.SSLContext | None, **options: Any) -> None:
        super().__init__(url, **options)
        self._asked = url
        self._trusted = trusted
        self._hops = 0
        self._secure(url)

    def _secure(self, url: str) -> None:
        if url.startswith("wss:"):
            self.create_connection_kwargs["ssl"] = self._trusted or True

    def process_redirect(self, exc: Exception) -> Exception | str:
        """The URL to ask next, or the exception that ends the attempt; the next attempt begins at RELAY_URL again."""
        if not isinstance(exc, InvalidStatus) or exc.response.status_code not in STATUSES:
            return exc
        url = followed(self._asked, self.uri, _header(exc.response.headers, "Location"))
        if url is None:
            return exc
        self._hops += 1
        if self._hops > MAX_HOPS:
            return SecurityError(f"more than {MAX_HOPS} redirects; is RELAY_URL a relay?")
        log.info("The relay redirects to %s; the cursor stays stored under RELAY_URL's host", url[:MAX_QUOTED_CHARACTERS])
        self._secure(url)
        return url


class _Connection(ClientConnection):
    def pause_writing(self) -> None:
        """Called when too much waits to be sent. We send hardly more than answers to pings, so the relay asks and does not
        read, and the answers would pile up for as long as it does."""
        super().pause_writing()
        log.warning("The relay does not read the answers to its pings: dropping the connection")
        self.transport.abort()


def why_not(error: OSError | WebSocketException) -> str:
    """What kept us from connecting, in words for the operator."""
    match error:
        case InvalidStatus():
            return f"HTTP {error.response.status_code}{_said(error)}"
        case TimeoutError():
            return f"no connection within {OPEN_TIMEOUT:g} s"
        case tls.SSLError():
            return f"TLS: {error}"
        case _:
            return (str(error) or type(error).__name__)[:MAX_QUOTED_CHARACTERS]


def _said(error: InvalidStatus) -> str:
    response = error.response
    if 300 <= response.status_code < 400 and (place := _header(response.headers, "Location")):
        return f": it redirects to {place[:MAX_QUOTED_CHARACTERS]}, where the worker cannot follow; is RELAY_URL a relay?"
    text = response.body.decode("utf-8", "replace").strip() if response.body else ""
    if "html" in _header(response.headers, "Content-Type") or text.startswith("<"):
        return ": a web page, not an event stream; is RELAY_URL a relay?"
    return f": {text[:MAX_QUOTED_CHARACTERS]}" if text else ""


def asked_to_wait(error: OSError | WebSocketException) -> float:
    """Seconds for which the relay asked us not to come back; 0 where it did not."""
    return retry_after(_header(error.response.headers, "Retry-After")) if isinstance(error, InvalidStatus) else 0.0


def _header(headers: Headers, name: str) -> str:
    """The header's first value; a relay may send several, of which the library raises an error of its own."""
    values = headers.get_all(name)
    return values[0] if values else ""
