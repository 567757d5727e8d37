"""The command: its line, what it says and how it ends; a process of its own each time, as an operator starts it."""

import inspect
import os
import re
import signal
import sys
from pathlib import Path

import aiohttp
import asyncpg
import pytest

import unified_worker
from relay_simulator.server import RelayServer
from testing.authors import Author, liking
from testing.databases import backends, connected, saved, stored_cursor
from testing.processes import ROOT, Cold, Process
from testing.traffic import traffic, traffic_of
from testing.workers import running, settings
from unified_indexer.config.settings import SETTINGS, Config
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import OperatorError
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
    assert all(re.search(rf"^  {re.escape(setting.name)}( +\S|\n {{22}}\S)", output, re.MULTILINE) for setting in SETTINGS)


async def test_version(tmp_path: Path) -> None:
    code, output = await ended(tmp_path, "--version")
    assert code == 0
    assert re.fullmatch(r"unified-worker [0-9]+\.[0-9]+\.[0-9]+\n", output)


async def test_an_unknown_command_is_told_from_an_argument(tmp_path: Path) -> None:
    code, output = await ended(tmp_path, "frobnicate")
    assert code == 2
    assert (
        "unknown command 'frobnicate': write one of backfill, check, completion, config, dead-letters, identities, ingest, "
        "psql, rebuild-derived, repair, schema, status" in output
    )


@pytest.mark.parametrize("arguments", [("--unknown",), ("--reset",), ("--embedded", "a", "b")])
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
    monkeypatch.setattr("unified_indexer.database.connection.lock.LOCK_PATIENCE", 0.5)
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
    stream = traffic(20)
    async with RelayServer(stream.frames) as relay:
        env = settings(database, relay.url)
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
        async with Process(tmp_path) as process:
            await process.says("Connected to .*, from cursor 0")
            await saved(database, relay.url, stream.last_seq)


@pytest.mark.long
async def test_cursor_is_ignored_with_a_warning_when_one_is_stored(tmp_path: Path, database: str) -> None:
    stream = traffic(20)
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


class Broken(Cold):
    """The worker with a fault of its own."""

    program = (
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import unified_worker as w; w.Lifecycle.running = None; w.main()",
    )


async def test_a_fault_of_its_own_ends_with_its_traceback_and_a_code_of_its_own(database: str, tmp_path: Path) -> None:
    async with RelayServer() as relay, Broken(tmp_path, **settings(database, relay.url)) as worker:
        assert await worker.ends() == 70
        assert "Traceback" in worker.output
        assert "'NoneType' object is not callable" in worker.output


async def test_what_is_nearly_a_setting_is_warned_of_at_start(tmp_path: Path) -> None:
    code, output = await ended(tmp_path, "status", DATABASE_URL="postgresql://127.0.0.1:9/x", RELAI_URL="wss://relay.example")
    assert code == 2
    assert "[WARNING] RELAI_URL is not a setting and has no effect; did you mean RELAY_URL?" in output


class Read(Cold):
    """The worker that names each module when it has read it."""

    program = ("-X", "importtime", *Cold.program)


async def test_a_ctrl_c_while_the_program_is_read_ends_it_quietly(tmp_path: Path) -> None:
    async with Read(tmp_path, "status", DATABASE_URL="postgresql://127.0.0.1:9/x") as process:
        await process.says(r"\| +asyncio$")
        process.signal(signal.SIGINT)
        assert await process.ends() == -signal.SIGINT
    assert "Traceback" not in process.output


class Closed(Cold):
    """The worker as a shell starts it with these descriptors closed, and its log, if it has one, in a file."""

    def __init__(self, folder: Path, closed: str, **env: str) -> None:
        self.program = (
            "-c",
            f"import os; [os.close(int(n)) for n in {closed!r}]; os.execv({sys.executable!r}, {self._argv!r})",
        )
        super().__init__(folder, **env)

    _argv = (sys.executable, str(ROOT / "unified_worker.py"))


@pytest.mark.long
@pytest.mark.parametrize("closed", ["0", "1", "2", "01", "12", "02", "012"])
async def test_a_standard_descriptor_that_is_closed_at_start(database: str, tmp_path: Path, closed: str) -> None:
    """It works and stops as ever, and no socket has taken that number."""
    stream = traffic(20)
    async with RelayServer(stream.frames) as relay:
        async with Closed(tmp_path, closed, **settings(database, relay.url, HTTP_BIND="127.0.0.1:0")) as worker:
            await saved(database, relay.url, stream.last_seq)
            open_files = {number: str(Path(f"/proc/{worker.pid}/fd/{number}").readlink()) for number in (0, 1, 2)}
            assert {open_files[int(number)] for number in closed} == {os.devnull}
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0
        assert "Traceback" not in worker.output
        assert "Stopped" in worker.output or "1" in closed


async def test_a_command_with_closed_descriptors_ends_as_ever(tmp_path: Path) -> None:
    async with Closed(tmp_path, "012", DATABASE_URL="mysql://nonsense") as process:
        assert await process.ends() == 2


async def test_a_start_that_waits_for_the_lock_says_so_at_once_and_ends_at_once(database: str, tmp_path: Path) -> None:
    async with (
        RelayServer() as relay,
        running(database, relay.url),
        Process(tmp_path, **settings(database, relay.url)) as second,
    ):
        waiting = await second.says(
            r"\[WARNING\] Another worker writes the events of .* \(pid ([0-9]+), .*\): waiting up to 30 s"
        )
        async with connected(database) as connection:
            assert await connection.fetchval("SELECT true FROM pg_stat_activity WHERE pid = $1", int(waiting[1]))
        second.signal(signal.SIGTERM)
        assert await second.ends(5) == 0  # nothing was read, so there is nothing to wait for
        assert second.output.count("Another worker") == 1


async def test_a_start_that_waits_for_the_lock_goes_on_when_it_is_free(database: str, tmp_path: Path) -> None:
    stream = traffic(500)
    async with RelayServer(stream.frames) as relay:
        async with running(database, relay.url):
            second = Process(tmp_path, **settings(database, relay.url))
            await second.says("Another worker writes")
        async with second:
            await second.says("Connected to ")
            await saved(database, relay.url, stream.last_seq)


async def test_held_it_waits_for_a_decision_in_place_of_ending(database: str, tmp_path: Path) -> None:
    """Docker would start it again and again, until the relay's numbers have passed the cursor and nothing shows any more."""
    author = Author("counting")
    before = traffic_of(author.commit(seq, 1 + seq / 1e6, liking("create", str(seq), seq)) for seq in range(50_001, 50_101))
    anew = author.commit(1, 2, liking("create", "anew", 1))
    async with RelayServer([*before.frames, anew.frame]) as relay:
        async with Process(tmp_path, "--hold", **settings(database, relay.url, HTTP_BIND="127.0.0.1:0")) as worker:
            page = await worker.says(r"Live page: (http://\S+)")
            await worker.says("Waiting for that decision")
            async with aiohttp.ClientSession() as session, session.get(page[1] + "readyz") as answer:
                (reason,) = (await answer.json())["reasons"]
                assert (answer.status, reason["reason"]) == (503, "decision")
                assert "--reset-cursor" in reason["detail"]
            assert await backends(database) == [], "it holds no lock, so that the decision can be carried out beside it"
            worker.signal(signal.SIGTERM)
            assert await worker.ends(5) == 1
        assert "Traceback" not in worker.output
