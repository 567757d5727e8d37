"""Who looks on while the worker works: samples every second, and HTTP. None of it is awaited by the stream."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from indexer.config import Config
from indexer.gauges import Gauges
from indexer.history import History
from indexer.http.server import HttpServer


@asynccontextmanager
async def views(config: Config, gauges: Gauges) -> AsyncGenerator[None]:
    """Looks on until the block ends. OperatorError where HTTP_BIND can't be listened on."""
    history = History(gauges)
    async with AsyncExitStack() as stack:
        sampling = asyncio.create_task(history.run())
        stack.callback(sampling.cancel)
        if config.http_bind is not None:
            await stack.enter_async_context(HttpServer(config.http_bind, history, config.relay_host, config.ready_lag))
        yield
