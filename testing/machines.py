"""A second machine, made of this one: a network namespace behind a cable that can be cut, so that nothing closes anything."""

import contextlib
import os
import subprocess
from collections.abc import Generator, Sequence

import pytest

from testing.processes import Cold

NAME = f"unified{os.getpid()}"
NEAR, FAR = f"uni{os.getpid()}a", f"uni{os.getpid()}b"  # the ends of the cable
_NUMBER = os.getpid() % 2**14 * 4  # others may have such a cable at the same time
HERE, THERE = (f"10.213.{(_NUMBER + n) >> 8}.{(_NUMBER + n) & 255}" for n in (1, 2))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class There(Cold):
    """A worker on the second machine."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", NAME, *super().command(arguments)]


@contextlib.contextmanager
def second_machine() -> Generator[None]:
    """It has the address THERE, and reaches this one as HERE. Skips the test where that can't be made."""
    try:
        _ip("netns", "add", NAME)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no network namespaces here (root, and Debian's iproute2)")
    try:
        _ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", NAME)
        _ip("address", "add", f"{HERE}/30", "dev", NEAR)
        _ip("link", "set", NEAR, "up")
        _ip("-n", NAME, "address", "add", f"{THERE}/30", "dev", FAR)
        _ip("-n", NAME, "link", "set", FAR, "up")
        yield
    finally:
        _ip("netns", "delete", NAME)
        with contextlib.suppress(subprocess.CalledProcessError):  # a cable that was made stays while a connection there does
            _ip("link", "delete", NEAR)


def cut_cable() -> None:
    """From now on the two machines are gone for each other."""
    _ip("-n", NAME, "link", "set", FAR, "down")
