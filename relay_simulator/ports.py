"""Ports for servers that are started later, or stopped and started again at the same one."""

import fcntl
import functools
import os
import secrets
import socket
import tempfile
from pathlib import Path

# The system gives outgoing connections ports from 32,768 up (Linux), or from 49,152 up (others). What is below stays free.
FIRST, LAST = 15_000, 32_000
_reserved: set[int] = set()


def free_port() -> int:
    """A TCP and UDP port of 127.0.0.1 that nobody has. No other process is given it by this while this one lives."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)
        if port not in _reserved and _nobody_has(port) and _reserve(port):
            _reserved.add(port)
            return port


def _nobody_has(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def _reserve(port: int) -> bool:
    """Whether this process is the first of those that live to ask: it has the lock of this byte until it ends."""
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@functools.cache
def _locks() -> int:
    """A file, of which each byte stands for the port of that number."""
    path = Path(tempfile.gettempdir()) / f"unified-free-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
