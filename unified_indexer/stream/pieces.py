"""A frame as entries of at most 64 kB: so a read of some hundred entries is bounded, whatever the relay sends."""

from collections.abc import Iterator, Sequence

from unified_indexer.stream.keys import BEGIN, END, MORE, WHOLE

PIECE = 2**16  # bytes
MAX_JOINED = 17 * 2**20  # bytes: above the longest message that the websocket takes


def cut(frame: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a frame, in order: what each is, and its bytes."""
    if len(frame) <= PIECE:
        yield WHOLE, frame
        return
    last = (len(frame) - 1) // PIECE
    for number in range(last + 1):
        yield BEGIN if number == 0 else END if number == last else MORE, frame[number * PIECE : (number + 1) * PIECE]


class Joining:
    """Frames of one partition's entries. A frame whose beginning or end does not come is none: it comes once more."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def open(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._pieces)

    def take(self, kind: bytes, data: bytes) -> bytes | None:
        """Take the next entry; return the frame that it completes."""
        if kind in (WHOLE, BEGIN):
            self._pieces, self._size = [], 0
        if kind == WHOLE:
            return data
        if kind != BEGIN and not self._pieces:
            return None
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MAX_JOINED:
            self._pieces, self._size = [], 0
        if kind != END or not self._pieces:
            return None
        frame, self._pieces = b"".join(self._pieces), []
        return frame


def fields_of(entry: Sequence[bytes]) -> tuple[bytes, bytes]:
    """What an entry is, and its bytes; nothing of an entry that is not ours."""
    return (entry[0], entry[1]) if len(entry) == 2 else (b"", b"")
