"""Read what is readable in a frame that is not proper DAG-CBOR, so that the kept frame has a seq and an account.

A reader of its own, since it must be lenient and bounded at once: a general CBOR decoder computes what tags ask for (big
numbers, shared references), allocates what lengths promise, and gives nothing of a frame that is cut short.
"""

from typing import cast

_MAX_ITEMS = 10_000  # 200 ops are 1,600 items; a frame of 5 MB could hold 5 million
_MAX_DEPTH = 16  # a message's own fields nest 4 deep


class _UnreadableError(Exception):
    """The reading ends here."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._items = 0

    def header(self) -> tuple[int, int]:
        """The next item's major type and argument (0 for a float)."""
        self._items += 1
        if self._items > _MAX_ITEMS or self._at >= len(self._data):
            raise _UnreadableError
        first = self._data[self._at]
        self._at += 1
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info
        if info > 27:
            raise _UnreadableError
        argument = int.from_bytes(self.take(1 << info - 24), "big")
        return major, argument if major != 7 else 0

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise _UnreadableError
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def value(self, depth: int) -> object:
        """The next value; None for byte strings and for what the fields of a message don't hold."""
        if depth > _MAX_DEPTH:
            raise _UnreadableError
        major, argument = self.header()
        match major:
            case 0:
                return argument
            case 1:
                return -1 - argument
            case 2:
                self.take(argument)
            case 3:
                return self.take(argument).decode("utf-8", "replace")
            case 4:
                return [self.value(depth + 1) for _ in range(argument)]
            case 5:
                fields: dict[str, object] = {}
                self.entries(fields, argument, depth + 1)
                return fields
            case 6:
                return self.value(depth + 1)
            case _:
                return {20: False, 21: True}.get(argument)
        return None

    def entries(self, into: dict[str, object], count: int, depth: int) -> None:
        """Reads `count` map entries; those before an unreadable one stay in `into`."""
        for _ in range(count):
            key = self.value(depth)
            value = self.value(depth)
            if isinstance(key, str):
                into.setdefault(key, value)


def salvage(frame: bytes) -> dict[str, object]:
    """The fields of a frame's payload as far as they can be read; byte strings and links are left out (None).

    Never raises; time and memory are bounded whatever the frame holds.
    """
    fields: dict[str, object] = {}
    reader = _Reader(frame)
    try:
        reader.value(0)
        major, count = reader.header()
        if major == 5:
            reader.entries(fields, count, 1)
    except _UnreadableError:
        pass
    return fields


def record_paths(ops: object) -> list[str]:
    """The paths that a list of ops names, if it is one."""
    if not isinstance(ops, list):
        return []
    paths: list[str] = []
    for op in cast("list[object]", ops):
        path = cast("dict[str, object]", op).get("path") if isinstance(op, dict) else None
        if isinstance(path, str):
            paths.append(path)
    return paths
