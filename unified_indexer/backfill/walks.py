"""When a list has come to its end. Pure.

A list ends where its server gives no cursor. Servers have given one cursor again and again, the same page under ever new
cursors, and empty pages without an end: each of these ends here.
"""

from collections.abc import Sequence
from enum import StrEnum

MOST_BARREN = 3  # pages in a row that bring nothing new
LEEWAY = 10_000  # entries more than a server is said to have accounts …
TIMES = 4  # … or so many times as many: what is said of it is old


class End(StrEnum):
    """Why a list is at its end; all but the first are a server's fault."""

    COMPLETE = "complete"
    CURSOR_REPEATS = "cursor_repeats"
    NOTHING_NEW = "nothing_new"
    TOO_LONG = "too_long"


class Walk:
    """A list that is read page by page. Pages and cursors are remembered by their hashes: 43 million accounts are 43,000 pages.

    `accounts`: how many the server is said to have; None where nobody said it.
    """

    def __init__(self, accounts: int | None = None) -> None:
        self._most = None if accounts is None else TIMES * accounts + LEEWAY
        self._entries = 0
        self._barren = 0
        self._cursors: set[int] = set()
        self._pages: set[int] = set()

    def take(self, entries: Sequence[str], asked: str | None, cursor: str | None) -> End | None:
        """A page has come, `asked` for by one cursor, and giving the next. Why the list is at its end; None if it is not."""
        if cursor is None:
            return End.COMPLETE
        self._cursors.add(hash(asked))
        if hash(cursor) in self._cursors:
            return End.CURSOR_REPEATS
        page = hash(frozenset(entries))
        self._barren = 0 if entries and page not in self._pages else self._barren + 1
        self._pages.add(page)
        self._entries += len(entries)
        if self._barren >= MOST_BARREN:
            return End.NOTHING_NEW
        return End.TOO_LONG if self._most is not None and self._entries > self._most else None
