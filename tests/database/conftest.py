"""Fixtures: a worker's database side on an empty database, on each server, and on a database that an application made.

worker       on PostgreSQL 18, in a schema of its own
any_worker   the same, once on each PostgreSQL there is
both_worker  on PostgreSQL 18, once in a schema of its own and once in an application's

Their databases are copies of one that a worker has made ready, which takes less time than making each anew; tests that ask for
none of them get an empty one. `database` and `application` are then those very databases.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from indexer.embedded.server import PostgresServer
from tests.conftest import administer, fresh
from testing.application_schema import TABLES
from testing.database_side import Worker, connected, opened


@pytest.fixture(scope="session")
def ready(pg18: PostgresServer) -> Callable[[str], str]:
    """By kind ('own', 'application'): the name of a database that a worker has made ready, to be copied."""
    made: set[str] = set()

    async def make(kind: str) -> None:
        await administer(pg18, f"CREATE DATABASE ready_{kind}")
        async with connected(pg18.url_of(f"ready_{kind}")) as connection:
            if kind == "application":
                await connection.execute(TABLES)
        async with opened(pg18.url_of(f"ready_{kind}")):
            pass

    def of(kind: str) -> str:
        if kind not in made:
            # In a loop of its own: pytest's runs just now.
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                runner.run(make(kind))
            made.add(kind)
        return f"ready_{kind}"

    return of


def kind_of(request: pytest.FixtureRequest) -> str | None:
    """Which ready database the test's worker begins with; None for a test without one."""
    if "both_worker" in request.fixturenames:
        return request.node.callspec.params["both_worker"]
    return "own" if "worker" in request.fixturenames else None


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    """The database that this test's is a copy of. Not async, so that the ready ones can be made on the way."""
    kind = kind_of(request)
    return "template1" if kind is None else request.getfixturevalue("ready")(kind)


@pytest.fixture
async def database(pg18: PostgresServer, template: str) -> AsyncIterator[str]:
    async for url in fresh(pg18, template):
        yield url


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
async def both_worker(database: str) -> AsyncIterator[Worker]:
    async with opened(database) as ready:
        yield ready
