"""The DNS: TXT records of handles at `_atproto.`, and this machine's address for localhost and for every name
under simulator.test, over UDP.
"""

import asyncio
from typing import TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from relay_simulator.hosts.faults import Cut, HostFault, HostFaults, Slow, Status, Text
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.requests import Requests

TTL = 60  # seconds
ZONES = ("simulator.test", "localhost")
_PREFIX = "_atproto."

_Address: TypeAlias = tuple[str, int]


class NameServer(asyncio.DatagramProtocol):
    """Answers questions about the ledger's handles. Use `start`, then `port`, then `stop`."""

    def __init__(self, ledger: Ledger, faults: HostFaults, requests: Requests) -> None:
        self._ledger = ledger
        self._faults = faults
        self._requests = requests
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen there."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, (host, port))
        self._transport = transport

    def stop(self) -> None:
        """Listen no more."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        """A question has come; what is none is left unanswered."""
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return
        if not query.question:
            return
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        handle = name.removeprefix(_PREFIX)
        self._requests.note("dns", handle)
        fault = self._faults.of("dns", handle)
        if isinstance(fault, Cut):
            return
        answer = self._answer(query, name, handle, fault).to_wire()
        delay = fault.seconds if isinstance(fault, Slow) else 0.0
        asyncio.get_running_loop().call_later(delay, self._send, answer, addr)

    def _send(self, answer: bytes, addr: _Address) -> None:
        if self._transport is not None:
            self._transport.sendto(answer, addr)

    def _answer(self, query: dns.message.Message, name: str, handle: str, fault: HostFault | None) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if isinstance(fault, Status):
            answer.set_rcode(dns.rcode.Rcode(fault.code))
            return answer
        asked = query.question[0].rdtype
        texts: list[str] = []
        if isinstance(fault, Text):
            texts = fault.text.splitlines()
        elif name.startswith(_PREFIX):
            did = self._ledger.holder(handle)
            texts = [f"did={did}"] if did is not None else []
        known = bool(texts) if name.startswith(_PREFIX) else any(f".{name}".endswith(f".{zone}") for zone in ZONES)
        if not known:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif asked == dns.rdatatype.TXT and texts:
            quoted = [f'"{text}"' for text in texts]
            answer.answer.append(dns.rrset.from_text(query.question[0].name, TTL, "IN", "TXT", *quoted))
        elif asked == dns.rdatatype.A and not name.startswith(_PREFIX):
            answer.answer.append(dns.rrset.from_text(query.question[0].name, TTL, "IN", "A", "127.0.0.1"))
        return answer
