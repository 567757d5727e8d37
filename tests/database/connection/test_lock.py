"""One worker a relay and database: who has the lock, how it is told, and when it is free again."""

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from testing.commits import POST, Stream, did, post, put
from testing.database_side import Worker, ask, opened
from testing.databases import connected
from testing.faults.proxy import Proxy, to_socket
from testing.waiting import until as waiting_until
from unified_indexer.database.connection import lock as lock_module
from unified_indexer.database.connection import pool as pool_module
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.database.connection.sessions import SESSION_SETTINGS
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.database.write.writer import Writer
from unified_indexer.embedded.server import SOCKET
from unified_indexer.errors import OperatorError
from unified_indexer.records import RECORD_TYPES

ADVISORY = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (
  SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def until(worker: Worker, query: str, count: int) -> None:
    """Waits until the query's number is that one."""
    async with asyncio.timeout(10):
        while await worker.value(query) != count:
            await asyncio.sleep(0.01)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "LOCK_PATIENCE", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.promise(2)
async def test_a_second_worker_on_one_relay_and_database_is_refused(any_database: str) -> None:
    async with opened(any_database, name="relay.one") as first:
        with pytest.raises(OperatorError) as caught:
            async with opened(any_database, name="relay.one"):
                pass
        (fault,) = caught.value.faults
        async with first.pool.lock_connection() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
        for part in ("another worker writes the events of relay.one", f"pid {pid}", "python", "connected 20", "stop it first"):
            assert part in fault
        # Another relay's cursor is another row: there is nothing to race for.
        async with opened(any_database, name="relay.two") as second:
            assert await second.write(Stream().commit("a", put(f"{POST}/1", post()))) == ["applied"]
        await until(first, ADVISORY, 1)
    async with opened(any_database, name="relay.one") as again:
        await until(again, ADVISORY, 1)


async def test_a_start_waits_for_a_lock_that_is_about_to_be_free(database: str, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(database) as first:
        context = opened(database)
        starting = asyncio.create_task(context.__aenter__())
        async with asyncio.timeout(10):
            while "Another worker writes the events" not in caplog.text:
                await asyncio.sleep(0.01)
        assert not starting.done()
        first.pool.terminate()
        second = await starting
        assert await second.write(Stream().commit("a", put(f"{POST}/1", post()))) == ["applied"]
        await context.__aexit__(None, None, None)


async def test_a_holder_that_asks_nothing_any_more_loses_the_lock(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process hangs, or its machine is gone and a proxy or the network keeps its connection."""
    monkeypatch.setattr(lock_module, "SILENCE", 0.3)
    async with opened(database) as hanging:
        async with asyncio.timeout(10), opened(database) as second:
            assert await second.write(Stream().commit("a", put(f"{POST}/1", post()))) == ["applied"]
        with pytest.raises(LockLost):
            async with hanging.pool.lock_connection() as connection:
                await connection.fetchval("SELECT 1")


async def test_a_holder_that_asks_keeps_the_lock(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "LOCK_PATIENCE", 2.5)
    monkeypatch.setattr(pool_module, "PING_INTERVAL", 0.05)
    async with opened(database) as well:
        watching = asyncio.create_task(well.pool.watch())
        monkeypatch.setattr(lock_module, "SILENCE", 2.0)
        with pytest.raises(OperatorError, match="with --standby"):
            async with opened(database):
                pass
        assert not watching.done()
        watching.cancel()


@pytest.mark.long
async def test_a_standby_outlives_its_connection(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """A failover of the database, while it waits: it goes on waiting, and says so once."""
    caplog.set_level(logging.INFO)
    standbys = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted"
    async with opened(database) as first:
        told: list[bool] = []
        pool = DatabasePool(
            database,
            size=2,
            name="relay.test",
            durable=True,
            on_standby=lambda: told.append(True),
            after_standby=lambda: told.append(False),
        )
        waiting = asyncio.create_task(make_ready(pool, RECORD_TYPES, patience=0))
        before = 0
        for _ in range(2):
            async with asyncio.timeout(20):
                while (pid := await first.value(standbys)) in (None, before):
                    await asyncio.sleep(0.02)
            before = pid
            told.clear()
            await first.value("SELECT pg_terminate_backend($1)", pid)
            await waiting_until(lambda: False in told, "the standby says that the database is away", 10)
        first.pool.terminate()
        await asyncio.wait_for(waiting, 20)
        assert told[-1] is False
        assert caplog.text.count("standing by to take its place") == 1
        assert not pool.lock.standing_by
        assert await first.value(standbys) is None
        pool.terminate()


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("at_work", [False, True])
async def test_a_server_that_answers_no_more_is_noticed(
    database: str, monkeypatch: pytest.MonkeyPatch, size: int, *, at_work: bool
) -> None:
    """Half-open: nothing comes any more, nothing ends. What waits for an answer is broken off. `at_work`: a statement waits on
    the lock's own connection, so that this one can't be asked."""
    monkeypatch.setattr(pool_module, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(pool_module, "PING_TIMEOUT", 0.5)
    parts = urlsplit(database)
    socket = Path(parse_qs(parts.query)["host"][0]) / SOCKET
    async with Proxy(to_socket(str(socket))) as proxy:
        url = f"postgresql://{parts.username}@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable"
        pool = DatabasePool(url, size=size, name="relay.silent", durable=True)
        await make_ready(pool, RECORD_TYPES)
        watching = asyncio.create_task(pool.watch())
        await asyncio.sleep(0.5)
        assert not watching.done(), "while it answers nothing is wrong"
        proxy.silence()
        waiting: set[asyncio.Task[object]] = {
            asyncio.create_task(Writer(pool).write(0, [Stream().commit("a", put(f"{POST}/1", post()))]))
        }
        if at_work:
            waiting.add(asyncio.create_task(ask(pool)))
        async with asyncio.timeout(10):
            with pytest.raises(LockLost):
                await watching
        for task in waiting:
            task.cancel()
        done, _ = await asyncio.wait(waiting, timeout=5)
        assert done == waiting
        pool.terminate()
        async with asyncio.timeout(5):  # asyncpg asks the server to cancel what was broken off, in the background
            while proxy.connections:
                proxy.give_up()
                await asyncio.sleep(0.01)


async def test_a_lost_session_is_noticed_while_its_statement_waits(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has ended it, and nobody between has told us."""
    monkeypatch.setattr(pool_module, "PING_INTERVAL", 0.1)
    parts = urlsplit(database)
    socket = Path(parse_qs(parts.query)["host"][0]) / SOCKET
    async with Proxy(to_socket(str(socket))) as proxy, connected(database) as other:
        url = f"postgresql://{parts.username}@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable"
        pool = DatabasePool(url, size=3, name="relay.silent", durable=True)
        await make_ready(pool, RECORD_TYPES)
        async with pool.lock_connection() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
        proxy.silence()
        asking = asyncio.create_task(ask(pool))
        await other.execute("SELECT pg_terminate_backend($1)", pid)
        async with asyncio.timeout(10):  # less than its time-outs
            with pytest.raises(LockLost):
                await pool.watch()
        asking.cancel()
        await asyncio.wait({asking}, timeout=5)
        assert asking.done()
        pool.terminate()


# A worker's database side, that starts a call and is killed in it.
CALLER = """
import asyncio, sys
from testing.commits import LIKE, POST, Stream, did, like, post, put
from testing.database_side import opened

async def main():
    async with opened(sys.argv[1], name="relay.killed") as worker:
        stream = Stream()
        commits = [stream.commit(f"a{n}", put(f"{LIKE}/1", like(f"at://{did('x')}/{POST}/1"))) for n in range(100)]
        print("ready", flush=True)
        sys.stdin.readline()
        await worker.write(*commits)

asyncio.run(main())
"""
CALLS = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL unified_worker%' AND datname = current_database()"


@pytest.mark.parametrize("busy", ["waiting for a lock", "computing"])
async def test_a_worker_killed_in_mid_call_leaves_no_call_and_no_lock(database: str, busy: str) -> None:
    async with opened(database, name="relay.other"):
        pass  # the schema is there
    async with connected(database) as observer, connected(database) as blocker:
        if busy == "computing":
            await blocker.execute(
                """
                CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
                DECLARE v_until timestamptz := clock_timestamp() + interval '1 s';
                BEGIN
                  WHILE clock_timestamp() < v_until LOOP END LOOP;
                  RETURN NEW;
                END $$;
                CREATE TRIGGER slow BEFORE INSERT ON likes FOR EACH ROW EXECUTE FUNCTION slow()
                """
            )
        root = Path(__file__).parents[3]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CALLER, database),
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await blocker.execute("BEGIN")
        if busy == "waiting for a lock":
            await blocker.execute("INSERT INTO unified_worker.repos (did, rev) VALUES ($1, '')", did("a0"))
        process.stdin.write(b"go\n")
        async with asyncio.timeout(20):
            while await observer.fetchval(CALLS) == 0:
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        killed = time.monotonic()
        async with opened(database, name="relay.killed") as next_worker:
            await until(next_worker, CALLS, 0)
            assert time.monotonic() - killed < 30
            likes = await next_worker.value("SELECT count(*) FROM likes")
            assert likes < 100
            await blocker.execute("ROLLBACK")
            assert await next_worker.value("SELECT count(*) FROM likes") == likes, "a call of the dead worker went on"


async def test_the_session_s_settings_are_in_force_on_every_connection(any_database: str) -> None:
    async with opened(any_database, size=3) as worker:
        async with worker.pool.connection() as one, worker.pool.connection() as two, worker.pool.lock_connection() as three:
            for connection in (one, two, three):
                found = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in SESSION_SETTINGS}
                assert "python" in found["application_name"]
                assert found["timezone"] == "UTC"
                assert found["synchronous_commit"] == "off"
                assert found["client_connection_check_interval"] == "1s"
                assert found["lock_timeout"] == "30s"
                assert (found["enable_seqscan"], found["jit"]) == ("off", "off")
            assert worker.pool.busy == 3
        assert worker.pool.busy == 0
        # They are still there when a connection comes back from use.
        async with worker.pool.connection() as connection:
            assert await connection.fetchval("SHOW synchronous_commit") == "off"


async def test_the_lock_s_connection_that_ends_is_told(database: str) -> None:
    async with opened(database) as worker:
        watching = asyncio.create_task(worker.pool.watch())
        async with worker.pool.lock_connection() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
        await worker.connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        async with asyncio.timeout(5):
            with pytest.raises(LockLost):
                await watching
        with pytest.raises(LockLost):
            async with worker.pool.lock_connection():
                pass
        # Made ready again, the lock is there again.
        await worker.pool.open()
        assert await worker.value(ADVISORY) == 1


async def test_a_statement_on_a_lost_lock_says_that_it_is_lost(database: str) -> None:
    async with opened(database, size=1) as worker:
        async with worker.pool.connection() as connection:
            pid = connection.get_server_pid()

        async def end_and_use() -> None:
            async with worker.pool.connection() as connection:
                await worker.connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
                await connection.fetchval("SELECT 1")

        with pytest.raises(LockLost):
            await end_and_use()


async def test_an_error_of_a_statement_on_the_lock_s_connection_is_just_that(database: str) -> None:
    async with opened(database, size=1) as worker:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with worker.pool.connection() as connection:
                await connection.fetchval("SELECT 1 / 0")
        assert await worker.write(Stream().commit("a", put(f"{POST}/1", post()))) == ["applied"]


async def test_a_pool_that_is_ended_says_so(database: str) -> None:
    async with opened(database) as worker:
        worker.pool.terminate()
        with pytest.raises(LockLost):
            async with worker.pool.connection():
                pass
        assert worker.pool.busy == 0
