"""Output of commands: lines on stdout, whose reader may close it early (`… | head`)."""

import os
import sys

from unified_indexer.errors import Stop


def say(*lines: str) -> None:
    """Write the lines; what the encoding has no character for is an escape. Raises as `say_bytes`."""
    say_bytes("".join(f"{line}\n" for line in lines).encode(sys.stdout.encoding, "backslashreplace"))


def say_bytes(content: bytes) -> None:
    """Write bytes unchanged. Raises Stop if they can't be written: an OSError would pass for one of the database."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _to_nobody()
    except OSError as error:
        _to_nobody()  # what is still in the buffer, too
        raise Stop(f"the output cannot be written ({error.strerror})") from None


def _to_nobody() -> None:
    """What is left, and what follows, is not for anybody; where nobody reads any more, that is no fault."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def table(rows: list[tuple[str, ...]], right: frozenset[int] = frozenset()) -> list[str]:
    """Format the rows as lines with aligned columns; the columns numbered in `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
