"""Keep the three standard descriptors open, so that no socket ever gets the number of one that was closed at start."""

import os
import sys

STANDARD = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by number


def open_standard() -> None:
    """Open /dev/null in place of each of 0, 1 and 2 that the process was started without (`<&-`, `2>&-`).

    To be called before anything else is opened. Otherwise a socket or the event loop takes the free number: what is written
    to stderr goes into that socket, and libuv aborts the process where it closes such a number.
    """
    for number, (name, mode) in enumerate(STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number is this one
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
