"""The two formats of a log line: text for people, coloured where that helps, and JSON for log shippers."""

import json
import logging
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

import orjson

from unified_indexer.formatting import printable

LogFormat = Literal["text", "json"]

OFF = "\x1b[0m"
DIM = "\x1b[2m"
BOLD = "\x1b[1m"
# Dimmed, or with a background of their own: so they can be read on a light terminal as well as on a dark one.
LEVELS = {"WARNING": "\x1b[30;43m", "ERROR": "\x1b[1;37;41m", "CRITICAL": "\x1b[1;37;41m"}
MESSAGES = {"DEBUG": DIM, "ERROR": BOLD, "CRITICAL": BOLD}

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """`[2025-10-13 10:15:30] [INFO] message`, in UTC; operators search for it, so it is fixed. `colours` changes no character.

    What can't be printed is written as an escape (\\n, \\x1b): text from the network must not look like a line of ours,
    nor command the terminal that shows it. A traceback follows on lines of its own.
    """

    converter = time.gmtime

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__("[%(asctime)s] [%(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S")
        self._colours = colours

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- the name is logging's
        record.message = printable(record.message)
        if not self._colours:
            return super().formatMessage(record)
        level = record.levelname
        when = _styled(f"[{record.asctime}]", DIM)
        return f"{when} {_styled(f'[{level}]', LEVELS.get(level, DIM))} {_styled(record.message, MESSAGES.get(level, ''))}"

    def formatException(self, ei: _Raised) -> str:  # noqa: N802
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC, milliseconds), level, logger, message, and traceback where there is one.

    It holds nothing unprintable, so that no reader takes a part for a line and no terminal for a command: that is escaped
    as JSON does it. Halves of surrogate pairs, which UTF-8 lacks, are written out (`\\ud800`).
    """

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        fields = {
            "time": f"{when}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": _whole(record.getMessage()),
        }
        if record.exc_info:
            fields["traceback"] = _whole(self.formatException(record.exc_info))
        line = orjson.dumps(fields).decode()
        return line if line.isprintable() else "".join(map(_escaped, line))


def _styled(text: str, style: str) -> str:
    return f"{style}{text}{OFF}" if style else text


def _whole(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
