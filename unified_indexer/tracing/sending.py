"""Spans to a collector, once a second. What it does not take is dropped: indexing never waits for it, and memory is bounded."""

import asyncio
import logging
import os
import socket
from contextlib import suppress

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from unified_indexer.log.handler import warn_limited
from unified_indexer.tracing.otlp import body
from unified_indexer.tracing.spans import Spans
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

    async def run(self) -> None:
        """Send, until cancelled; then what is left."""
        session = ClientSession(headers=HEADERS, cookie_jar=DummyCookieJar(), timeout=TIMEOUT)
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
        try:
            async with session.post(self._url, data=body(spans, self._resource), allow_redirects=False) as answer:
                if answer.status == 200:
                    return
                why = f"HTTP {answer.status}"
        except (ClientError, OSError) as error:  # TimeoutError is an OSError
            why = str(error) or type(error).__name__
        warn_limited(log, "traces", AWAY, self._url, len(spans), why)
