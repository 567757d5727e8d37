"""Which server the pool is on: one for all its connections, whatever a URL with several hosts would allow each of them."""

import asyncio
import math
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing.commits import LIKE, Stream, did, like, put
from testing.database_side import ask
from testing.databases import connected
from testing.failover import silenced
from testing.faults.proxy import Proxy, to_socket
from testing.servers import SAFE, make_server, server_directory
from testing.waiting import until
from unified_indexer.config.database_url import faults_of
from unified_indexer.database.connection import pool as module
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.database.connection.poolers import pooled
from unified_indexer.database.connection.server import HOST_TIMEOUT, AnotherServer, Server, hosts, ready_session
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema.ready import make_ready, reach
from unified_indexer.database.write.writer import Writer
from unified_indexer.embedded.server import SOCKET, PostgresServer
from unified_indexer.errors import OperatorError
from unified_indexer.records import RECORD_TYPES

WRITABLE = "target_session_attrs=read-write"
LANES = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'unified-worker%' AND pid <> $1"


@pytest.fixture
async def two() -> AsyncIterator[tuple[PostgresServer, PostgresServer]]:
    """Two servers that both take writes: the old primary, not fenced yet, and the new one."""
    with server_directory() as first, server_directory() as second:
        servers = make_server(18, first, SAFE), make_server(18, second, SAFE)
        for server in servers:
            await server.start()
        yield servers
        for server in servers:
            await server.stop("immediate")


def url_of(*servers: PostgresServer | int) -> str:
    """Both hosts in one URL: a server by its socket, or a port of this machine."""
    places = [f"127.0.0.1:{s}" if isinstance(s, int) else f"{quote(str(s.directory), safe='')}:5432" for s in servers]
    return f"postgresql://unified@{','.join(places)}/unified?{WRITABLE}"


@contextmanager
def deaf_to_newcomers(server: PostgresServer) -> Generator[None]:
    """Connections that are there go on, new ones are refused: a full listen queue, a firewall, a proxy that stopped."""
    (path,) = (path for path in Path(server.directory).glob(".s.PGSQL.*") if not path.name.endswith(".lock"))
    away = path.with_name("away")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


async def likes(server: PostgresServer) -> int:
    async with connected(server.url) as connection:
        return await connection.fetchval("SELECT count(*) FROM likes")


@pytest.mark.long
async def test_lanes_write_where_the_lock_is_and_nowhere_else(two: tuple[PostgresServer, PostgresServer]) -> None:
    """Each connection chose a host for itself: lanes wrote to B while the cursor moved on A."""
    old, new = two
    for server in two:
        pool = DatabasePool(server.url, size=2, name="relay.test", durable=True)
        await make_ready(pool, RECORD_TYPES)
        pool.terminate()
    pool = DatabasePool(url_of(old, new), size=3, name="relay.test", durable=True)
    await make_ready(pool, RECORD_TYPES)
    stream = Stream()
    commits = [stream.commit(f"a{n}", put(f"{LIKE}/1", like(f"at://{did('x')}/app.bsky.feed.post/1"))) for n in range(20)]
    async with connected(old.url) as observer:
        writer = Writer(pool)
        await writer.write(0, commits[:10])
        async with pool.lock_connection() as lock:
            pid = await lock.fetchval("SELECT pg_backend_pid()")
        with deaf_to_newcomers(old):
            await observer.execute(LANES.replace("$1", str(pid)))
            writing = asyncio.create_task(writer.write(0, commits[10:]))
            done, _ = await asyncio.wait({writing}, timeout=2)
            assert not done
            assert (await observer.fetchval("SELECT count(*) FROM likes"), await likes(new)) == (10, 0)
        await asyncio.wait_for(writing, 60)
        assert (await likes(old), await likes(new)) == (20, 0)
    pool.terminate()


async def test_a_server_that_took_the_place_of_another_is_noticed(two: tuple[PostgresServer, PostgresServer]) -> None:
    """One address, another server behind it: a proxy, or a name that now means the new primary."""
    old, new = two
    place = Path(old.directory)
    pool = DatabasePool(old.url, size=3, name="relay.test", durable=True)
    await make_ready(pool, RECORD_TYPES)
    own = next(path for path in place.glob(".s.PGSQL.*") if not path.name.endswith(".lock"))
    own.rename(place / "away")
    own.symlink_to(next(path for path in Path(new.directory).glob(".s.PGSQL.*") if not path.name.endswith(".lock")))
    try:
        with pytest.raises(ConnectionError, match="a different server"):
            async with pool.connection():
                pass
    finally:
        own.unlink()
        (place / "away").rename(own)
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    pool.terminate()


async def ready(server: PostgresServer, expected: Server | None = None) -> Server:
    """What a new connection finds there."""
    async with connected(server.url) as connection:
        return await ready_session(connection, expected)


async def test_another_run_and_another_timeline_of_one_server_are_noticed(private_server: PostgresServer) -> None:
    """A restart, and a copy that was promoted: both have the system identifier of before."""
    first = await ready(private_server)
    assert await ready(private_server, first) == first
    async with connected(private_server.url) as connection:
        await connection.execute("ALTER SYSTEM SET restore_command = 'false'")
        await connection.execute("ALTER SYSTEM SET hot_standby = off")  # nobody gets in before recovery is at its end
        cluster = Path(await connection.fetchval("SHOW data_directory"))
    await private_server.stop("immediate")
    (cluster / "recovery.signal").touch()  # it recovers as from an archive, and so begins a timeline
    await private_server.start()
    now = await ready(private_server)
    assert (first.timeline, now.timeline) == ("00000001", "00000002")
    assert now.system_identifier == first.system_identifier
    for before in (now._replace(started_at=first.started_at), now._replace(timeline=first.timeline)):
        with pytest.raises(AnotherServer):
            await ready(private_server, before)


@pytest.mark.long
async def test_a_silent_host_costs_three_seconds_not_all_of_them(private_server: PostgresServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = url_of(silent.getsockname()[1], private_server)
        pool = DatabasePool(url, size=2, name="relay.test", durable=True)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await make_ready(pool, RECORD_TYPES)
        assert loop.time() - began > HOST_TIMEOUT - 0.5
        async with pool.connection() as connection:  # pinned: the silent one is not asked again
            assert await connection.fetchval("SELECT 1") == 1
        pool.terminate()


async def test_a_server_that_falls_silent_is_noticed_soon(
    private_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.PING_INTERVAL + module.PING_TIMEOUT <= 15
    monkeypatch.setattr(module, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(module, "PING_TIMEOUT", 0.5)
    pool = DatabasePool(private_server.url, size=2, name="relay.test", durable=True)
    await make_ready(pool, RECORD_TYPES)
    async with pool.lock_connection() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(LockLost):
            await asyncio.wait_for(pool.watch(), 60)
    finally:
        os.kill(pid, signal.SIGCONT)
        pool.terminate()


async def test_a_server_that_falls_silent_in_a_statement_of_ours_is_noticed_soon(
    private_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock's connection is not free for a ping then, and its statement may never end."""
    monkeypatch.setattr(module, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(module, "PING_TIMEOUT", 0.5)
    pool = DatabasePool(private_server.url, size=2, name="relay.test", durable=True)
    await make_ready(pool, RECORD_TYPES)

    began, falls_silent = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with pool.connection() as connection, connection.transaction():
            began.set()
            await falls_silent.wait()
            await connection.fetchval("SELECT 1")

    working = {asyncio.create_task(write())}
    await began.wait()
    with silenced(private_server):
        falls_silent.set()
        working.add(asyncio.create_task(ask(pool)))
        await asyncio.sleep(0)
        with pytest.raises(LockLost):
            await asyncio.wait_for(pool.watch(), 10)
        for task in working:
            task.cancel()
        done, _ = await asyncio.wait(working, timeout=5)
        assert done == working


async def test_a_server_that_falls_silent_at_a_login_is_left(
    private_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is there, and is being set up."""
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 1.0)
    pool = DatabasePool(private_server.url, size=2, name="relay.test", durable=True)
    with ExitStack() as silence:

        async def falls_silent(connection: Connection) -> bool:
            silence.enter_context(silenced(private_server))
            return await pooled(connection)

        monkeypatch.setattr(module, "pooled", falls_silent)
        opening = asyncio.create_task(pool.open())
        done, _ = await asyncio.wait({opening}, timeout=10)
        assert done
    assert isinstance(opening.exception(), TimeoutError)
    pool.terminate()


async def test_a_server_to_which_connections_are_refused_is_left_at_last(
    private_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies between keeps the connections that there are, and takes no new ones: nobody answers for the server."""
    monkeypatch.setattr(module, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(module, "UNHEARD", 1.0)
    async with Proxy(to_socket(str(private_server.directory / SOCKET))) as proxy:
        url = f"postgresql://unified@127.0.0.1:{proxy.port}/unified?sslmode=disable"
        pool = DatabasePool(url, size=2, name="relay.test", durable=True)
        await make_ready(pool, RECORD_TYPES)

        proxy.silence()
        proxy.deafen()
        calling = asyncio.create_task(ask(pool))
        await asyncio.sleep(0)
        with pytest.raises(LockLost):
            await asyncio.wait_for(pool.watch(), 20)
        calling.cancel()
        await asyncio.wait({calling}, timeout=5)
        assert calling.done()


async def test_a_server_that_falls_silent_during_a_start_is_asked_anew(
    private_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the start does may take long, but not for ever."""
    monkeypatch.setattr(module, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(module, "PING_TIMEOUT", 0.5)
    pool = DatabasePool(private_server.url, size=2, name="relay.test", durable=True)
    attempts = 0

    async def work(connection: Connection) -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            async with connection.transaction():  # whose end would be a ROLLBACK
                with silenced(private_server):
                    await connection.fetchval("SELECT 1")
        return attempts

    assert await asyncio.wait_for(reach(pool, work, math.inf), 30) == 2
    pool.terminate()


async def test_a_long_call_on_the_only_connection_is_no_silence(
    private_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one connection the ping waits for the call: its time-out begins when it is sent."""
    monkeypatch.setattr(module, "PING_INTERVAL", 0.05)
    monkeypatch.setattr(module, "PING_TIMEOUT", 0.3)
    pool = DatabasePool(private_server.url, size=1, name="relay.test", durable=True)
    await make_ready(pool, RECORD_TYPES)
    watching = asyncio.create_task(pool.watch())
    async with pool.connection() as connection:
        await connection.execute("SELECT pg_sleep(1.5)")
    done, _ = await asyncio.wait({watching}, timeout=0.5)
    assert not done
    watching.cancel()
    pool.terminate()


@pytest.mark.long
async def test_a_login_that_is_refused_for_a_while_is_waited_for_once_we_have_written(private_server: PostgresServer) -> None:
    """A password that is rotated, pg_hba.conf that is reloaded, …: at a start it is a fault, later a warning."""
    async with connected(private_server.url) as connection:
        await connection.execute("CREATE ROLE other LOGIN SUPERUSER PASSWORD 'old'")
        await connection.execute("CREATE DATABASE other")
        url = private_server.url_of("other").replace("unified@", "other:old@")
        hba = Path(await connection.fetchval("SHOW hba_file"))
        open_to_all = hba.read_text()

        async def reload(lines: str) -> None:
            hba.write_text(lines + open_to_all)
            await connection.execute("SELECT pg_reload_conf()")

        async def sql(statement: str) -> None:
            await connection.execute(statement)

        for breaks, mends, said in (
            (partial(sql, "ALTER ROLE other NOLOGIN"), partial(sql, "ALTER ROLE other LOGIN"), "is not permitted to log in"),
            (
                partial(sql, "ALTER DATABASE other RENAME TO gone"),
                partial(sql, "ALTER DATABASE gone RENAME TO other"),
                "not exist",
            ),
            (partial(reload, "local all other reject\n"), partial(reload, ""), "pg_hba.conf rejects connection"),
            (
                partial(rotated, connection, reload),
                partial(sql, "ALTER ROLE other PASSWORD 'old'"),
                "password authentication failed",
            ),
        ):
            await breaks()

            async def refused(said: str = said) -> bool:
                """The server takes a moment to read its settings again."""
                pool = DatabasePool(url, size=2, name="relay.test", durable=True)
                try:
                    await make_ready(pool, RECORD_TYPES)
                except OperatorError as error:
                    return said in str(error)
                pool.terminate()
                return False

            await until(refused, said)
            pool = DatabasePool(url, size=2, name="relay.test", durable=True)
            waiting = asyncio.create_task(make_ready(pool, RECORD_TYPES, patience=float("inf")))
            done, _ = await asyncio.wait({waiting}, timeout=1.5)
            assert not done
            await mends()
            await asyncio.wait_for(waiting, 60)
            pool.terminate()


async def rotated(connection: Connection, reload: Callable[[str], Awaitable[None]]) -> None:
    """The role has another password from now on, and is asked for it."""
    await connection.execute("ALTER ROLE other PASSWORD 'new'")
    await reload("local all other scram-sha-256\n")


@pytest.mark.long
async def test_a_lane_leaves_a_server_that_takes_no_writes(private_server: PostgresServer) -> None:
    pool = DatabasePool(private_server.url, size=2, name="relay.test", durable=True)
    await make_ready(pool, RECORD_TYPES)
    first = 0
    with suppress(asyncpg.ReadOnlySQLTransactionError):
        async with pool.connection() as connection:
            first = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute("BEGIN READ ONLY; CREATE TABLE x ()")
            pytest.fail("it was written")
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") != first
    pool.terminate()


@given(st.lists(st.from_regex(r"[a-z0-9.-]{1,12}(:[1-9][0-9]{0,3})?", fullmatch=True), min_size=1, max_size=4))
def test_each_host_has_a_url_of_its_own(places: list[str]) -> None:
    url = f"postgresql://user:p%40ss,word@{','.join(places)}/db?{WRITABLE}"
    assert hosts(url) == [f"postgresql://user:p%40ss,word@{place}/db?{WRITABLE}" for place in places]


def test_hosts_may_be_parameters() -> None:
    assert hosts("postgresql:///db?host=/a,/b&port=1,2&sslmode=disable") == [
        "postgresql:///db?sslmode=disable&host=%2Fa&port=1",
        "postgresql:///db?sslmode=disable&host=%2Fb&port=2",
    ]
    assert hosts("postgresql:///db?host=/a&port=5") == ["postgresql:///db?host=/a&port=5"]


@pytest.mark.parametrize("query", ["", "?target_session_attrs=any", "?sslmode=disable"])
def test_several_hosts_need_the_word_that_finds_the_primary(query: str) -> None:
    (fault,) = faults_of(f"postgresql://user:secret@a,b/db{query}")
    assert "add target_session_attrs=read-write" in fault
    assert "secret" not in fault
    assert faults_of("postgresql://user@a,b/db?target_session_attrs=primary") == []
    assert faults_of(f"postgresql://user@a/db{query}") == []
