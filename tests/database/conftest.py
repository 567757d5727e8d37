"""Fixtures: a worker's database side on an empty database, on each server, and on a database that an application made.

worker       on PostgreSQL 18, in a schema of its own
any_worker   the same, once on each PostgreSQL there is
both_worker  on PostgreSQL 18, once in a schema of its own and once in an application's
"""

from collections.abc import AsyncIterator

import pytest

from tests.database.application import TABLES
from tests.database.worker import Worker, connected, opened


@pytest.fixture
async def worker(database: str) -> AsyncIterator[Worker]:
    async with opened(database) as ready:
        yield ready


@pytest.fixture
async def any_worker(any_database: str) -> AsyncIterator[Worker]:
    async with opened(any_database) as ready:
        yield ready


@pytest.fixture
async def application(database: str) -> str:
    """The URL of a database with an application's tables."""
    async with connected(database) as connection:
        await connection.execute(TABLES)
    return database


@pytest.fixture(params=["own", "application"])
async def both_worker(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Worker]:
    if request.param == "application":
        async with connected(database) as connection:
            await connection.execute(TABLES)
    async with opened(database) as ready:
        yield ready
