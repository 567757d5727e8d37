"""A database that goes while a command is at work: the command ends with 1 and says so in one line."""

from pathlib import Path

import pytest

from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from testing.commits import POST, START, Stream, post, put
from testing.database_side import opened
from testing.databases import connected
from testing.processes import Process
from testing.servers import kill9
from testing.waiting import until
from unified_indexer.backfill.fetch import Fetcher
from unified_indexer.backfill.files import NoRoom
from unified_indexer.command_line.cli import parse
from unified_indexer.config.settings import Config
from unified_indexer.embedded.server import PostgresServer

LOST = "the database connection failed ("
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
TERMINATED = f"SELECT count(pg_terminate_backend(pid)) FROM ({WAITING}) AS waiting"
CURSOR = "INSERT INTO firehose_cursor (service, cursor, last_event_time) VALUES ('relay.test', '1', $1)"


async def with_a_repo(url: str, ledger: Ledger) -> str:
    """Make the database ready, with a repo of an account that the hosts know; its DID."""
    async with opened(url) as worker:
        did = ledger.did(0)
        await worker.write(Stream().commit(did.removeprefix("did:plc:"), put(f"{POST}/1", post())))
        await worker.connection.execute(CURSOR, START)
    return did


@pytest.mark.parametrize("killed", [False, True], ids=["sessions ended", "server killed"])
@pytest.mark.parametrize(
    ("command", "table"),
    [("repair --now", "repairs"), ("repair --check-only", "repairs"), ("check --network 600", "repos")],
)
async def test_a_database_that_goes_ends_a_command_that_asks_outside(
    private_server: PostgresServer, tmp_path: Path, command: str, table: str, killed: bool
) -> None:
    ledger = Ledger(Settings(accounts=2))
    async with Services(ledger) as services:
        did = await with_a_repo(private_server.url, ledger)
        arguments = [*command.split(), *([did] if command.startswith("repair") else [])]
        async with connected(private_server.url) as other, connected(private_server.url) as asking:
            await other.execute(f"BEGIN; LOCK TABLE unified_worker.{table}")
            async with Process(tmp_path, *arguments, DATABASE_URL=private_server.url, **services.settings) as process:
                await until(lambda: asking.fetchval(WAITING), "the command waits for the table")
                if killed:
                    await kill9(private_server)
                else:
                    assert await asking.fetchval(TERMINATED)
                    await other.execute("ROLLBACK")
                assert await process.ends() == 1, process.output
            assert "Traceback" not in process.output
            assert process.output.count("[ERROR]") == process.output.count(LOST) == 1, process.output


async def test_a_rebuild_that_may_not_begin_says_why(database: str, tmp_path: Path) -> None:
    """A statement that the database refuses is no fault of the program."""
    async with opened(database) as worker:
        await worker.connection.execute("ALTER TABLE unified_worker.rebuild RENAME TO elsewhere")
    async with Process(tmp_path, "rebuild-derived", DATABASE_URL=database) as process:
        assert await process.ends() == 1, process.output
    assert "Traceback" not in process.output


async def test_a_comparison_without_room_on_disk_says_so(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def full(_fetcher: Fetcher, _did: str) -> None:
        raise NoRoom("No space left on device")

    monkeypatch.setattr(Fetcher, "fetch", full)
    ledger = Ledger(Settings(accounts=2))
    async with Services(ledger) as services:
        did = await with_a_repo(database, ledger)
        parsed = parse(["repair", did, "--check-only"])
        assert parsed.command is not None
        config = Config.from_env({"DATABASE_URL": database} | services.settings)
        assert await parsed.command.run(config, parsed.options) == 1
    assert f"{did}: not fetched (no_room)" in capsys.readouterr().out
