"""What commands need that ask accounts' servers: connections, a client, and identities that are looked up meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from unified_indexer.config.settings import Config
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.schema.session import in_words
from unified_indexer.identity.client import Client
from unified_indexer.identity.names import NameServer
from unified_indexer.identity.resolver import Identities


class Means(NamedTuple):
    """By what a command asks, and stores."""

    pool: DatabasePool
    client: Client
    identities: Identities


@asynccontextmanager
async def asking(config: Config, name: str, *, size: int, durable: bool) -> AsyncGenerator[Means]:
    """Connections for a command called `name`, with or without a worker, and what asks outside. Raises as `session`."""
    pool = DatabasePool(
        config.database_url, size=size, name=name, durable=durable, exclusive=False, publishes=config.publish is not None
    )
    servers = [NameServer(*server) for server in config.dns_servers]
    private = config.allow_private_hosts
    try:
        with in_words():
            await pool.open()
            async with Client(allow_private=private, dns_servers=servers) as client:
                identities = Identities(
                    pool,
                    client,
                    directories=config.plc_urls,
                    rate=config.plc_rate,
                    ttl=config.identity_ttl,
                    allow_private=private,
                )
                yield Means(pool, client, identities)
    finally:
        pool.terminate()


async def while_looking_up(identities: Identities, work: asyncio.Task[None]) -> None:
    """Wait until the work has ended, or was cancelled. Raises its error, or that of the look-ups."""
    looking_up = asyncio.create_task(identities.run())
    try:
        await asyncio.wait([work, looking_up], return_when=asyncio.FIRST_COMPLETED)
        for task in (work, looking_up):
            if task.done() and not task.cancelled():
                task.result()
    finally:
        for task in (work, looking_up):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(work, looking_up, return_exceptions=True)  # of two errors the first is raised already
