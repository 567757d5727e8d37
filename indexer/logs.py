"""Logging: one line format on stdout, and warnings that may not flood it."""

import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

WARNING_INTERVAL = 30.0  # seconds between two lines of one rate-limited warning


class LineFormatter(logging.Formatter):
    """`[2025-10-13 10:15:30] [INFO] message`, in UTC; operators search for it, so it is fixed.

    What can't be printed is written as an escape (\\n, \\x1b): text from the network must not look like a line of ours,
    nor command the terminal that shows it.
    """

    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("[%(asctime)s] [%(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- the name is logging's
        if not record.message.isprintable():
            record.message = "".join(map(_printable, record.message))
        return super().formatMessage(record)


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every log line of at least `level` (a name: INFO) to `stream` (stdout), in place of any earlier configuration."""
    handler = logging.StreamHandler(sys.stdout if stream is None else stream)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for library in ("websockets", "asyncio"):  # at DEBUG these write a line for every message
        logging.getLogger(library).setLevel(logging.WARNING)


class RateLimited:
    """Warnings of which each key is written at most once in `interval` seconds, saying how many were left out since."""

    def __init__(self, interval: float = WARNING_INTERVAL, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._written: dict[str, float] = {}  # key -> when it was last written
        self._left_out: dict[str, int] = {}

    def warn(self, logger: logging.Logger, key: str, message: str, *args: object) -> None:
        """Log a warning unless one of `key` was logged just now. `key` is a fixed name, never text from the network."""
        now = self._clock()
        last = self._written.get(key)
        if last is not None and now - last < self._interval:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return
        self._written[key] = now
        left_out = self._left_out.pop(key, 0)
        if left_out:
            message, args = message + " (%d more like this since the last such line)", (*args, left_out)
        logger.warning(message, *args)


warn_limited = RateLimited().warn
