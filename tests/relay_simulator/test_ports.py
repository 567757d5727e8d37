"""A port that was found free is still free when a server comes to listen there."""

import subprocess
import sys
from pathlib import Path
from socket import create_server

import pytest

from relay_simulator import ports
from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Ports, Services
from relay_simulator.ports import FIRST, LAST, free_port
from relay_simulator.server import RelayServer
from testing.faults.proxy import Proxy, Streams

LINUX_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems say elsewhere which ports connections get")


def asked_elsewhere(expression: str) -> str:
    """What another process says."""
    command = [sys.executable, "-c", f"from relay_simulator import ports; print({expression})"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@only_linux
def test_outgoing_connections_are_given_no_such_port() -> None:
    assert FIRST < LAST < int(LINUX_RANGE.read_text().split()[0])


def test_no_other_process_is_given_it() -> None:
    port = free_port()
    assert asked_elsewhere(f"ports._reserve({port})") == "False"
    assert asked_elsewhere(f"ports._reserve({port + 20_000})") == "True"


def test_a_port_where_somebody_listens_is_not_free() -> None:
    port = free_port()
    assert ports._nobody_has(port)  # pyright: ignore[reportPrivateUsage]
    with create_server(("127.0.0.1", port)):
        assert not ports._nobody_has(port)  # pyright: ignore[reportPrivateUsage]


async def test_what_stops_and_starts_again_does_so_at_such_a_port() -> None:
    ledger = Ledger(Settings(accounts=10, history=20))
    async with RelayServer() as relay, Proxy(unused) as proxy, Services(ledger) as services:
        urls = [relay.url, services.plc_url, services.relay_url, *services.pds_urls, services.dns]
        found = [proxy.port, *(int(url.rpartition(":")[2]) for url in urls)]
    assert [port for port in found if not FIRST <= port < LAST] == []


async def test_hosts_that_cannot_all_listen_leave_none_that_does() -> None:
    ledger = Ledger(Settings(accounts=10, history=20))
    directory, taken = free_port(), free_port()
    with create_server(("127.0.0.1", taken)), pytest.raises(OSError, match="in use"):
        async with Services(ledger, ports=Ports(directory=directory, relay=taken)):
            pass
    create_server(("127.0.0.1", directory)).close()


async def unused() -> Streams:
    raise AssertionError("nobody connects")
