"""How a connection comes about: a host's addresses, and the socket, which is made for public addresses only."""

import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from unified_indexer.identity.addresses import is_public
from unified_indexer.identity.names import Names


class PrivateAddress(OSError):
    """An address that is not public was about to be dialled. An OSError, so that a host's other addresses are tried."""


def public_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket to this address (as of getaddrinfo): here nothing can come between the check and the connection."""
    family, kind, protocol, _, place = address
    if not is_public(place[0]):
        raise PrivateAddress("private address")
    return socket.socket(family, kind, protocol)


class HostNames(AbstractResolver):
    """Names for aiohttp. `localhost` is this machine, whatever a name server says of it (RFC 6761)."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        is_local = host == "localhost" or host.endswith(".localhost")
        addresses = ["127.0.0.1", "::1"] if is_local else await self._names.addresses(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is kept open."""
