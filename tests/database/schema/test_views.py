"""The views for readers give what the page's queries give, by an index, and are in nobody's way."""

import json
import logging
import re
from collections.abc import Collection

import pytest

from testing.database_side import Worker, opened
from testing.databases import connected
from testing.documents import blocks, read, statements
from testing.first_queries import write_story
from unified_indexer.database.schema.views import NAMES
from unified_indexer.database.schema.views import statements as made
from unified_indexer.records import RECORD_TYPES

PAGE = read("docs/queries.md")
SECTIONS = {title: text for title, _, text in (part.partition("\n") for part in PAGE.split("\n## ")[2:])}
EXAMPLES = statements(blocks(SECTIONS["Views"], "sql")[0])
# The queries of the page that a view says shorter.
SAME = {
    "author_feed": "Posts of a DID",
    "timeline": "Timeline of a DID",
    "thread": "Thread of a post",
    "inbox": "Notifications of a DID",
}
SHAPES = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET timezone TO 'UTC'"
THREAD_FOR_ALL = "SELECT split_part(uri, '/', 5) FROM unified_views.thread('at://did:plc:bob/app.bsky.feed.post/question')"
FUNCTIONS = "SELECT oid::regproc::text FROM pg_proc WHERE pronamespace = to_regnamespace('unified_views') ORDER BY 1"
LATER = "SELECT * FROM unified_views.timeline('did:plc:alice', before => '2026-07-01 12:00', most => 2)"


def example_of(name: str) -> str:
    """The page's first example of a view."""
    return next(example for example in EXAMPLES if re.search(rf"unified_views\.{name}\b", example))


async def reads_whole(worker: Worker, query: str) -> set[str]:
    """What its plan reads without an index, or all of an index; and functions that stay calls."""
    plan: str = await worker.value(f"EXPLAIN (FORMAT JSON) {query}")
    found, steps = set[str](), [json.loads(plan)[0]["Plan"]]
    while steps:
        step = steps.pop()
        steps += step.get("Plans", [])
        if step["Node Type"] in ("Seq Scan", "Function Scan") or ("Index Name" in step and "Index Cond" not in step):
            found.add(step.get("Relation Name") or step.get("Function Name") or step["Index Name"])
    return found


async def test_views_give_what_the_page_says_by_an_index(both_worker: Worker) -> None:
    await write_story(both_worker)
    connection, ours = both_worker.connection, await both_worker.value("SELECT to_regclass('idx_users_handle') IS NULL")
    await connection.execute(SHAPES)
    for name, title in SAME.items():
        query = statements(blocks(SECTIONS[title], "sql")[0])[0]
        wanted = [tuple(row) for row in await connection.fetch(query)]
        found = [tuple(row)[: len(wanted[0])] for row in await connection.fetch(example_of(name))]
        assert found == wanted, name
    for example in EXAMPLES:
        assert await reads_whole(both_worker, example) <= (set() if ours else {"notifications", "list_blocks", "blocks"}), (
            example
        )
    (post,) = await connection.fetch(example_of("active_posts"))
    assert tuple(post)[1:] == ("Whose tree?", 3, 3)
    assert tuple(await connection.fetchrow(example_of("profiles")) or ()) == ("did:plc:bob", None, 1)
    assert {row["did"][8:] for row in await connection.fetch(EXAMPLES[-1])} == {"eve", "mallory"}
    seen = {"question", "answer", "thanks", "listed", *(() if ours else ("rude",))}  # mallory's reply too: nobody is asking
    assert set(await both_worker.column(THREAD_FOR_ALL)) == seen
    assert len(await both_worker.column(LATER)) == 2
    hidden = "SELECT count(*) FROM unified_views.{} WHERE {} IN ('did:plc:dave', 'did:plc:frank')"
    assert await both_worker.value(hidden.format("profiles", "did")) == 1, "of frank alone, who is active"
    assert await both_worker.value(hidden.format("active_posts", "author_did")) == 0
    forbidden = "SELECT count(*) FROM unified_views.active_posts WHERE text = 'quoted' AND embed IS NULL"
    assert await both_worker.value(forbidden) == 1, "a quote that its post's gate forbids"


async def test_nobody_who_alters_a_table_meets_a_view(database: str) -> None:
    async with opened(database) as worker:
        await write_story(worker)
        await worker.connection.execute("SET timezone TO 'UTC'")
        before = await worker.connection.fetch(LATER)
        for statement in (
            "posts ALTER text TYPE varchar",
            "posts DROP langs",
            "users DROP banner_url",
            "feed_items ALTER sort_at TYPE timestamp",
        ):
            await worker.connection.execute(f"ALTER TABLE {statement}")
        await worker.connection.execute("ALTER TABLE posts ADD langs jsonb; ALTER TABLE users ADD banner_url text")
    async with opened(database) as worker:
        assert await worker.value("SELECT pg_typeof(sort_at)::text FROM unified_views.timeline('did:plc:alice') LIMIT 1") == (
            "timestamp without time zone"
        )
        assert [row["uri"] for row in await worker.connection.fetch(LATER)] == [row["uri"] for row in before]


CHANGES = (
    "ALTER FUNCTION unified_views.thread VOLATILE; DROP FUNCTION unified_views.hidden;"
    "CREATE FUNCTION unified_views.of_another_version() RETURNS text LANGUAGE sql AS 'SELECT 1::text';"
    "DROP VIEW unified_views.profiles; CREATE VIEW unified_views.profiles AS SELECT 1 AS other",
    "DROP SCHEMA unified_views CASCADE",
)


async def test_a_start_puts_them_right_and_otherwise_leaves_them(database: str) -> None:
    written = "SELECT oid::text || xmin::text FROM pg_proc WHERE pronamespace = 'unified_views'::regnamespace"
    async with opened(database) as worker:
        before = await worker.column(written)
    async with opened(database) as worker:
        assert await worker.column(written) == before
    for change in CHANGES:
        async with connected(database) as connection:
            await connection.execute(change)
        async with opened(database) as worker:
            assert await worker.column(FUNCTIONS) == sorted(f"unified_views.{name}" for name in NAMES), change
            assert await worker.value("SELECT count(followers) FROM unified_views.profiles") == 0
            assert not await worker.value("SELECT bool_or(provolatile = 'v') FROM pg_proc WHERE proname = 'thread'")


OTHER = "CREATE FUNCTION unified_views.hidden(text) RETURNS TABLE (did integer) LANGUAGE sql AS 'SELECT 1'"


@pytest.mark.long
async def test_what_is_in_their_way_is_said_and_stops_nothing(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody's own view on ours, first as it is replaced, then as it must be dropped; and a reader that does not end."""
    mine = "CREATE SCHEMA mine; CREATE VIEW mine.posts AS SELECT uri, text FROM unified_views.active_posts"
    async with opened(database) as worker:
        await worker.connection.execute(f"{mine}; ALTER FUNCTION unified_views.thread VOLATILE")
    caplog.clear()
    async with opened(database) as worker:
        assert not await worker.value("SELECT bool_or(provolatile = 'v') FROM pg_proc WHERE proname = 'thread'")
        assert logged(caplog) == []
        await worker.connection.execute(f"DROP FUNCTION unified_views.hidden; {OTHER}")
    async with opened(database) as worker:
        (fault,) = logged(caplog)
        assert "drop what was made of them" in fault
        assert "view mine.posts depends on" in fault
        assert "\n" not in fault
        assert await worker.value("SELECT count(*) FROM mine.posts") == 0
        await worker.connection.execute("DROP SCHEMA mine CASCADE")
    caplog.clear()
    async with connected(database) as reader, reader.transaction():
        await reader.fetch("SELECT FROM unified_views.active_posts")
        async with opened(database) as worker:
            assert [fault for fault in logged(caplog) if "lock timeout" in fault]
    caplog.clear()
    async with opened(database) as worker:
        assert logged(caplog) == []


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def names_made(tables: Collection[str]) -> list[str]:
    """What is made where only these tables have a type."""
    types = [record_type for record_type in RECORD_TYPES if record_type.table in tables]
    return re.findall(r"FUNCTION unified_views\.(\w+)", "\n".join(made("public", '"C"', types)))


def test_what_needs_a_table_that_is_not_there_is_left_out() -> None:
    assert names_made([record_type.table for record_type in RECORD_TYPES]) == list(NAMES)
    assert names_made({"posts", "users", "likes", "follows"}) == ["active_posts", "profiles", "author_feed"]
    assert names_made({"users"}) == []
