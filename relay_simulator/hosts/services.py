"""All the hosts beside the relay, started and stopped together.

async with Services(Ledger(settings)) as services: services.plc_url, services.dns, services.requests, services.faults
"""

from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple

from aiohttp import web

from relay_simulator.archive import BlockOrder
from relay_simulator.hosts.answers import Answers
from relay_simulator.hosts.directory import Directory
from relay_simulator.hosts.faults import HostFaults
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.names import NameServer
from relay_simulator.hosts.pds import Pds
from relay_simulator.hosts.relay import Relay
from relay_simulator.hosts.requests import Requests
from relay_simulator.hosts.sites import Handles, WebAccount
from relay_simulator.ports import free_port

PLC_RATE = "100"  # look-ups per second: this directory bears more than the public one


class Ports(NamedTuple):
    """Where to listen; 0: at a free one. Those of did:web accounts are in the ledger's settings, being part of their DIDs."""

    directory: int = 0
    pds: tuple[int, ...] = ()
    dns: int = 0
    relay: int = 0


class Services:
    """The directory, the PDS hosts (which serve the handles too), the lists of the relay, a host for each did:web account, and
    the DNS. `other_hosts` are what listHosts says besides.

    `order`: of the blocks of whole repositories.
    """

    def __init__(
        self,
        ledger: Ledger,
        faults: HostFaults | None = None,
        *,
        host: str = "127.0.0.1",
        ports: Ports | None = None,
        order: BlockOrder = "pds",
    ) -> None:
        self.faults = faults or HostFaults()
        self.requests = Requests()
        self.plc_url = ""
        self.relay_url = ""
        self.pds_urls: tuple[str, ...] = ()
        self.other_hosts: list[dict[str, object]] = []
        self.dns = ""
        self._ledger = ledger
        self._host = host
        self._order: BlockOrder = order
        self._ports = ports or Ports()
        self._runners: list[web.AppRunner] = []
        self._names = NameServer(ledger, self.faults, self.requests)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a worker that is to ask these hosts."""
        return {"PLC_URL": self.plc_url, "PLC_RATE": PLC_RATE, "ALLOW_PRIVATE_HOSTS": "on", "DNS_SERVERS": self.dns}

    def __str__(self) -> str:
        """Where they are, and a worker's settings, for whoever started them."""
        settings = " ".join(f"{name}={value}" for name, value in self.settings.items())
        pds = " and ".join(self.pds_urls)
        return f"directory at {self.plc_url}, PDS hosts at {pds}, DNS at {self.dns} (UDP)\na worker's settings: {settings}"

    async def __aenter__(self) -> "Services":
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen everywhere. After `stop` the ports are the same again."""
        answers = Answers(self.faults, self.requests)
        ledger, asked = self._ledger, self._ports
        handles = Handles(ledger, answers).routes()
        ports: list[int] = []
        for number in range(ledger.settings.hosts):
            pds = Pds(ledger, answers, number, self._order)
            ports.append(await self._serve([*pds.routes(), *handles], asked.pds[number] if asked.pds else 0))
        self.pds_urls = tuple(f"http://localhost:{port}" for port in ports)
        for number, port in enumerate(ledger.settings.web_ports):
            account = WebAccount(ledger, answers, ledger.did(number), self.pds_urls)
            await self._serve([*account.routes(), *handles], port)
        directory = await self._serve(Directory(ledger, answers, self.pds_urls).routes(), asked.directory)
        relay = await self._serve(Relay(ledger, answers, self.pds_urls, self.other_hosts).routes(), asked.relay)
        dns = asked.dns or free_port()
        await self._names.start(self._host, dns)
        self.plc_url = f"http://{self._host}:{directory}"
        self.relay_url = f"http://localhost:{relay}"
        self.dns = f"{self._host}:{dns}"
        self._ports = Ports(directory, tuple(ports), dns, relay)
        self.faults.start()

    async def stop(self) -> None:
        """Listen no more."""
        self._names.stop()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def _serve(self, routes: Iterable[web.RouteDef], port: int) -> int:
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)  # 0 would be for ever
        await runner.setup()
        self._runners.append(runner)
        port = port or free_port()
        await web.TCPSite(runner, self._host, port).start()
        return port
