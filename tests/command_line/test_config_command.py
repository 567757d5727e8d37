"""`config check`: it finds what a start would, all at once, and writes nothing."""

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay_simulator.encoding import seq_of
from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from testing.databases import connected
from testing.processes import Process
from testing.streams import valkey
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.backfill import room
from unified_indexer.command_line.cli import parse
from unified_indexer.command_line.looking import Finding, Looking
from unified_indexer.config.settings import Config
from unified_indexer.database.schema.migrations import MIGRATIONS

SECRET = "hunter2geheim"
OURS = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('unified_worker') OR relname = 'posts'"


async def looked(env: dict[str, str], embedded: Path | None = None, *, restart: bool = False) -> list[Finding]:
    config = Config.from_env(env, embedded=embedded is not None, tolerant=True)
    return await Looking(config, embedded, restart=restart).findings()


def of(part: str, found: list[Finding]) -> Finding:
    (finding,) = (finding for finding in found if finding.part == part)
    return finding


async def fed(relay: RelayServer, frame: bytes, done: Callable[[], bool]) -> None:
    """Lets the relay say this again and again, whenever somebody comes."""

    async def heard() -> bool:
        relay.append(frame)
        return done()

    await until(heard, "somebody has heard it")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("unified_indexer.relay.look.FIRST_EVENT", 0.5)  # most of these relays are silent


@pytest.fixture
async def network() -> AsyncIterator[dict[str, str]]:
    """The settings of a directory and a name server that answer."""
    async with Services(Ledger(Settings(accounts=2))) as services:
        yield services.settings


@pytest.mark.long
async def test_what_is_well_is_said_and_nothing_is_written(
    database: str, network: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = traffic(200)
    async with RelayServer(stream.frames) as relay, connected(database) as connection:
        env = settings(database.replace("unified@", f"unified:{SECRET}@"), relay.url, HTTP_BIND="127.0.0.1:0") | network
        async with Process(tmp_path, "config", "check", **env) as process:
            await fed(relay, stream.frames[0], lambda: process.code is not None)
            assert await process.ends() == 0, process.output
        assert relay.cursors == [None]
        lines = dict(re.findall(r"^(?:ok|warning|fault) +(\w+) +(.*)$", process.output, re.MULTILINE))
        assert set(lines) == {"settings", "database", "lock", "disk", "relay", "directory", "dns", "http", "cursor"}
        assert "no tables yet: a start makes them in public" in lines["database"]
        assert lines["cursor"] == f"none is stored for {relay.url[5:]}: a start begins at CURSOR=oldest"
        assert lines["relay"] == f"{relay.url} answers, without TLS, at seq {seq_of(stream.frames[0])}"
        assert "Nothing here would refuse a start." in process.output
        assert SECRET not in process.output
        assert "Traceback" not in process.output
        assert await connection.fetchval(OURS) == 0
        assert [path.suffix for path in tmp_path.iterdir()] == [".log"]  # the test's own
        env["DATABASE_URL"] = database
        async with running(database, relay.url) as worker:
            await finished(worker, stream.last_seq)
            await until(lambda: worker.session.watermark.stored == stream.last_seq, "the cursor is saved")
            found = await looked(env)
            lock = of("lock", found)
            assert lock.state == "fault"
            assert re.search(r"another worker writes the events of .* \(pid \d+, .*: stop it first", lock.text)
            assert of("cursor", found).text == f"a start resumes after seq {stream.last_seq}"  # the relay is silent
            assert [finding for finding in await looked(env, restart=True) if finding.state != "ok"] == []
            assert of("lock", await looked(env | {"STANDBY": "on"})).state == "ok"
            other = of("lock", await looked(env | {"SHARE": "1/2"}))
            assert (other.state, "SHARE is 1/2" in other.text) == ("fault", True)
        found = await looked(env)
        assert of("lock", found).state == "ok"
        assert of("database", found).text.endswith(f"the worker's own tables in public, schema version {len(MIGRATIONS)}")
        await connection.execute("UPDATE firehose_cursor SET cursor = 'seven'")
        await connection.execute("UPDATE unified_worker.schema_version SET version = 99 WHERE version = $1", len(MIGRATIONS))
        found = await looked(env)
        assert "is not a seq ('seven'): start with --reset-cursor" in of("cursor", found).text
        assert "the database is at schema version 99" in of("database", found).text
        assert {of(part, found).state for part in ("cursor", "database")} == {"fault"}
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        texts = [finding.text for finding in await looked(env) if finding.state == "fault"]
        assert any("takes no writes (default_transaction_read_only is on): name the primary" in text for text in texts)
        assert any("schema version 99" in text for text in texts)
        monkeypatch.setattr(room, "LEAST", 1.1)
        disk = of("disk", await looked(env | {"BACKFILL": "repair"}))
        assert (disk.state, "No repo is fetched, because the disk" in disk.text) == ("warning", True)


@pytest.mark.long
async def test_all_faults_at_once_and_no_password(tmp_path: Path) -> None:
    """Those of the settings are the words of a start; what a setting with a fault names is not looked at."""
    wrong = {
        "DATABASE_URL": f"postgresql://user:{SECRET}@127.0.0.1:9/nothing",
        "RELAY_URL": "http://relay.example",
        "PLC_URL": f"https://user:{SECRET}@plc.example",
        "BACKFILL_SOURCE": f"https://user:{SECRET}@mirror.example",
        "HTTP_BIND": "nowhere",
        "LOG_LEVEL": "LOUD",
        "DNS_SERVERS": "127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "RELAI_URL": "x",
    }
    (tmp_path / ".env").write_bytes(b"CURSOR=\xff")
    async with Process(tmp_path, "config", "check", **wrong) as process:
        assert await process.ends() == 2
    assert SECRET not in process.output
    assert "Traceback" not in process.output
    lines = process.output.splitlines()
    faults = [line.split()[2] for line in lines if line.startswith("fault    settings")]
    assert faults == [".env", "RELAY_URL", "LOG_LEVEL", "HTTP_BIND", "BACKFILL_SOURCE", "PLC_URL"]
    assert any(line.startswith("fault    database   DATABASE_URL: no connection to") for line in lines)
    assert any(line.startswith("warning  settings   RELAI_URL is not a setting") for line in lines)
    assert any(line.startswith("warning  dns") for line in lines)
    assert any(line.startswith("warning  traces     http://127.0.0.1:9 takes no traces (") for line in lines)
    assert not any(line.split()[1] in ("relay", "http", "directory", "cursor") for line in lines)
    assert lines[-1] == "A start would be refused: 7 faults."


@asynccontextmanager
async def listening(head: bytes = b"", guests: list[object] | None = None) -> AsyncGenerator[int]:
    """The port of a server that says this to whoever connects; or nothing, until the block ends."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if guests is not None:
            guests.append(writer)
        if not head:
            await gone.wait()
        else:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        gone.set()


@pytest.mark.long
async def test_hosts_that_never_answer_are_waited_for_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.database.connection.pool.CONNECT_TIMEOUT", 2.0)
    monkeypatch.setattr("unified_indexer.relay.connection.OPEN_TIMEOUT", 2.0)
    monkeypatch.setattr("unified_indexer.command_line.looking.LIMIT", 4.0)
    guests: list[object] = []
    async with listening(guests=guests) as one, listening(guests=guests) as two, listening(guests=guests) as three:
        env = settings(f"postgresql://user:{SECRET}@127.0.0.1:{one}/x", f"ws://127.0.0.1:{two}")
        looking = asyncio.create_task(looked(env | {"PLC_URL": f"http://127.0.0.1:{three}"}))
        began = time.monotonic()
        await until(lambda: len(guests) == 3 or looking.done(), "all three are asked")
        assert not looking.done(), "while each of them is still silent"
        found = await looking
        assert time.monotonic() - began < 30
    states = {part: of(part, found).state for part in ("database", "relay", "directory")}
    assert states == {"database": "fault", "relay": "warning", "directory": "warning"}
    assert SECRET not in str(found)


async def test_that_there_is_no_place_for_large_repos_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    found = of("files", await looked({"DATABASE_URL": "x", "RELAY_URL": "x"}))
    assert (found.state, "set TMPDIR" in found.text) == ("warning", True)


async def test_a_relay_that_moved_and_one_that_is_none() -> None:
    async with (
        RelayServer() as relay,
        listening(b"HTTP/1.1 301 x\r\nLocation: " + relay.url.encode() + b"\r\n\r\n") as moved,
        listening(b"HTTP/1.1 200 x\r\nContent-Type: text/html\r\n\r\n<html>") as page,
    ):
        looking = asyncio.create_task(looked({"DATABASE_URL": "x", "RELAY_URL": f"ws://127.0.0.1:{moved}"}))
        await fed(relay, traffic(1).frames[0], looking.done)
        found = of("relay", await looking)
        assert f"redirected to {relay.url}, at seq " in found.text
        none = of("relay", await looked({"DATABASE_URL": "x", "RELAY_URL": f"ws://127.0.0.1:{page}"}))
        assert (none.state, "is RELAY_URL a relay?" in none.text) == ("warning", True)


async def test_a_stream_s_server_is_looked_at_in_the_relay_s_place() -> None:
    async with valkey() as server:
        found = of("stream", await looked({"DATABASE_URL": "x", "RELAY_URL": server.url("ws://relay.example")}))
        assert (found.state, "answers" in found.text) == ("ok", True)
        publish = server.url("").partition("?")[0]
        wrong = await looked(
            {"DATABASE_URL": "x", "PUBLISH": publish, "RELAY_URL": server.url("ws://relay.example", f"me:{SECRET}")}
        )
        assert (of("stream", wrong).state, of("publish", wrong).state) == ("fault", "ok")
        assert SECRET not in str(wrong)
    gone = of("stream", await looked({"DATABASE_URL": "x", "RELAY_URL": server.url("ws://relay.example")}))
    assert gone.state == "warning"


async def test_the_embedded_database_is_neither_made_nor_started(tmp_path: Path) -> None:
    place = tmp_path / "new" / "postgres"
    found = of("embedded", await looked({}, place))
    assert (found.state, "a start makes a database there" in found.text) == ("ok", True)
    assert not place.parent.exists()
    (tmp_path / "letter.txt").touch()
    assert "contains something else (letter.txt)" in of("database", await looked({}, tmp_path)).text
    assert "cannot be made" in of("database", await looked({}, tmp_path / "letter.txt" / "x")).text
    arguments = parse(["config", "check", "--embedded", str(place)])
    assert arguments.command is not None
    assert arguments.command.only_looks
