"""The names of hosts and handles, asked of name servers: addresses and TXT records.

dnspython asks without a thread, so a slow name server keeps nobody waiting but the one who asks. Nothing is cached here.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import dns.exception
import dns.nameserver
from dns.asyncresolver import Resolver
from dns.resolver import NXDOMAIN, NoAnswer, NoResolverConfiguration

from unified_indexer.identity.errors import NotFound, Unreachable

LIFETIME = 3.0  # seconds for an answer, all servers and tries together
MOST_RECORDS = 64  # of an answer; more are no host's
_FAILURES = (dns.exception.DNSException, OSError, ValueError, EOFError)  # a name's own faults, and the network's


class NameServer(NamedTuple):
    """Where to ask: an IP address and a port."""

    address: str
    port: int = 53


class Names:
    """Asks name servers: those given, or the system's (/etc/resolv.conf; /etc/hosts is not looked at)."""

    def __init__(self, servers: Sequence[NameServer] = ()) -> None:
        try:
            self._resolver = Resolver(configure=not servers)
        except NoResolverConfiguration:
            self._resolver = Resolver(configure=False)
        if servers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(server.address, server.port) for server in servers]

    async def addresses(self, host: str) -> list[str]:
        """The IP addresses of a host, IPv4 before IPv6.

        Raises NotFound (`no_such_host`) if it has none, Unreachable (`dns`) if no server answers.
        """
        answers = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"), return_exceptions=True)
        found = [text for answer in answers if not isinstance(answer, BaseException) for text in answer]
        if not found:
            raise next((answer for answer in answers if isinstance(answer, BaseException)), NotFound("no_such_host"))
        return found

    async def texts(self, name: str) -> list[str]:
        """The TXT records of a name, each with its strings joined; none if there are none. Raises Unreachable (`dns`)."""
        try:
            return await self._ask(name, "TXT")
        except NotFound:
            return []

    async def _ask(self, name: str, kind: str) -> list[str]:
        """The records of a name; empty if it has others. NotFound if there is no such name."""
        try:
            answer = await self._resolver.resolve(f"{name.rstrip('.')}.", kind, lifetime=LIFETIME, search=False)
        except NoAnswer:
            return []
        except NXDOMAIN:
            raise NotFound("no_such_host") from None
        except _FAILURES:
            raise Unreachable("dns") from None
        records = list(answer)[:MOST_RECORDS]
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in records]
        return [record.address for record in records]
