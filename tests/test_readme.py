"""What the README says is true: settings, record types, the example of a new record type, the monitoring queries."""

import re
import types

import asyncpg
import pytest

from indexer.config import SETTINGS
from indexer.database import sql, tables
from indexer.record_type import EVERY_OTHER, Place, RecordType, Row
from indexer.records import RECORD_TYPES
from tests.database.worker import opened
from tests.documents import blocks, log_lines, read, said

README = read("README.md")


def example() -> RecordType:
    """The record type that "Adding a record type" shows."""
    (code,) = blocks(README, "python")
    module = types.ModuleType("status")
    exec(code, module.__dict__)  # noqa: S102 -- the README's own code
    return module.__dict__["RECORD"]


def test_every_setting_is_in_the_table_with_its_default() -> None:
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else ""
        assert f"| `{setting.name}` | {default} | {setting.meaning} |" in README


def test_every_record_type_is_in_the_table() -> None:
    rows = set(re.findall(r"^\| (?:`([a-z.A-Z]+)`|every other collection) \| `([a-z_]+)` \|$", README, re.MULTILINE))
    assert rows == {
        ("" if record_type.collection == EVERY_OTHER else record_type.collection, record_type.table)
        for record_type in RECORD_TYPES
    }


def test_every_log_line_that_it_explains_is_one() -> None:
    table = README.partition("## Troubleshooting")[2].partition("## FAQ")[0]
    lines = [line for line in log_lines(table, 0) if line.rstrip(" …") != "DATABASE_URL"]
    assert len(lines) >= 10
    assert [line for line in lines if not said(line)] == []


async def test_the_example_of_a_record_type_works(database: str) -> None:
    status = example()
    at = Place("did:plc:x", "self", "at://did:plc:x/app.bsky.actor.status/self")
    assert status.row({"status": "live", "createdAt": "no date"}, at) == Row(
        None, None, None, {"status": "live", "embed": None}
    )
    record_types = tuple(sorted((*RECORD_TYPES, status), key=lambda record_type: record_type.collection))
    async with opened(database) as worker:
        for statement in (*tables.create("public", record_types), *sql.functions("public", record_types)):
            await worker.connection.execute(statement)
        assert await worker.value("SELECT count(*) FROM statuses") == 0


@pytest.mark.parametrize("query", blocks(README, "sql")[0].split(";\n"), ids=lambda query: query.strip()[:40])
async def test_the_monitoring_queries_run(database: str, query: str) -> None:
    async with opened(database) as worker:
        statement = await worker.connection.prepare(query) if query.strip() else None
        if statement is not None:
            assert isinstance(await statement.fetch(), list)


async def test_its_application_name_is_found_as_the_readme_says(database: str) -> None:
    async with opened(database):
        connection = await asyncpg.connect(database)
        found = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%python%'")
        await connection.close()
    assert found >= 1
