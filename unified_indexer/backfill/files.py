"""Temporary files for what of a whole repo does not fit in memory. They have no name, so that nothing of them outlives us."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NoRoom(Exception):
    """The file can't be made, written or read: the disk is full, most likely. No host is to blame."""


class TemporaryFile:
    """A file as the reader of repos wants it. All methods raise NoRoom."""

    def __init__(self) -> None:
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `close` closes it
        except OSError as error:
            raise NoRoom(str(error)) from None
        self._descriptor = self._file.fileno()

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it at the end."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise NoRoom(str(error)) from None

    def read(self, size: int, at: int) -> bytes:
        """The bytes from `at` on: `size` of them, or what there is."""
        try:
            return os.pread(self._descriptor, size, at)
        except OSError as error:
            raise NoRoom(str(error)) from None

    def close(self) -> None:
        """Give its room back."""
        self._file.close()


def lacking() -> str | None:
    """Why no such file can be made here; None if one can."""
    try:
        TemporaryFile().close()
    except NoRoom as error:
        return str(error)
    return None


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` gives, done in a thread: a slow disk holds up nothing else. Who is cancelled waits for its end all the same,
    because nobody may close a file that a thread is at work on."""
    task = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.exception()  # which nobody asks for any more
        raise
