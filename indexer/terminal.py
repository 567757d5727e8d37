"""The terminal that the log may be shown on: whether there is one, its width, and the one line that is kept below the log."""

import os
import unicodedata
from collections.abc import Mapping
from typing import TextIO

from indexer.log_lines import OFF
from indexer.text import printable

ERASE = "\r\x1b[J"  # from the start of the line to the end of the screen: a narrowed terminal may have broken the line in two
REVERSE = "\x1b[7m"
CUT = "…"


class Terminal:
    """A terminal that takes commands. `colours`: whether its user wants any."""

    def __init__(self, descriptor: int, *, colours: bool) -> None:
        self.colours = colours
        self._descriptor = descriptor
        self._shown = False  # a status stands in the cursor's line, and the cursor at its start

    @classmethod
    def of(cls, stream: TextIO, env: Mapping[str, str]) -> "Terminal | None":
        """The one behind `stream`; None where that is a file or a pipe, or by TERM a terminal that takes no commands."""
        if not stream.isatty() or env.get("TERM", "dumb") == "dumb":
            return None
        return cls(stream.fileno(), colours=not env.get("NO_COLOR"))

    def page(self, lines: str, status: str) -> str:
        """What to write so that the last status goes, `lines` (empty, or ending in a newline) follow, and `status` is below.

        Where there is no place for a status, or it is empty, there is none. The cursor is left at its start: there a Ctrl-C
        writes its ^C over it, and a narrowed terminal that broke it in two does not part it from the cursor.
        """
        if not self._in_foreground():
            self._shown = False
            return lines
        # One column stays free: some terminals begin a new line as soon as the last one is written to.
        status = cut(printable(status), self._columns() - 1)
        erased, self._shown = ERASE if self._shown else "", bool(status)
        if status:
            status = (f"{REVERSE}{status}{OFF}" if self.colours else status) + "\r"
        return erased + lines + status

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._descriptor).columns
        except OSError:  # it has hung up
            return 0

    def _in_foreground(self) -> bool:
        """Not started by `… &` nor suspended: the last line is then the shell's."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:  # not the terminal that this process is controlled from
            return True


def cut(text: str, columns: int) -> str:
    """As much of `text` as fits, with a sign where some is left out. A wide character takes two columns, any other one: those
    that take none are few, and a line that is cut too early does no harm."""
    if columns < 1:
        return ""
    if sum(map(_columns, text)) <= columns:
        return text
    fitting, left = "", columns - len(CUT)
    for character in text:
        left -= _columns(character)
        if left < 0:
            break
        fitting += character
    return fitting + CUT


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
