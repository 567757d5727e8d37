"""Bytes that are written one after another and read again at any place: in memory while they are few, then in a file.

The file is handed in, because nothing here opens one.
"""

from collections.abc import Callable
from typing import Protocol

MOST_IN_MEMORY = 8 * 2**20  # bytes of a spool


class File(Protocol):
    """A file of one's own, which goes when it is closed."""

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it at the end. Raises OSError."""
        ...

    def read(self, size: int, at: int) -> bytes:
        """The bytes from `at` on: `size` of them, or what there is. Raises OSError."""
        ...

    def close(self) -> None:
        """Give its room back."""
        ...


class Spool:
    """The bytes. `open_file` is asked for a file when they are more than `MOST_IN_MEMORY`; its OSErrors come out here."""

    def __init__(self, open_file: Callable[[], File]) -> None:
        self.size = 0
        self._open_file = open_file
        self._file: File | None = None
        self._memory: bytearray | bytes = bytearray()

    @property
    def in_memory(self) -> int:
        """How many bytes it takes in memory."""
        return len(self._memory)

    @property
    def in_file(self) -> bool:
        """Whether it needed the file."""
        return self._file is not None

    def append(self, data: bytes | memoryview) -> None:
        """Write `data` at the end."""
        self.size += len(data)
        if self._file is None:
            self._memory += data
            if self.size <= MOST_IN_MEMORY:
                return
            self._file = self._open_file()
            data, self._memory = memoryview(self._memory), bytearray()
        self._file.append(data)

    def reader(self) -> Callable[[int, int], bytes]:
        """What reads: a size and an offset -> the bytes there, or what there is of them. Nothing is appended any more."""
        if self._file is not None:
            return self._file.read
        self._memory = memory = bytes(self._memory)  # of which pieces are cut faster
        return lambda size, at: memory[at : at + size]

    def close(self) -> None:
        """Let go of all of it."""
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()
