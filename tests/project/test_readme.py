"""What the README says is true: settings, record types, the example of a new record type, the monitoring queries."""

import re
from pathlib import Path

import asyncpg
import pytest

from indexer.config.settings import SETTINGS
from indexer.records import RECORD_TYPES
from indexer.records.base.record_type import EVERY_OTHER
from testing.commits import Stream, delete, did, like, post, put
from testing.database_side import opened
from testing.documents import blocks, log_lines, read, said
from testing.new_type import run, with_file

README = read("README.md")


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


async def test_the_example_of_a_record_type_works(database: str, tmp_path: Path) -> None:
    """As one more file: its rows and what follows from them; the check finds nothing, and the rebuild changes nothing."""
    (code,) = blocks(README, "python")
    collection, stream = "com.example.feed.clap", Stream()
    async with opened(database) as worker:
        await worker.write(stream.commit("a", put("app.bsky.feed.post/1", post())))
    with_file(tmp_path, "clap.py", code)
    of, path = f"at://{did('a')}/app.bsky.feed.post/1", f"{collection}/1"
    clap = {**like(of), "$type": collection, "volume": "loud"}
    steps = run(
        tmp_path,
        database,
        [
            "SELECT user_did, post_uri, volume FROM claps",
            "SELECT post_uri, like_count FROM post_aggregations",
            "SELECT recipient_did, author_did, reason, reason_subject FROM notifications",
        ],
        stream.frame("b", put(path, clap)),
        stream.frame("c", put(path, clap)),
        stream.frame("c", delete(path)),
        stream.frame("b", delete(path)),
    )
    rows = [[did(name), of, "loud"] for name in "bc"]
    told = [[did("a"), did(name), "clap", of] for name in "bc"]
    assert steps == [
        [["applied"], rows[:1], [[of, 1]], told[:1]],
        [["applied"], rows, [[of, 2]], told],
        [["applied"], rows[:1], [[of, 1]], told[:1]],
        [["applied"], [], [], []],
    ]


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
