"""What an HTTP answer says: its body, read up to a limit, or why there is none that counts."""

import re
from typing import cast

import orjson
from aiohttp import ClientResponse

from indexer.identity.errors import FetchError, Gone, NotAllowed, NotFound, Refused, Unreachable

MAX_RETRY_AFTER = 3600.0  # seconds that a server may ask us to wait


async def body_of(response: ClientResponse, limit: int) -> bytes:
    """The body. Raises Unreachable (`too_large`)."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise Unreachable("too_large", status=response.status)
        parts.append(part)
    return b"".join(parts)


async def failure_of(response: ClientResponse, limit: int) -> FetchError:
    """What an answer other than 200 means."""
    status = response.status
    if 300 <= status < 400:
        return NotAllowed("redirect", status=status)
    if status == 429:
        return Unreachable("rate_limited", status=status, retry_after=_retry_after(response))
    if status < 400 or status >= 500:
        return Unreachable("server_error", status=status, retry_after=_retry_after(response))
    error = _error_name(await body_of(response, limit))
    if status == 404:
        return NotFound("not_found", status=status, error=error)
    return Gone("gone", status=status, error=error) if status == 410 else Refused("refused", status=status, error=error)


def _error_name(body: bytes) -> str | None:
    """The name in the body of an XRPC error: https://atproto.com/specs/xrpc#error-responses."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    name = cast("dict[str, object]", value).get("error") if isinstance(value, dict) else None
    return name if isinstance(name, str) and re.fullmatch(r"[A-Za-z]{1,64}", name) else None


def _retry_after(response: ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER) if re.fullmatch(r"[0-9]{1,9}", text) else None
