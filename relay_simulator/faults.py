"""Faults that a relay commits on order, one list of them for each connection."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from relay_simulator.encoding import error_frame, info_frame


@dataclass(frozen=True, slots=True)
class Cut:
    """End the connection after so many frames: with a close frame, or by dropping the socket."""

    after: int
    how: Literal["close", "abort"] = "close"


@dataclass(frozen=True, slots=True)
class Silence:
    """After so many frames send nothing more, and keep the connection open; pings are still answered."""

    after: int


@dataclass(frozen=True, slots=True)
class Say:
    """After so many frames send this message between the others, as binary or as text."""

    after: int
    message: bytes
    text: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer the request with this status in place of the websocket."""

    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: str = ""


Fault: TypeAlias = Cut | Silence | Say | Refuse


def consumer_too_slow(after: int) -> list[Fault]:
    """The relay drops a client that doesn't keep up: an error frame, then the end."""
    return [Say(after, error_frame("ConsumerTooSlow", "the client reads too slowly")), Cut(after)]


def future_cursor() -> list[Fault]:
    """The relay knows of no such seq yet: an error frame, then the end."""
    return [Say(0, error_frame("FutureCursor", "the cursor is in the future")), Cut(0)]


def outdated_cursor() -> list[Fault]:
    """The relay no longer holds what the client asks for: an #info, then the stream."""
    return [Say(0, info_frame("OutdatedCursor", "the cursor is older than what is kept"))]


def too_many_requests(seconds: int) -> list[Fault]:
    """HTTP 429 with Retry-After."""
    return [Refuse(429, {"Retry-After": str(seconds)}, "slow down")]


def unavailable() -> list[Fault]:
    """HTTP 503."""
    return [Refuse(503, {}, "no relay here just now")]


def web_page() -> list[Fault]:
    """An HTML page, as a proxy gives it."""
    return [Refuse(200, {"Content-Type": "text/html"}, "<!doctype html><title>Welcome</title>")]


def text_message(after: int) -> list[Fault]:
    """A text message, which the protocol has not."""
    return [Say(after, b'{"op": 1, "t": "#commit"}', text=True)]


def garbage(after: int) -> list[Fault]:
    """Bytes that are no frame."""
    return [Say(after, b"\xff\xfe garbage \x00\x01")]


def truncated(after: int, frame: bytes) -> list[Fault]:
    """The first half of a frame."""
    return [Say(after, frame[: len(frame) // 2])]


def too_large(after: int) -> list[Fault]:
    """A message of more than 5 MB, the protocol's limit."""
    return [Say(after, bytes(5 * 2**20 + 1))]
