"""A web server on loopback that answers as a test says."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Handler:
    """What answers always the same."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


def telling(value: object, status: int = 200) -> Handler:
    """What answers always this JSON."""
    return answering(status, orjson.dumps(value), {"Content-Type": "application/json"})


async def unregistered(request: web.Request) -> web.StreamResponse:
    """What a directory answers that does not know the DID, about the document or the log of it."""
    return web.json_response({"message": f"DID not registered: {request.path.split('/')[1]}"}, status=404)


class Site:
    """The server. `answer`: what it does with requests; `paths`: what it does with those of a path. `requests`: all of them."""

    def __init__(self) -> None:
        self.answer: Handler = telling({"a": 1})
        self.paths: dict[str, Handler] = {}
        self.requests: list[web.Request] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, path: str) -> int:
        """How often this path was asked for."""
        return sum(request.path == path for request in self.requests)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.paths.get(request.path, self.answer)(request)


@asynccontextmanager
async def web_site() -> AsyncGenerator[Site]:
    """A server at `url`, until the block ends."""
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    try:
        yield site
    finally:
        await runner.cleanup()
