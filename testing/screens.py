"""A pseudo-terminal, and what a person in front of it would see, by a terminal emulator that knows nothing of this project."""

import os
import pty
import select
import termios
import time
from collections.abc import Callable

import pyte

DEADLINE = 60.0  # seconds
STOP, GO_ON = b"\x13", b"\x11"  # Ctrl-S, Ctrl-Q


class Screen:
    """A terminal of so many columns. `stream` is the side that programs write to; close it at the end."""

    def __init__(self, columns: int = 70, lines: int = 24) -> None:
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._seen = pyte.Screen(columns, lines)
        self._emulator = pyte.ByteStream(self._seen)
        self.written = b""  # all that has been shown so far, commands included
        termios.tcsetwinsize(slave, (lines, columns))

    def close(self) -> None:
        """Nobody looks any more."""
        self.stream.close()
        os.close(self._master)

    def resize(self, columns: int) -> None:
        """The window gets another width."""
        termios.tcsetwinsize(self.stream.fileno(), (self._seen.lines, columns))
        self._seen.resize(columns=columns)

    def press(self, keys: bytes) -> None:
        """As typed. Ctrl-S has taken effect when it returns: the kernel carries it out a little later."""
        os.write(self._master, keys)
        deadline = time.monotonic() + DEADLINE
        while keys == STOP and select.select([], [self.stream], [], 0)[1]:
            assert time.monotonic() < deadline, keys
            time.sleep(0.001)

    @property
    def rows(self) -> list[str]:
        """What is on screen now, down to the last row that holds anything; its end is without blanks."""
        while select.select([self._master], [], [], 0.02)[0]:
            got = os.read(self._master, 65_536)
            self.written += got
            self._emulator.feed(got)
        rows = [row.rstrip() for row in self._seen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column, from 0."""
        return self._seen.cursor.y, self._seen.cursor.x

    def look_of(self, row: int, column: int) -> tuple[str, bool]:
        """The colour behind a character, and whether it is reversed."""
        cell = self._seen.buffer[row][column]
        return cell.bg, cell.reverse

    def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """The rows, once the condition holds for them."""
        deadline = time.monotonic() + DEADLINE
        while not condition(rows := self.rows):
            assert time.monotonic() < deadline, rows
        return rows
