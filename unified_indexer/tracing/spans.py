"""Spans: what took how long. They are bounded in number, and whoever makes one waits for nobody.

Source of the identifiers: https://www.w3.org/TR/trace-context/ (16 bytes for a trace, 8 for a span, neither all zero).
"""

import os
import time
from collections import deque
from typing import NamedTuple

MOST_WAITING = 8_192  # spans; the oldest are dropped behind a collector that is away

Value = str | int | float


class Span(NamedTuple):
    """`trace`, `id`, `parent`: hexadecimal; a root has no parent. Times in ns since 1970. `failed`: why, where it did."""

    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    attributes: dict[str, Value]
    failed: str = ""


class Spans:
    """Those that wait to be sent. `dropped`: how many had no room."""

    def __init__(self) -> None:
        self.dropped = 0
        self._waiting: deque[Span] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def root(self, name: str, began: int, attributes: dict[str, Value], *, failed: str = "", ended: int | None = None) -> Span:
        """Note a span that is over (now, where `ended` does not say when), with a trace of its own."""
        span = Span(name, _hexadecimal(16), _hexadecimal(8), "", began, ended or time.time_ns(), attributes, failed)
        self._add(span)
        return span

    def child(self, of: Span, name: str, began: int, ended: int, attributes: dict[str, Value]) -> None:
        """Note a part of a span."""
        self._add(Span(name, of.trace, _hexadecimal(8), of.id, began, ended, attributes))

    def take(self, most: int) -> list[Span]:
        """The oldest, which wait no longer."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def _add(self, span: Span) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(span)


def _hexadecimal(size: int) -> str:
    return os.urandom(size).hex()
