"""The terminal that shows the log: whether there is one, its size, and the status below the log."""

import os
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TextIO

from unified_indexer.formatting import printable
from unified_indexer.log.formats import OFF

ERASE = "\r\x1b[J"  # from the start of the line to the end of the screen: a narrowed terminal may have broken the line in two
REVERSE = "\x1b[7m"
CUT = "…"
MOST_OF_IT = 3  # what is kept below the log may take this part of the rows, a third


class Terminal:
    """A terminal that accepts commands. `colours`: whether its user wants any."""

    def __init__(self, descriptor: int, *, colours: bool) -> None:
        self.colours = colours
        self._descriptor = descriptor
        self._shown = False  # a status stands in the cursor's line, and the cursor at its start

    @classmethod
    def of(cls, stream: TextIO, env: Mapping[str, str]) -> "Terminal | None":
        """The terminal behind `stream`; None for a file or a pipe, or if TERM names a terminal that accepts no commands."""
        if not stream.isatty() or env.get("TERM", "dumb") == "dumb":
            return None
        return cls(stream.fileno(), colours=not env.get("NO_COLOR"))

    def page(self, lines: str, status: str, notes: Sequence[str] = ()) -> str:
        """The text to write so that the last status disappears, `lines` (empty, or ending in a newline) follow, and `status` is
        below.

        The status is cut to the width. `notes`, below it, are shown whole, or not at all where they would take too much of the
        screen. Where there is no place, or the status is empty, there is none. The cursor is left at its start:
        there a Ctrl-C writes its ^C over it, and a narrowed terminal that broke it in two does not part it from the cursor.
        """
        if not self._in_foreground():
            self._shown = False
            return lines
        columns, rows = self._size()
        # One column stays free: some terminals begin a new line as soon as the last one is written to.
        status = cut(printable(status), columns - 1)
        erased, self._shown = ERASE if self._shown else "", bool(status)
        if status:
            status = (f"{REVERSE}{status}{OFF}" if self.colours else status) + _below(notes, columns, rows) + "\r"
        return erased + lines + status

    def _size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            return os.get_terminal_size(self._descriptor)
        except OSError:  # it has hung up
            return 0, 0

    def _in_foreground(self) -> bool:
        """Not started by `… &` nor suspended: the last line is then the shell's."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:  # not the terminal that this process is controlled from
            return True


def _below(notes: Sequence[str], columns: int, rows: int) -> str:
    """The lines below the status, and the way back up to it. The terminal itself breaks a long one: so it is copied as one."""
    lines = list(map(printable, notes))
    taken = sum(-(-sum(map(_columns, line)) // max(columns, 1)) for line in lines)
    if not lines or MOST_OF_IT * (taken + 1) > rows:
        return ""
    return "".join(f"\r\n{line}" for line in lines) + f"\x1b[{taken}A"


def cut(text: str, columns: int) -> str:
    """As much of `text` as fits, with a sign if something is left out. A wide character takes two columns, any other one:
    characters without width are rare, and a line that is cut too early does no harm."""
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
