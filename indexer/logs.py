"""Logging: one line format on stdout, which may be a pipe that nobody reads, and warnings that may not flood it."""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

MOST_WAITING = 1_000  # lines that wait for stdout; what comes then is counted in place of kept
FLUSH_TIMEOUT = 1.0  # seconds: at the end, for what waits
BUSY_PAUSE = 0.05  # seconds, where stdout says that it takes nothing just now
WARNING_INTERVAL = 30.0  # seconds between two lines of one rate-limited warning

LEFT_OUT = "%s lines of the log were left out here: what reads this output did not keep up"


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


class Outlet(logging.Handler):
    """Hands lines to a thread that writes them to `stream`: a pipe that is full stops that thread alone, not the worker.

    What finds no room meanwhile is left out, and a WARNING says how much that was, once there is room again.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(MOST_WAITING)
        self._left_out = 0
        threading.Thread(target=self._keep_writing, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Never waits."""
        try:
            self._lines.put_nowait(self.format(record) + "\n")
        except queue.Full:
            self._left_out += 1

    def flush(self) -> None:
        """Waits until all lines are written, for a second at most."""
        deadline = time.monotonic() + FLUSH_TIMEOUT
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and (left := deadline - time.monotonic()) > 0:
                self._lines.all_tasks_done.wait(left)

    def _keep_writing(self) -> None:
        while True:
            line = self._lines.get()
            write(self._stream, line)
            self.acquire()
            left_out, self._left_out = self._left_out, 0
            self.release()
            if left_out:
                told = logging.LogRecord(__name__, logging.WARNING, "", 0, LEFT_OUT, (f"{left_out:,}",), None)
                write(self._stream, self.format(told) + "\n")
            self._lines.task_done()


def write(stream: TextIO, text: str) -> None:
    """Writes all of it, for as long as it takes; what has no reader any more is lost.

    Past the stream's buffer: a thread that is stopped in it would keep the process from ending.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # not a file: a test's
        stream.write(text)
        return
    rest = text.encode(stream.encoding or "utf-8", "backslashreplace")
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            time.sleep(BUSY_PAUSE)
        except OSError:
            return


def complain(text: str) -> None:
    """Writes a line to stderr, which may be a full pipe: that must not keep the process from ending."""
    writing = threading.Thread(target=write, args=(sys.stderr, text + "\n"), daemon=True)
    writing.start()
    writing.join(FLUSH_TIMEOUT)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every log line of at least `level` (a name: INFO) to `stream` (stdout), in place of any earlier configuration."""
    handler = Outlet(sys.stdout if stream is None else stream)
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
