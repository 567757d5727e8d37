"""Recorded frames: a file of them (4-byte big-endian length, then the frame), and a log of frames to serve."""

import mmap
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from relay_simulator.encoding import seq_of

_LENGTH = struct.Struct(">I")


def write_frames(path: Path, frames: Iterable[bytes]) -> int:
    """Write frames to a file; the number of them."""
    count = 0
    with path.open("wb") as out:
        for frame in frames:
            out.write(_LENGTH.pack(len(frame)))
            out.write(frame)
            count += 1
    return count


def read_frames(path: Path) -> Iterator[bytes]:
    """The frames of a file, one by one."""
    with path.open("rb") as source:
        while head := source.read(_LENGTH.size):
            yield source.read(_LENGTH.unpack(head)[0])


class Log(Protocol):
    """Frames in stream order, by position, to be served."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> bytes | memoryview: ...

    def after(self, cursor: int, *, inclusive: bool) -> int:
        """The position of the first frame that a client with this cursor has yet to see."""
        ...


@runtime_checkable
class GrowingLog(Log, Protocol):
    """A log to which frames are added."""

    def append(self, frame: bytes, /) -> None:
        """Add a frame at the end."""
        ...


class FrameLog:
    """Frames in stream order, by position: those of a file (mapped, not loaded) and those appended since.

    A frame without a seq (an #info, garbage) counts as standing at the highest seq before it.
    """

    def __init__(self, frames: Iterable[bytes] = (), recorded: Path | None = None) -> None:
        self._map: memoryview | None = None
        self._ends = array("Q", [0])  # of the mapped frames, with their length prefixes
        self._appended: list[bytes] = []
        self._highest = array("q")  # the highest seq up to and including each frame
        if recorded is not None:
            self._load(recorded)
        for frame in frames:
            self.append(frame)

    def __len__(self) -> int:
        return len(self._highest)

    def __getitem__(self, position: int) -> bytes | memoryview:
        mapped = len(self._ends) - 1
        if self._map is None or position >= mapped:
            return self._appended[position - mapped]
        return self._map[self._ends[position] + _LENGTH.size : self._ends[position + 1]]

    def append(self, frame: bytes) -> None:
        """Add a frame at the end."""
        self._appended.append(frame)
        self._note(frame)

    def after(self, cursor: int, *, inclusive: bool) -> int:
        """The position of the first frame that a client with this cursor has yet to see."""
        return bisect_left(self._highest, cursor) if inclusive else bisect_right(self._highest, cursor)

    @property
    def last_seq(self) -> int | None:
        """The highest seq, None while there is none."""
        return self._highest[-1] if self._highest and self._highest[-1] >= 0 else None

    def _note(self, frame: bytes) -> None:
        highest = self._highest[-1] if self._highest else -1
        seq = seq_of(frame)
        self._highest.append(highest if seq is None else max(highest, seq))

    def _load(self, path: Path) -> None:
        if path.stat().st_size == 0:
            return
        with path.open("rb") as source:
            self._map = memoryview(mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ))
        end = 0
        while end < len(self._map):
            start = end + _LENGTH.size
            end = start + _LENGTH.unpack_from(self._map, end)[0]
            self._ends.append(end)
            self._note(bytes(self._map[start:end]))
