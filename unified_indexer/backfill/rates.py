"""What a server's headers say of how much may be asked of it. Pure.

Sources: RFC 9110 (Retry-After) and what a PDS sends: RateLimit-Limit, -Remaining, and -Reset as seconds since 1970. Others send
-Reset as seconds from now (draft-ietf-httpapi-ratelimit-headers).
"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_EPOCH_FROM = 10**9  # a Reset of as much is a time, not a number of seconds
_is_number = re.compile(r"[0-9]{1,12}").fullmatch


class Rate(NamedTuple):
    """`left` of `limit` requests may be made within `reset` seconds; `wait`: seconds until the next. None: not said."""

    limit: int | None = None
    left: int | None = None
    reset: float | None = None
    wait: float | None = None


def read_rate(headers: Mapping[str, str], now: float) -> Rate:
    """What these headers say; `now`: seconds since 1970. What is malformed counts as not said."""
    reset = _number(headers.get("RateLimit-Reset"))
    seconds = None if reset is None else float(reset) if reset < _EPOCH_FROM else max(0.0, reset - now)
    limit, left = _number(headers.get("RateLimit-Limit")), _number(headers.get("RateLimit-Remaining"))
    return Rate(limit, left, seconds, _wait(headers.get("Retry-After", ""), now))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _is_number(text.strip()) else None


def _wait(text: str, now: float) -> float | None:
    seconds = _number(text)
    if seconds is not None:
        return float(seconds)
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() - now)
