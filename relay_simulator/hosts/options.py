"""The command's options about the hosts beside the relay, and the hosts that they ask for."""

import argparse
from typing import NamedTuple

from relay_simulator.changes import Change, parse_change
from relay_simulator.hosts.faults import ENDPOINTS, GROUPS, HostFaults
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Ports, Services
from relay_simulator.hosts.spoken import ALTERATIONS, KINDS, parse_fault
from relay_simulator.ports import free_port

DIRECTORY_PORT, HOSTS_PORT = 2582, 2583  # the defaults, where the relay's port is not a free one


class HostOptions(NamedTuple):
    """What was asked for. `directory` and `hosts` are ports, 0 for free ones."""

    host: str
    directory: int
    hosts: int
    web_ports: tuple[int, ...]
    pds_hosts: int
    changes: tuple[Change, ...]
    faults: HostFaults

    def services(self, ledger: Ledger) -> Services:
        """The hosts, not yet started."""
        first, dns = self.hosts, self.hosts + self.pds_hosts
        ports = Ports(self.directory, tuple(range(first, dns)), dns) if first else Ports(self.directory)
        return Services(ledger, self.faults, host=self.host, ports=ports)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options, in a group of their own."""
    group = parser.add_argument_group(
        "hosts", "Who a worker asks for keys, handles and status: a PLC directory, PDS hosts, did:web hosts and a DNS."
    )
    group.add_argument(
        "--directory-port",
        type=int,
        help=f"the directory's ({DIRECTORY_PORT}, or a free one beside --port 0); not served beside --cheap or --frames "
        "unless it is given",
    )
    group.add_argument(
        "--hosts-port",
        type=int,
        help=f"the first of those in a row: the PDS hosts, the DNS by UDP, did:web hosts ({HOSTS_PORT}, or free ones)",
    )
    group.add_argument("--pds-hosts", type=int, default=2, metavar="N", help="how many PDS hosts, 2 or more (%(default)s)")
    group.add_argument("--web-accounts", type=int, default=0, metavar="N", help="how many have a did:web (%(default)s)")
    group.add_argument(
        "--change",
        type=_change,
        action="append",
        default=[],
        metavar="ACCOUNT@SEQ=WHAT",
        help="another identity from a seq on: key, pds, tombstone, handle:NAME, identity:before|after|never; by commas",
    )
    group.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="ENDPOINT[/DID]=KIND[@FROM-TO]",
        help=f"what goes wrong, in which seconds. Endpoints: {', '.join((*ENDPOINTS, *GROUPS))}, or * for all. "
        f"Kinds: {', '.join((*KINDS, *ALTERATIONS))}",
    )


def host_options(arguments: argparse.Namespace) -> HostOptions | None:
    """What the options ask for; None where no hosts are wanted."""
    if arguments.directory_port is None and (arguments.cheap or arguments.frames):
        return None
    free = arguments.port == 0
    directory = arguments.directory_port if arguments.directory_port is not None else 0 if free else DIRECTORY_PORT
    hosts = arguments.hosts_port if arguments.hosts_port is not None else 0 if free else HOSTS_PORT
    count = arguments.web_accounts
    first_web = hosts + arguments.pds_hosts + 1
    web_ports = tuple(range(first_web, first_web + count)) if hosts else tuple(free_port() for _ in range(count))
    faults = HostFaults()
    for text in arguments.fault:
        parse_fault(text, faults)
    changes = tuple(sorted(arguments.change, key=lambda change: change.at_seq))
    return HostOptions(arguments.host, directory, hosts, web_ports, arguments.pds_hosts, changes, faults)


def _change(text: str) -> Change:
    try:
        return parse_change(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _fault(text: str) -> str:
    try:
        parse_fault(text, HostFaults())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    return text
