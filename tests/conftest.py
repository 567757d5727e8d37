"""Fixtures: databases on servers that the whole session shares, and a server of one's own to kill.

database        the URL of a fresh, empty database on PostgreSQL 18
any_database    the same, once on each PostgreSQL there is (18, and 15 where Debian's package is installed)
private_server  a running PostgreSQL 18 of the test's own, with fsync on
worker          a worker's database side on PostgreSQL 18, in a schema of its own
any_worker      the same, once on each PostgreSQL there is
both_worker     on PostgreSQL 18, once in a schema of its own and once in an application's
application     the URL of a database with an application's tables

The databases of the workers are copies of one that a worker has made ready, which takes less time than making each.
Of the tests only those of one promise run where `--promise 2` asks for it.
"""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from secrets import token_hex

import asyncpg
import pytest

from testing.application_schema import TABLES
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.promises import select
from testing.servers import FAST, HAS_15, SAFE, fast_parent, make_server, server_directory
from unified_indexer.embedded.server import PostgresServer

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promise", type=int, metavar="NUMBER", help="only tests that are marked with this promise")


def pytest_configure() -> None:
    """SIGINT ends what tests start, also where a shell has started the tests in the background, and so has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    try:
        items[:], dropped = select(items, config.getoption("--promise"))
    except ValueError as fault:
        raise pytest.UsageError(str(fault)) from None
    if dropped:
        config.hook.pytest_deselected(items=dropped)


def _shared(version: int) -> Iterator[PostgresServer]:
    # A runner with a loop factory leaves the current event loop alone, which is pytest-asyncio's.
    with server_directory(fast_parent()) as directory, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        server = make_server(version, directory, FAST)
        runner.run(server.start())
        yield server
        runner.run(server.stop("immediate"))


@pytest.fixture(scope="session")
def pg18() -> Iterator[PostgresServer]:
    """The embedded PostgreSQL 18, shared by the session."""
    yield from _shared(18)


@pytest.fixture(scope="session")
def pg15() -> Iterator[PostgresServer]:
    """Debian's PostgreSQL 15, shared by the session; skips where it is not installed."""
    if not HAS_15:
        pytest.skip("PostgreSQL 15 is not installed (Debian: apt-get install postgresql-15)")
    yield from _shared(15)


async def fresh(server: PostgresServer, template: str = "template1") -> AsyncIterator[str]:
    """The URL of a new database, a copy of `template`; it is gone afterwards."""
    name = f"test{next(_numbers)}_{token_hex(3)}"  # this file may be imported under two names, and then counts twice
    # Files are copied, for without fsync a checkpoint costs less than the log of every page.
    await administer(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield server.url_of(name)
    await administer(server, f"DROP DATABASE {name} WITH (FORCE)")


async def administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url_of("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(params=["pg18", "pg15"])
def any_server(request: pytest.FixtureRequest) -> PostgresServer:
    """Each PostgreSQL there is, in turn. Not async: a server starts in a loop of its own, and only one can run at a time."""
    return request.getfixturevalue(request.param)


@pytest.fixture
async def private_server() -> AsyncIterator[PostgresServer]:
    with server_directory() as directory:
        server = make_server(18, directory, SAFE)
        await server.start()
        yield server
        await server.stop("immediate")


@pytest.fixture(scope="session")
def ready() -> Callable[[PostgresServer, str], str]:
    """By server and kind ('own', 'application'): the name of a database there that a worker has made ready, to be copied."""
    made: set[tuple[PostgresServer, str]] = set()

    async def make(server: PostgresServer, name: str, kind: str) -> None:
        await administer(server, f"CREATE DATABASE {name}")
        async with connected(server.url_of(name)) as connection:
            if kind == "application":
                await connection.execute(TABLES)
        async with opened(server.url_of(name)):
            pass

    def of(server: PostgresServer, kind: str) -> str:
        name = f"ready_{kind}"
        if (server, kind) not in made:
            # In a loop of its own: pytest's runs just now.
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                runner.run(make(server, name, kind))
            made.add((server, kind))
        return name

    return of


def kind_of(request: pytest.FixtureRequest) -> str | None:
    """Which ready database the test's worker begins with; None for a test without one."""
    if "both_worker" in request.fixturenames:
        return request.node.callspec.params["both_worker"]
    return "own" if {"worker", "any_worker"} & set(request.fixturenames) else None


@pytest.fixture
def begun_as(request: pytest.FixtureRequest) -> Callable[[PostgresServer], str]:
    """By server: the database that this test's is a copy of. Not async, so that the ready ones can be made on the way."""
    kind, ready = kind_of(request), request.getfixturevalue("ready")
    return lambda server: "template1" if kind is None else ready(server, kind)


@pytest.fixture
def any_template(any_server: PostgresServer, begun_as: Callable[[PostgresServer], str]) -> str:
    return begun_as(any_server)


@pytest.fixture
async def any_database(any_server: PostgresServer, any_template: str) -> AsyncIterator[str]:
    async for url in fresh(any_server, any_template):
        yield url


@pytest.fixture
def ready_template(pg18: PostgresServer, begun_as: Callable[[PostgresServer], str]) -> str:
    return begun_as(pg18)


@pytest.fixture
async def database(pg18: PostgresServer, ready_template: str) -> AsyncIterator[str]:
    async for url in fresh(pg18, ready_template):
        yield url


@pytest.fixture
async def worker(database: str) -> AsyncIterator[Worker]:
    async with opened(database, prepared=True) as ready:
        yield ready


@pytest.fixture
async def any_worker(any_database: str) -> AsyncIterator[Worker]:
    async with opened(any_database, prepared=True) as ready:
        yield ready


@pytest.fixture
async def application(database: str) -> str:
    """The URL of a database with an application's tables."""
    async with connected(database) as connection:
        await connection.execute(TABLES)
    return database


@pytest.fixture(params=["own", "application"])
async def both_worker(database: str) -> AsyncIterator[Worker]:
    async with opened(database, prepared=True) as ready:
        yield ready
