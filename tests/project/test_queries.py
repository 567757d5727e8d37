"""The queries of docs/queries.md give what they say on both kinds of tables, hide what they say, and find rows by an index."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from testing.database_side import Worker
from testing.documents import blocks, read, statements
from testing.first_queries import write_story

PAGE = read("docs/queries.md")
SECTIONS = {title: text for title, _, text in (part.partition("\n") for part in PAGE.split("\n## ")[3:])}
QUERIES = {title: statements(blocks(text, "sql")[0])[0] for title, text in SECTIONS.items()}
# Without times. Where a table lacks `hidden_replies`, the thread has one reply more.
EXPECTED: dict[str, list[Any]] = {
    "Posts of a DID": [
        ("post", "alice/guarded", "alice", "Do not quote"),
        ("reply", "alice/answer", "alice", "Mine"),
    ],
    "Timeline of a DID": [
        ("post", "carol", "carol/hello", "carol", "Hello"),
        ("post", "carol", "carol/quote", "carol", "quoted"),
        ("post", "alice", "alice/guarded", "alice", "Do not quote"),
        ("reply", "carol", "carol/below", "carol", "below what is hidden"),
        ("reply", "carol", "carol/rude", "carol", "rude"),
        ("reply", "carol", "carol/thanks", "carol", "A fine tree"),
        ("reply", "alice", "alice/answer", "alice", "Mine"),
        ("post", "bob", "bob/question", "bob", "Whose tree?"),
        ("repost", "carol", "bob/question", "bob", "Whose tree?"),
        ("post", "carol", "carol/yesterday", "carol", "tree house"),
    ],
    "Thread of a post": [
        (0, "bob/question", None, "bob", "Whose tree?"),
        (1, "alice/answer", "bob/question", "alice", "Mine"),
        (2, "carol/thanks", "alice/answer", "carol", "A fine tree"),
    ],
    "Top posts of a day": [
        ("bob/question", "bob", "Whose tree?", 3, 2, 3),
        ("alice/answer", "alice", "Mine", 2, 0, 4),
        ("alice/guarded", "alice", "Do not quote", 0, 0, 0),
        ("carol/thanks", "carol", "A fine tree", 0, 0, 1),
        ("eve/blocking", "eve", "no", 0, 1, 1),
    ],
    "Who follows whom": [
        ("frank", "handle.invalid", None, False),
        ("bob", "bob.test", None, True),
    ],
    "Notifications of a DID": [
        ("like", "carol", "alice/answer", False),
        ("mention", "carol", "carol/hello", False),
        ("reply", "carol", "carol/thanks", False),
        ("follow", "frank", None, False),
        ("follow", "bob", None, False),
    ],
    "Posts by hashtag": [
        ("carol/hello", "carol", "Hello"),
        ("bob/question", "bob", "Whose tree?"),
    ],
    "Search": [
        ("carol/thanks", "carol", "A fine tree"),
        ("bob/question", "bob", "Whose tree?"),
    ],
    "Accounts by status": [
        (True, "no status", 7),
        (False, "suspended", 1),
        (False, "takendown", 1),
    ],
    "Growth": [
        ("posts", 5, None, 9000, None),
        ("likes", 30, 20, 3000, 2000),
    ],
    "What was refused": [
        ("missing_field", 2, 1),
        ("wrong_type", 1, 1),
    ],
}
HIDDEN_REPLY = (1, "carol/rude", "bob/question", "carol", "rude")
TOP = "Top posts of a day"  # it also has posts without a like, in the order of their URIs: the first five are enough here
QUESTION = "did:plc:bob/app.bsky.feed.post/question"
NOT_SHOWN = [f"did:plc:{place}" for place in ("frank/app.bsky.feed.post/intruder", "dave/app.bsky.feed.post/inactive")]
NOT_SHOWN.append("did:plc:eve/app.bsky.feed.post/blocking")
# What hides a row: each alone, wherever it stands in a query. Of NOT EXISTS it is the beginning.
HIDES = re.compile(r"NOT p\.violates_thread_gate|[pfn]\.\w+_did NOT IN \(SELECT did FROM hidden\)|NOT EXISTS \(")
# Small beside the records, and read whole; `repos` where all accounts are counted.
BOOKKEEPING = {"sizes", "dead_letters"}
READ_WHOLE = {"Accounts by status": {"repos"}}
SHAPES = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
INDEXES = """
SELECT c.relname AS name, t.relname AS table, a.attname AS leading,
  t.relname || ' (' || substring(pg_get_indexdef(c.oid) FROM '\\((.*)\\)') || ')' AS shown
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
"""


def short(value: Any) -> Any:
    """A DID by its last word, a record's URI as did/rkey."""
    if not isinstance(value, str):
        return value
    return re.sub(r"at://did:plc:(\w+)/[\w.]+/(\w+)", r"\1/\2", value).replace("did:plc:", "")


async def answer(worker: Worker, query: str) -> list[tuple[Any, ...]]:
    """The rows, without times."""
    found = await worker.connection.fetch(query)
    return [tuple(short(value) for value in row.values() if not isinstance(value, datetime)) for row in found]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plan's steps, itself first."""
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


def without_each(query: str) -> Iterator[str]:
    """The query without one of its conditions that hide something, each in turn."""
    for found in HIDES.finditer(query):
        end = found.end()
        depth = query.count("(", found.start(), end) - query.count(")", found.start(), end)
        while depth:
            depth += {"(": 1, ")": -1}.get(query[end], 0)
            end += 1
        yield f"{query[: found.start()]}true{query[end:]}"


async def scans(worker: Worker, query: str) -> list[dict[str, Any]]:
    """The steps of its plan that read a table or an index. A bitmap's index is a step of its own."""
    plan: str = await worker.value(f"EXPLAIN (FORMAT JSON) {query}")
    kinds = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan")
    return [node for node in nodes(json.loads(plan)[0]["Plan"]) if node["Node Type"] in kinds]


async def answers(worker: Worker, query: str) -> list[list[tuple[Any, ...]]]:
    """The answer, and those for posts that are not shown, where the query begins at a post."""
    starts = [query.replace(QUESTION, start) for start in NOT_SHOWN] if QUESTION in query else []
    return [await answer(worker, each) for each in (query, *starts)]


def test_every_query_has_what_a_section_has() -> None:
    """A sentence on what it gives, a line on its indexes, the query; and each is tried below."""
    assert EXPECTED.keys() == SECTIONS.keys()
    for text in SECTIONS.values():
        assert re.match(r"\n[A-Z].*\.\n(?:.+\n)*\nIndexes: [^.]*(?:\.sizes[^.]*|\.dead_letters[^.]*)?\.\n\n```sql\n", text), (
            text
        )


@pytest.mark.parametrize("title", QUERIES)
async def test_a_query_gives_what_the_story_says(both_worker: Worker, title: str) -> None:
    await write_story(both_worker)
    query = QUERIES[title]
    found, *empty = await answers(both_worker, query)
    assert not any(empty)
    gate_hides = await both_worker.value("SELECT count(*) FROM thread_gates AS g WHERE to_jsonb(g) ? 'hidden_replies'")
    if title == "Thread of a post" and not gate_hides:
        assert HIDDEN_REPLY in found
        found.remove(HIDDEN_REPLY)
    assert found[: 5 if title == TOP else None] == EXPECTED[title]


async def test_every_condition_hides_something(worker: Worker) -> None:
    """Each alone is taken away, and the answer is another."""
    await write_story(worker)
    tried = 0
    for title, query in QUERIES.items():
        right = await answers(worker, query)
        for without in without_each(query):
            assert await answers(worker, without) != right, (title, without)
            tried += 1
    assert tried == 24


def named_indexes(title: str) -> set[str]:
    """The indexes that the page names for a query."""
    line = SECTIONS[title].partition("Indexes:")[2].partition("```")[0]
    return set(re.findall(r"`([a-z_]+ \([^`]+\))`", line))


@pytest.mark.parametrize("title", QUERIES)
async def test_a_query_finds_its_rows_by_the_indexes_that_the_page_names(worker: Worker, title: str) -> None:
    await write_story(worker)
    await worker.connection.execute(SHAPES)
    indexes = {row["name"]: row for row in await worker.connection.fetch(INDEXES)}
    used: set[str] = set()
    for node in await scans(worker, QUERIES[title]):
        index = indexes.get(node.get("Index Name", ""))
        table = index["table"] if index else node["Relation Name"]
        if table in BOOKKEEPING | READ_WHOLE.get(title, set()):
            continue
        assert index is not None, f"{table} is read whole"
        assert re.search(rf"\b{index['leading']}\b", node.get("Index Cond", "")), f"{index['shown']} is read whole"
        used.add(index["shown"])
    assert used == named_indexes(title)


async def test_an_index_on_tags_serves_the_hashtags(worker: Worker) -> None:
    """The page's statement makes it, and the query without its line on the time uses it."""
    await write_story(worker)
    title = "Posts by hashtag"
    (create,) = statements(blocks(SECTIONS[title], "sql")[1])
    await worker.connection.execute(create)
    query = re.sub(r"\n.*created_at >=.*", "", QUERIES[title])
    await worker.connection.execute(SHAPES)
    assert "posts_tags_idx" in {node.get("Index Name") for node in await scans(worker, query)}
    assert await answer(worker, query) == [*EXPECTED[title], ("carol/yesterday", "carol", "tree house")]
