"""`schema` prints what a start makes, and asks no database; `psql` opens one, and nobody sees its password."""

from pathlib import Path

import pytest

from testing.application_schema import CATALOG
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.processes import Process
from tests.command_line.test_letter_commands import Commands
from tests.conftest import fresh
from unified_indexer.command_line import cli
from unified_indexer.config.settings import Config
from unified_indexer.embedded import programs
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import OperatorError

EVERYTHING = CATALOG.replace(
    "'public'::regnamespace", "ANY (ARRAY['public', 'unified_worker', 'unified_views']::regnamespace[])"
)
SECRET = "hunter2geheim"


@pytest.fixture
def run(worker: Worker, capfdbinary: pytest.CaptureFixture[bytes]) -> Commands:
    return Commands(worker, capfdbinary)


async def test_what_schema_prints_makes_what_a_start_makes(worker: Worker, run: Commands, pg18: PostgresServer) -> None:
    """In an empty database; and a start on that finds all of it."""
    printed = await run("schema", "--functions")
    made = await worker.column(EVERYTHING)
    tables = await run("schema")
    assert printed.startswith(tables.rstrip())
    assert "CREATE OR REPLACE" not in tables
    async for url in fresh(pg18):
        async with connected(url) as connection:
            await connection.execute(printed)
            assert [row[0] for row in await connection.fetch(EVERYTHING)] == made
        async with opened(url) as started:
            assert await started.column(EVERYTHING) == made
            assert await started.value("SELECT min(tables_by) FROM unified_worker.schema_version") == "worker"


async def test_schema_needs_no_database(tmp_path: Path) -> None:
    async with Process(tmp_path, "schema", "--diagram") as process:
        assert await process.ends() == 0
    assert process.output.startswith("erDiagram\n")


SHOWN = r"""
\getenv password PGPASSWORD
\echo :password
\! tr '\0' ' ' < /proc/$PPID/cmdline
"""


async def test_psql_opens_the_database_and_hides_the_password(
    worker: Worker, run: Commands, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    asked = ("psql", "--", "-XAt")
    assert (await run(*asked, "-c", "SELECT current_database()")).strip() == await worker.value("SELECT current_database()")
    assert await run(*asked, "-c", "SELECT 1/0", code=1) == ""
    url = worker.pool.url.replace("//unified@", f"//unified:{SECRET}@")
    assert SECRET in url
    parsed = cli.parse([*asked, *(part for line in SHOWN.strip().splitlines() for part in ("-c", line))])
    assert parsed.command is not None
    assert await parsed.command.run(Config.from_env({"DATABASE_URL": url}), parsed.options) == 0
    password, line = capfdbinary.readouterr().out.decode().splitlines()
    assert password == SECRET
    assert "psql -XAt" in line
    assert SECRET not in line.partition("-c")[0]


async def test_without_psql_the_remedy_is_said(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package alone, the one of the PATH serves an embedded server too."""
    monkeypatch.setattr(programs, "PACKAGE", "no_such_package")
    assert (await run("psql", "--embedded", "--", "-XAtc", "SELECT 1")).strip() == "1"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OperatorError) as caught:
        await run("psql")
    assert "apt-get install postgresql-client" in caught.value.faults[0]
