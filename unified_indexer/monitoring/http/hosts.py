"""The host names that HTTP answers to. A web page can make its own name lead to 127.0.0.1 (DNS rebinding) and read what is
there."""

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address

ANY = "*"  # among the names: answer whatever the worker is called
_HEADER = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(:[0-9]{0,5})?", re.ASCII | re.IGNORECASE)


class Hosts:
    """The names and addresses that requests may use. In the Host header, a browser says which name it followed."""

    def __init__(self, bound: str, named: Collection[str]) -> None:
        """`bound`: where the worker listens, a name or an address. `named`: what HTTP_HOSTS adds, in lower case."""
        self._names = {"localhost", bound.lower(), *named}
        address = _address(bound)
        self._any_address = address is not None and address.is_unspecified  # it can't know under which it is reached

    def allow(self, header: str) -> bool:
        """Whether a Host header is one of them, with any port: a container's port is often published as another one.

        Addresses are safe where the worker listens on all of them, and so are this machine's own (127.0.0.1, ::1): a page
        that leads its name elsewhere still sends that name.
        """
        found = _HEADER.fullmatch(header)
        host = found[1].lower().strip("[]").removesuffix(".") if found else ""
        address = _address(host)
        if address is not None and (self._any_address or address.is_loopback):
            return True
        return ANY in self._names or host in self._names or str(address) in self._names


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
