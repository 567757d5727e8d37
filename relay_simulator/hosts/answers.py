"""One HTTP request: counted, then answered as it should be, or as the faults have it."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any, TypeAlias, assert_never

from aiohttp import web

from relay_simulator.hosts.faults import (
    Altered,
    Cut,
    HostFaults,
    Huge,
    Limited,
    Redirect,
    Remaining,
    Slow,
    Status,
    Text,
)
from relay_simulator.hosts.requests import Requests

Make: TypeAlias = Callable[[Altered | None], web.Response]
"""Makes the right answer; given an alteration, one that is altered so."""


class Answers:
    """Answers of all the hosts."""

    def __init__(self, faults: HostFaults, requests: Requests) -> None:
        self._faults = faults
        self._requests = requests

    async def give(self, request: web.Request, endpoint: str, subject: str, make: Make) -> web.Response:
        """The answer to a request to this endpoint about this DID or handle."""
        self._requests.note(endpoint, subject)
        fault = self._faults.of(endpoint, subject, request.host)
        match fault:
            case None:
                return make(None)
            case Altered():
                return make(fault)
            case Remaining(left, limit, seconds):
                answer = make(None)
                answer.headers.update(_budget(left, limit, seconds))
                return answer
            case Limited(seconds, form):
                return told({"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}, 429, _limit(seconds, form))
            case Slow(seconds):
                await asyncio.sleep(seconds)
                return make(None)
            case Status(code, retry_after, error, message):
                headers = {} if retry_after is None else {"Retry-After": retry_after}
                return told({"error": error, "message": message}, code, headers)
            case Redirect(location):
                return web.Response(status=302, headers={"Location": location})
            case Text(text):
                return web.Response(text=text, content_type="text/html" if text.startswith("<") else "text/plain")
            case Huge(size):
                answer = make(None)
                if isinstance(answer.body, bytes):
                    answer.body += b" " * size
                return answer
            case Cut():
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()  # to nobody
            case _:
                assert_never(fault)


def _limit(seconds: float, form: str) -> dict[str, str]:
    """The headers that say how long to wait."""
    match form:
        case "seconds":
            return {"Retry-After": f"{seconds:.0f}"}
        case "date":
            return {"Retry-After": formatdate(time.time() + seconds, usegmt=True)}
        case "reset":
            return _budget(0, 3_000, seconds)
        case _:
            return {}


def _budget(left: int, limit: int, seconds: float) -> dict[str, str]:
    """As the PDS of atproto says it; the reset is an instant in seconds since 1970."""
    return {
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(left),
        "RateLimit-Reset": f"{time.time() + seconds:.0f}",
        "RateLimit-Policy": f"{limit};w=300",
    }


def told(
    body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> web.Response:
    """A JSON answer."""
    return web.Response(body=json.dumps(body).encode(), status=status, headers=headers, content_type=kind)
