"""The command: its line, what it says and how it ends; a process of its own each time, as an operator starts it."""

import inspect
import re
from pathlib import Path

import asyncpg
import pytest

import unified_worker
from indexer.config import SETTINGS, Config
from indexer.errors import OperatorError
from indexer.postgres import PostgresServer
from relay_simulator.server import RelayServer
from tests.e2e.harness import ROOT, Process, connected, running, saved, settings, stored_cursor, traffic
from unified_worker import DatabasePool, EventProcessor, SafeJSONEncoder, UnifiedWorker

SECRET = "hunter2geheim"


async def ended(folder: Path, *arguments: str, **env: str) -> tuple[int, str]:
    """The exit code and the output of a run that ends by itself."""
    async with Process(folder, *arguments, **env) as process:
        code = await process.ends()
    assert "Traceback" not in process.output
    assert SECRET not in process.output
    return code, process.output


def test_the_owner_s_names() -> None:
    assert unified_worker.__all__
    for name in ("initialize", "on_message_handler", "run"):
        assert inspect.iscoroutinefunction(getattr(UnifiedWorker, name))
    assert callable(UnifiedWorker.stop)
    assert SafeJSONEncoder().encode({"a": 1})
    assert all(inspect.isclass(owned) for owned in (SafeJSONEncoder, DatabasePool, EventProcessor, UnifiedWorker))


async def test_help_names_every_setting_and_flag(tmp_path: Path) -> None:
    code, output = await ended(tmp_path, "--help")
    assert code == 0
    for name in [setting.name for setting in SETTINGS] + ["--embedded", "--reset-cursor", "--version", "--help"]:
        assert name in output


async def test_version(tmp_path: Path) -> None:
    code, output = await ended(tmp_path, "--version")
    assert code == 0
    assert re.fullmatch(r"unified-worker [0-9]+\.[0-9]+\.[0-9]+\n", output)


@pytest.mark.parametrize("arguments", [("--unknown",), ("--reset",), ("stray",), ("--embedded", "a", "b")])
async def test_unknown_arguments_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, output = await ended(tmp_path, *arguments)
    assert code == 2
    assert "unrecognized arguments" in output


async def test_every_fault_of_the_settings_in_one_message(tmp_path: Path) -> None:
    faults = {
        "RELAY_URL": "http://relay.example",
        "DB_POOL_SIZE": "0",
        "LOG_LEVEL": "LOUD",
        "CURSOR": "yesterday",
        "SYNCHRONOUS_COMMIT": "perhaps",
        "IDLE_TIMEOUT": "-1",
    }
    code, output = await ended(tmp_path, **faults)
    assert code == 2
    lines = output.splitlines()
    assert all(line.startswith("unified_worker: ") for line in lines)
    assert sorted(line.split()[1] for line in lines) == sorted([*faults, "DATABASE_URL"])


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@host:port/database",
        f"mysql://user:{SECRET}@host/database",
        f"postgresql://user:{SECRET}@[::1/database",
        f"postgresql://user:{SECRET}@host/database?unknown_parameter=1",
        f"user:{SECRET}@host/database",
        f"postgresql://user:{SECRET}@host/database?password={SECRET}&target_session_attrs=nonsense",
    ],
)
async def test_an_unusable_database_url_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    code, output = await ended(tmp_path, DATABASE_URL=url, LOG_LEVEL="DEBUG")
    assert code == 2
    assert "DATABASE_URL" in output


@pytest.fixture
async def guarded(database: str, pg18: PostgresServer) -> str:
    """The URL of a user with a password on the database; the server itself trusts its socket, so the password is not asked."""
    async with connected(database) as connection:
        await connection.execute("DO $$ BEGIN CREATE ROLE guarded LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    assert pg18.pid
    return database.replace("unified@", f"guarded:{SECRET}@")


async def test_a_user_without_rights_is_refused_with_what_to_grant(tmp_path: Path, guarded: str) -> None:
    code, output = await ended(tmp_path, **settings(guarded, "ws://127.0.0.1:9", LOG_LEVEL="DEBUG"))
    assert code == 2
    assert "GRANT" in output


async def test_a_database_that_does_not_exist(tmp_path: Path, database: str) -> None:
    missing = re.sub(r"/test[0-9]+", "/nothere", database).replace("unified@", f"unified:{SECRET}@")
    code, output = await ended(tmp_path, **settings(missing, "ws://127.0.0.1:9", LOG_LEVEL="DEBUG"))
    assert code == 2
    assert "does not exist" in output


async def test_an_unknown_user(tmp_path: Path, database: str) -> None:
    code, output = await ended(
        tmp_path, **settings(database.replace("unified@", f"nobody:{SECRET}@"), "ws://127.0.0.1:9", LOG_LEVEL="DEBUG")
    )
    assert code == 2
    assert "refuses the user or the password" in output


async def test_a_wrong_password(tmp_path: Path, private_server: PostgresServer) -> None:
    """On a server that asks for one."""
    async with connected(private_server.url) as connection:
        rules = Path(await connection.fetchval("SHOW hba_file"))
        await connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'another'")
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        await connection.execute("SELECT pg_reload_conf()")
    url = private_server.url.replace("unified@", f"guarded:{SECRET}@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)
    code, output = await ended(tmp_path, **settings(url, "ws://127.0.0.1:9", LOG_LEVEL="DEBUG"))
    assert code == 2
    assert "refuses the user or the password" in output


async def test_a_database_that_does_not_answer() -> None:
    """In this process, with less patience than an operator gets."""
    worker = UnifiedWorker(Config.from_env({"DATABASE_URL": f"postgresql://user:{SECRET}@127.0.0.1:9/nothing"}))
    with pytest.raises(OperatorError) as raised:
        await worker.initialize(patience=0.1)
    assert "start the database or correct the address" in str(raised.value)
    assert SECRET not in str(raised.value)


async def test_a_second_worker_is_refused(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would race for the cursor. A worker of another relay may write into the same database."""
    monkeypatch.setattr("indexer.database.pool.LOCK_PATIENCE", 0.5)
    async with RelayServer() as relay, RelayServer() as other, running(database, relay.url):
        second = UnifiedWorker(Config.from_env(settings(database, relay.url)))
        with pytest.raises(OperatorError, match=r"another worker writes the events of .* \(pid [0-9]+, .*python"):
            await second.initialize()
        second.abandon()
        async with running(database, other.url):
            pass


async def test_the_password_is_in_no_line_of_a_run(tmp_path: Path, database: str) -> None:
    stream = traffic(500)
    url = database.replace("unified@", f"unified:{SECRET}@")
    async with RelayServer(stream.frames) as relay:
        async with Process(tmp_path, **settings(url, relay.url, LOG_LEVEL="DEBUG")) as process:
            await process.says("Connected to ")
            await saved(database, relay.url, stream.last_seq)
        assert SECRET not in process.output


async def test_settings_come_from_dotenv_too(tmp_path: Path, database: str) -> None:
    stream = traffic(500)
    async with RelayServer(stream.frames) as relay:
        env = settings(database, relay.url)
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
        async with Process(tmp_path) as process:
            await process.says("Connected to .*, from cursor 0")
            await saved(database, relay.url, stream.last_seq)


async def test_cursor_is_ignored_with_a_warning_when_one_is_stored(tmp_path: Path, database: str) -> None:
    stream = traffic(500)
    async with RelayServer(stream.frames) as relay:
        async with Process(tmp_path, **settings(database, relay.url)) as process:
            await saved(database, relay.url, stream.last_seq)
            assert "WARNING" not in process.output
        async with Process(tmp_path, **settings(database, relay.url, CURSOR="17")) as process:
            await process.says(r"\[WARNING\] CURSOR=17 is ignored.*--reset-cursor")
            await process.says(f"Connected to .*, from cursor {stream.last_seq}")
        async with Process(tmp_path, "--reset-cursor", **settings(database, relay.url, CURSOR="17")) as process:
            await process.says("Connected to .*, from cursor 17")
            await saved(database, relay.url, stream.last_seq)
        assert relay.cursors == [0, stream.last_seq, 17]


async def test_live_asks_for_no_cursor(tmp_path: Path, database: str) -> None:
    stream = traffic(500)
    async with RelayServer(stream.frames[:400]) as relay:
        async with Process(tmp_path, **settings(database, relay.url, CURSOR="live")) as process:
            await process.says("Connected to .*, live")
            for frame in stream.frames[400:]:
                relay.append(frame)
            await saved(database, relay.url, stream.last_seq)
        assert relay.cursors == [None]
        assert relay.frames_sent == 100
    assert await stored_cursor(database, relay.url) == stream.last_seq


class Broken(Process):
    """The worker with a fault of its own."""

    program = (
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import unified_worker as w; w.Cursor.start = None; w.main()",
    )


async def test_a_fault_of_its_own_ends_with_its_traceback_and_a_code_of_its_own(database: str, tmp_path: Path) -> None:
    async with RelayServer() as relay, Broken(tmp_path, **settings(database, relay.url)) as worker:
        assert await worker.ends() == 70
        assert "Traceback" in worker.output
        assert "'NoneType' object is not callable" in worker.output
