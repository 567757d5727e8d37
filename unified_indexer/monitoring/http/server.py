"""The HTTP server: paths and handlers. Only this folder imports aiohttp."""

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.resources import files
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from unified_indexer.config.settings import Address
from unified_indexer.errors import OperatorError
from unified_indexer.log.handler import warn_limited
from unified_indexer.monitoring.history import History
from unified_indexer.monitoring.http.connections import Connections
from unified_indexer.monitoring.http.exposition import Exposition
from unified_indexer.monitoring.http.health import Health
from unified_indexer.monitoring.http.hosts import Hosts
from unified_indexer.monitoring.http.live import Live
from unified_indexer.monitoring.http.malformed import requests_log

log = logging.getLogger(__name__)

KEEP_ALIVE = 30.0  # seconds without a request
MOST_OF_A_NAME = 100  # characters of a name that is refused, for the log
NAME_REFUSED = "HTTP: a request for the name %s was refused (421); HTTP_HOSTS lists the accepted names"
NOT_HERE = "The worker does not answer to this name: add it to HTTP_HOSTS (comma-separated names), or use the address.\n"
SHUTDOWN = 0.5  # seconds for what is being answered; the worker is to be gone within ten


class HttpServer:
    """`async with HttpServer(…)` serves until the block ends; that needs the task `run`."""

    def __init__(self, address: Address, hosts: Hosts, history: History, relay: str, ready_lag: float) -> None:
        self._address = address
        exposition = Exposition(history, relay, ready_lag)
        self._live = Live(history, exposition, relay, ready_lag)
        self._runner = web.AppRunner(
            _application(hosts, exposition, Health(history.gauges, ready_lag), self._live),
            access_log=None,
            logger=requests_log(),
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE,
            shutdown_timeout=SHUTDOWN,
        )
        self._connections = Connections()
        self._stack = AsyncExitStack()
        self.url: str | None = None  # of the page, while it is served

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        self._stack.push_async_callback(self._runner.cleanup)
        try:
            listening = await listen(self._address, self._protocol)
        except OSError as error:
            await self._stack.aclose()
            fault = taken(self._address, error)
            if self._address.chosen:
                raise OperatorError([fault]) from None
            log.warning("%s", fault)
            return self
        self._stack.callback(listening.close)
        self._stack.callback(self._live.close)
        here = self._address._replace(port=listening.sockets[0].getsockname()[1])
        self.url = f"http://{here}/"
        log.info("Live page: %s (and /metrics, /healthz, /readyz)", self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(self) -> None:
        """Feed the open pages, and let go who does not read, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._live.run())
            tasks.create_task(self._connections.keep_looking())

    def _protocol(self) -> asyncio.Protocol:
        return self._connections.admit(self._runner.server)


async def listen(address: Address, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    """Listen there. Raises OSError."""
    return await asyncio.get_running_loop().create_server(protocol, address.host, address.port)


def taken(address: Address, error: OSError) -> str:
    """What follows where HTTP_BIND can't be listened on: a fault if an operator chose it, otherwise a warning."""
    fault = f"HTTP_BIND: cannot listen on {address} ({error.strerror or error})"
    if address.chosen:
        return f"{fault}: write another address, or nothing (HTTP_BIND=) for no HTTP"
    return f"{fault}: continuing without the live page, /metrics, /healthz and /readyz; HTTP_BIND sets another address"


def _application(hosts: Hosts, exposition: Exposition, health: Health, live: Live) -> web.Application:
    page = whole_page()
    headers = {"Content-Security-Policy": policy(page), "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}

    async def show(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers=headers)

    async def metrics(request: web.Request) -> web.Response:
        text, content_type = exposition.text(request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def guard(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Server"] = "unified-worker"

    application = web.Application(client_max_size=0, middlewares=[_only_for(hosts)])
    application.on_response_prepare.append(guard)
    application.router.add_get("/", show)
    application.router.add_get("/live", live.stream, allow_head=False)
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/healthz", health.alive)
    application.router.add_get("/readyz", health.ready)
    return application


def _only_for(hosts: Hosts) -> Middleware:
    """Answers 421 to a request that is for another name, whatever it asks for.

    Who names no host (HTTP/1.0: some load balancers' checks) is no browser, and is answered.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        for host in request.headers.getall("Host", []):
            if host and not hosts.allow(host):
                name = host[:MOST_OF_A_NAME]
                warn_limited(log, "host", NAME_REFUSED, name)
                raise web.HTTPMisdirectedRequest(text=NOT_HERE)
        return await handler(request)

    return check


def whole_page() -> str:
    """page.html with its style and scripts put in where it names their files."""
    folder = files("unified_indexer.monitoring.http") / "page"
    page = folder.joinpath("page.html").read_text(encoding="utf-8")
    return re.sub(r"/\* (\w+\.(?:css|js)) \*/", lambda named: folder.joinpath(named[1]).read_text(encoding="utf-8"), page)


def policy(page: str) -> str:
    """The Content-Security-Policy: the page's own style and script, by their hashes, and its stream; nothing else."""
    hashes = {
        tag: f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
        for tag, content in re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL)
    }
    return (
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
