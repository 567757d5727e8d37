"""Ports for servers that are started later, or stopped and started again at the same one."""

import secrets
import socket
import sys

# The system gives outgoing connections ports from 32,768 up (Linux), or from 49,152 up (others). What is below stays free.
FIRST, LAST = 15_000, 32_000
_reserved: dict[int, socket.socket] = {}


def free_port() -> int:
    """A TCP and UDP port of 127.0.0.1 that nobody has. On Linux no other process is given it by this while this one lives."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)
        if port not in _reserved and _nobody_has(port) and _reserve(port):
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
    """Whether this process is the first to ask. A name in Linux's abstract space ends with its process, and leaves no file."""
    name = socket.socket(socket.AF_UNIX)
    try:
        if sys.platform == "linux":
            name.bind(f"\0unified-free-port-{port}")
    except OSError:
        name.close()
        return False
    _reserved[port] = name
    return True
