"""Logging: lines on stdout, which may be a pipe or terminal that is not read, and warnings that cannot flood it."""

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO

from unified_indexer.log.formats import JSONFormatter, LineFormatter, LogFormat
from unified_indexer.log.terminal import Terminal

MOST_WAITING = 1_000  # lines that wait for stdout; what comes then is counted in place of kept
FLUSH_TIMEOUT = 1.0  # seconds: at the end, for what waits
BUSY_PAUSE = 0.05  # seconds, where stdout says that it takes nothing just now
WARNING_INTERVAL = 30.0  # seconds between two lines of one rate-limited warning

LEFT_OUT = "%s log lines were dropped here: the program that reads this output did not keep up"


class Outlet(logging.Handler):
    """Hands lines to a thread that writes them to `stream`: a full pipe stops only that thread, not the worker.

    What finds no room meanwhile is left out, and a WARNING says how much that was, once there is room again. On a `terminal`
    one line, the status, is kept below the others; only the newest is worth writing, so none waits.
    """

    def __init__(self, stream: TextIO, terminal: Terminal | None = None, encoding: str | None = None) -> None:
        """`encoding`: of the written lines; None means the stream's own."""
        super().__init__()
        self._stream = stream
        self._terminal = terminal
        self._encoding = encoding
        self._changed = threading.Condition()  # guards what follows; never held while something is written
        self._lines: deque[str] = deque()
        self._left_out = 0
        self._status: tuple[str, tuple[str, ...]] = ("", ())  # and the notes below it
        self._stale = False  # the status on the terminal is not the newest
        self._writing = False
        self._ended = False
        threading.Thread(target=self._keep_writing, name="log", daemon=True).start()

    @property
    def has_terminal(self) -> bool:
        """Whether a status line can be shown."""
        return self._terminal is not None

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line into the queue. Never waits."""
        line = self.format(record) + "\n"
        with self._changed:
            if len(self._lines) < MOST_WAITING:
                self._lines.append(line)
            else:
                self._left_out += 1
            self._changed.notify_all()

    def show(self, status: str, notes: Sequence[str] = ()) -> None:
        """Keep this line and its notes below the log, in place of the last ones; an empty line removes them. Never waits."""
        if self._terminal is not None and not self._ended:
            with self._changed:
                self._status, self._stale = (status, tuple(notes)), True
                self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything is written, for a second at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy(), FLUSH_TIMEOUT)

    def close(self) -> None:
        """Remove the status line, and wait for that unless the terminal accepts nothing at all."""
        with self._changed:
            stuck = self._busy()
        self.show("")
        if not stuck:
            self.flush()
        self._ended = True
        super().close()

    def _busy(self) -> bool:
        return bool(self._lines or self._stale or self._writing)

    def _keep_writing(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(self._busy)
                self._writing = True
                text = self._lines.popleft() if self._lines else ""
                status, self._stale = self._status, False
            self._write(text, status)
            with self._changed:
                left_out, self._left_out = self._left_out, 0
            if left_out:
                record = logging.LogRecord(__name__, logging.WARNING, "", 0, LEFT_OUT, (f"{left_out:,}",), None)
                self._write(self.format(record) + "\n", status)

    def _write(self, lines: str, status: tuple[str, tuple[str, ...]]) -> None:
        write(self._stream, lines if self._terminal is None else self._terminal.page(lines, *status), self._encoding)


def show_status(text: str, notes: Sequence[str] = ()) -> None:
    """Keep this text below the log, if the log goes to a terminal; an empty text removes it. Never waits."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Outlet):
            handler.show(text, notes)


def hide_status() -> None:
    """Remove the status line and wait until it is gone, for a second at most: something else uses the terminal now."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Outlet) and handler.has_terminal:
            handler.show("")
            handler.flush()


def write(stream: TextIO, text: str, encoding: str | None = None) -> None:
    """Write everything, for as long as it takes, in `encoding` or the stream's own. Text without a reader is lost.

    Past the stream's buffer: a thread that is stopped in it would keep the process from ending.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # not a file: a test's
        stream.write(text)
        return
    rest = text.encode(encoding or stream.encoding or "utf-8", "backslashreplace")
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            time.sleep(BUSY_PAUSE)
        except OSError:
            return


def complain(text: str) -> None:
    """Write a line to stderr. That may be a full pipe, which must not keep the process from ending."""
    hide_status()
    writing = threading.Thread(target=write, args=(sys.stderr, text + "\n"), daemon=True)
    writing.start()
    writing.join(FLUSH_TIMEOUT)


def configure(level: str, stream: TextIO | None = None, log_format: LogFormat = "text") -> None:
    """Send every log line of at least `level` (a name: INFO) to `stream` (stdout), in place of any earlier configuration.

    As text, a terminal gets it in colours, and with the line of `show_status` below it.
    """
    out: TextIO = sys.stdout if stream is None else stream
    if log_format == "json":
        handler = Outlet(out, encoding="utf-8")  # JSON is nothing else, whatever the locale
        handler.setFormatter(JSONFormatter())
    else:
        terminal = Terminal.of(out, os.environ)
        handler = Outlet(out, terminal)
        handler.setFormatter(LineFormatter(colours=terminal is not None and terminal.colours))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for library in ("websockets", "asyncio"):  # at DEBUG these write a line for every message
        logging.getLogger(library).setLevel(logging.WARNING)


class RateLimited:
    """Warnings of which each key is written at most once per `interval` seconds, with the number left out since."""

    def __init__(self, interval: float = WARNING_INTERVAL, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._written: dict[str, float] = {}  # key -> when it was last written
        self._left_out: dict[str, int] = {}

    def warn(self, logger: logging.Logger, key: str, message: str, *args: object) -> None:
        """Log a warning unless one of `key` was logged recently. `key` is a fixed name, never text from the network."""
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
