"""What README and the pages behind it say is true: settings, record types, the example of one, the queries, log lines."""

import re
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest

from testing.commits import Stream, delete, did, like, post, put
from testing.database_side import opened
from testing.documents import blocks, log_lines, read, said, statements
from testing.new_type import run, with_file
from unified_indexer.command_line.cli import tree
from unified_indexer.config.settings import SETTINGS, Setting
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import EVERY_OTHER

README = read("README.md")
ADDING = read("docs/adding-a-record-type.md")
TROUBLESHOOTING = read("docs/troubleshooting.md")
MONITORING = read("docs/operations.md").partition("### Queries")[2].partition("\n## ")[0]
QUERIES = [query for page in (MONITORING, TROUBLESHOOTING, ADDING) for sql in blocks(page, "sql") for query in statements(sql)]
MOST_LINES = 180


def test_it_stays_a_front_page() -> None:
    assert README.count("\n") <= MOST_LINES
    first_screen = README.partition("## ")[0]
    assert "(docs/live-page.png)" in first_screen
    assert "What it does not do yet" in first_screen


def test_its_promises_are_numbered_one_by_one() -> None:
    numbers = [int(number) for number in re.findall(r"^(\d)\. \*\*", README.partition("## Promises")[2], re.MULTILINE)]
    assert len(numbers) >= 6
    assert all(after == before + 1 for before, after in pairwise([0, *numbers]))


def test_it_promises_no_more_proof_than_the_defaults_give() -> None:
    """With VERIFY_UNPROVEN=apply an account's first commits are applied before anybody has asked for its key."""
    assert {setting.name: setting.default for setting in SETTINGS}["VERIFY_UNPROVEN"] == "apply"
    proof = next(line for line in README.splitlines() if line.startswith("- **Proof**"))
    promise = README.partition("7. **Nothing forged.**")[2].partition("\n\n")[0]
    compared = next(line for line in read("docs/compared.md").splitlines() if line.startswith("- **This worker**"))
    page = read("unified_indexer/monitoring/http/page/parts.js")
    levels = re.findall(r'^  (?:full|signatures): "(.*)",$', page, re.MULTILINE)
    assert len(levels) == 2
    for claim in (proof, promise, compared, *levels):
        assert re.search(r"key is not known", claim), claim


def test_every_setting_is_in_the_table_with_its_default() -> None:
    def row(setting: Setting) -> str:
        default = f"`{setting.default}`" if setting.default else ""
        return f"| `{setting.name}` | {default} | {setting.meaning} |"

    rows = [row(setting) for setting in SETTINGS]
    table = read("docs/settings.md").partition("|---|---|---|\n")[2]
    assert table.splitlines()[: len(rows)] == rows
    main = README.partition("## Settings")[2].partition("|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert len(main) >= 10
    assert [line for line in rows if line in main] == main


def test_what_changed_names_every_schema_step_and_each_table_that_is_divided() -> None:
    newest = re.split(r"^## ", read("CHANGELOG.md"), flags=re.MULTILINE)[1]
    _, last = re.findall(r"The schema changes \(steps (\d+) to (\d+)\)", newest)[0]
    assert int(last) == len(MIGRATIONS)
    divided = next(line for line in newest.splitlines() if line.startswith("- `--partitions N`"))
    offered = tree()[0][""].format_help().rpartition("--partitions N")[2]
    for table in (record_type.table for record_type in RECORD_TYPES if record_type.divisible):
        assert re.search(rf"\b{table}\b", divided), table
        assert re.search(rf"\b{table}\b", offered), table


def test_every_record_type_is_in_the_table() -> None:
    rows = set(re.findall(r"^\| (?:`([a-z.A-Z]+)`|every other collection) \| `([a-z_]+)` \|$", README, re.MULTILINE))
    assert rows == {
        ("" if record_type.collection == EVERY_OTHER else record_type.collection, record_type.table)
        for record_type in RECORD_TYPES
    }


def test_every_log_line_that_it_explains_is_one() -> None:
    table = TROUBLESHOOTING.partition("## By the log line")[2].partition("## By what you see")[0]
    lines = [line for line in log_lines(table, 0) if line.rstrip(" …") != "DATABASE_URL"]
    assert len(lines) == len(set(lines))
    assert len(lines) >= 10
    assert [line for line in lines if not said(line)] == []


@pytest.mark.long
async def test_the_example_of_a_record_type_works(database: str, tmp_path: Path) -> None:
    """As one more file: its rows and what follows from them; the check finds nothing, and the rebuild changes nothing."""
    (code,) = blocks(ADDING, "python")
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


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.strip()[:40])
async def test_the_monitoring_queries_run(database: str, query: str) -> None:
    async with opened(database) as worker:
        statement = await worker.connection.prepare(query)
        assert isinstance(await statement.fetch(), list)


def test_there_are_queries_of_each_page() -> None:
    assert len(QUERIES) >= 10


async def test_its_application_name_is_found_as_the_queries_say(database: str) -> None:
    async with opened(database):
        connection = await asyncpg.connect(database)
        found = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%python%'")
        await connection.close()
    assert found >= 1
