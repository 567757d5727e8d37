"""Spans to a collector, once a second. What it does not take is dropped: indexing never waits for it, and memory is bounded."""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from unified_indexer.log.handler import warn_limited
from unified_indexer.tracing.otlp import body
from unified_indexer.tracing.spans import Span, Spans
from unified_indexer.version import VERSION

log = logging.getLogger(__name__)

PATH = "/v1/traces"
INTERVAL = 1.0  # seconds
MOST = 512  # spans in a request
TIMEOUT = ClientTimeout(total=5.0, connect=3.0)  # seconds
LAST = 2.0  # seconds for what is left at the end
HEADERS = {"Content-Type": "application/json", "User-Agent": f"unified-worker/{VERSION}"}
AWAY = "Traces: %s did not take %d spans (%s); they are dropped, indexing continues"


class Sending:
    """Sends what `spans` holds to `endpoint` (an origin). `relay` names the worker's stream."""

    def __init__(self, spans: Spans, endpoint: str, relay: str) -> None:
        self._spans = spans
        self._url = endpoint + PATH
        self._resource = {
            "service.name": "unified-worker",
            "service.version": VERSION,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            "relay": relay,
        }

    async def look(self) -> str | None:
        """Why the collector takes no spans: asked once, with none. None if it takes them."""
        async with _session() as session:
            return await self._refusal(session, [])

    async def run(self) -> None:
        """Send, until cancelled; then what is left."""
        session = _session()
        try:
            while True:
                await asyncio.sleep(INTERVAL)
                while len(self._spans):
                    await self._send(session)
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST):
                    while len(self._spans):
                        await self._send(session)
            raise
        finally:
            await session.close()

    async def _send(self, session: ClientSession) -> None:
        spans = self._spans.take(MOST)
        if (why := await self._refusal(session, spans)) is not None:
            warn_limited(log, "traces", AWAY, self._url, len(spans), why)

    async def _refusal(self, session: ClientSession, spans: Sequence[Span]) -> str | None:
        try:
            async with session.post(self._url, data=body(spans, self._resource), allow_redirects=False) as answer:
                return None if answer.status == 200 else f"HTTP {answer.status}"
        except (ClientError, OSError) as error:  # TimeoutError is an OSError
            return str(error) or type(error).__name__


def _session() -> ClientSession:
    return ClientSession(headers=HEADERS, cookie_jar=DummyCookieJar(), timeout=TIMEOUT)
