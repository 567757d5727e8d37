"""A step of the background that is taken again and again, whatever becomes of the database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.log.handler import warn_limited


async def keep(step: Callable[[], Awaitable[None]], interval: float, log: logging.Logger, name: str, fault: str) -> None:
    """Take the step every `interval` seconds, until cancelled. `fault`: what is logged, as `name`, where the database fails."""
    while True:
        try:
            await step()
        except DATABASE_ERRORS as error:
            warn_limited(log, name, "%s (%s); trying again", fault, error)
        await asyncio.sleep(interval)
