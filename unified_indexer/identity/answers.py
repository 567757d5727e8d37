"""What an HTTP answer says: its body, read up to a limit, or why there is none that counts."""

import re
from typing import cast

import orjson
from aiohttp import ClientResponse

from unified_indexer.identity.errors import FetchError, Gone, NotAllowed, NotFound, Refused, Unreachable

MAX_MESSAGE = 200  # characters
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
    error, message = said(await body_of(response, limit))
    kind, reason = {404: (NotFound, "not_found"), 410: (Gone, "gone")}.get(status, (Refused, "refused"))
    return kind(reason, status=status, error=error, message=message)


def said(body: bytes) -> tuple[str | None, str | None]:
    """The name and the message in the body of an error: https://atproto.com/specs/xrpc#error-responses."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, None
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    error, message = (value if isinstance(value, str) else "" for value in (fields.get("error"), fields.get("message")))
    return (error if re.fullmatch(r"[A-Za-z]{1,64}", error) else None), message[:MAX_MESSAGE] or None


def _retry_after(response: ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER) if re.fullmatch(r"[0-9]{1,9}", text) else None
