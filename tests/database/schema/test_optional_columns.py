"""Columns that an existing database's tables may lack: left out there, gained by tables of our own, filled where they are."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from testing.application_schema import TABLES
from testing.commits import POST, Stream, delete, did, post, put
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.garbage import POST_GATE, THREAD_GATE
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import OWN_SCHEMA, OWN_VERSION
from unified_indexer.errors import OperatorError
from unified_indexer.records import RECORD_TYPES

ROOT = f"at://{did('a')}/{POST}/1"
FOLLOWERS = {"$type": f"{THREAD_GATE}#followerRule"}
LABELS = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "spoiler"}]}
HIDDEN, DETACHED = [f"at://{did('b')}/{POST}/2"], [f"at://{did('c')}/{POST}/3"]
OPTIONAL = [
    (record_type.table, column.name) for record_type in RECORD_TYPES for column in record_type.columns if column.optional
]
ADDED = """
ALTER TABLE thread_gates ADD allow_followers boolean NOT NULL DEFAULT false, ADD hidden_replies jsonb;
ALTER TABLE post_gates ADD detached_embedding_uris jsonb;
ALTER TABLE posts ADD self_labels jsonb;
"""
KEPT = "SELECT table_name, key, column_name, value FROM unified_worker.kept_values"


def gate(**fields: Any) -> dict[str, Any]:
    return {"$type": THREAD_GATE, "post": ROOT, **fields}


def records() -> list[Any]:
    """A post, its gates, each with all fields."""
    return [
        put(f"{POST}/1", post("one", labels=LABELS)),
        put(f"{THREAD_GATE}/1", gate(allow=[], hiddenReplies=HIDDEN)),
        put(f"{POST_GATE}/1", {"$type": POST_GATE, "post": ROOT, "detachedEmbeddingUris": DETACHED}),
    ]


async def kept(worker: Worker) -> list[Any]:
    """The fields as the tables have them."""
    queries = (
        "SELECT self_labels FROM posts",
        "SELECT hidden_replies FROM thread_gates",
        "SELECT detached_embedding_uris FROM post_gates",
    )
    found = [await worker.value(query) for query in queries]
    return [value if value is None else json.loads(value) for value in found]


async def has(worker: Worker, columns: Sequence[tuple[str, str]]) -> list[bool]:
    query = "SELECT count(*) > 0 FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2 AND NOT attisdropped"
    return [await worker.value(query, table, name) for table, name in columns]


async def test_tables_of_our_own_keep_these_fields(worker: Worker) -> None:
    stream = Stream()
    assert await worker.write(stream.commit("a", *records())) == ["applied"]
    assert await kept(worker) == [LABELS, HIDDEN, DETACHED]
    bare = [put(f"{POST}/1", post("one"), "update"), put(f"{THREAD_GATE}/1", gate(), "update")]
    assert await worker.write(stream.commit("a", *bare)) == ["applied"]
    assert await kept(worker) == [None, None, DETACHED]


async def test_what_is_no_such_field_is_left_out(worker: Worker) -> None:
    ops = [
        put(f"{POST}/1", post("one", labels=["spoiler"])),
        put(f"{THREAD_GATE}/1", gate(hiddenReplies=[*HIDDEN, 5, None, {"uri": ROOT}])),
        put(f"{POST_GATE}/1", {"$type": POST_GATE, "post": ROOT, "detachedEmbeddingUris": "all"}),
    ]
    assert await worker.write(Stream().commit("a", *ops)) == ["applied"]
    assert await kept(worker) == [None, HIDDEN, None]
    assert await worker.letters() == []


async def test_an_application_without_the_columns_does_without(application: str) -> None:
    async with opened(application) as worker:
        stream = Stream()
        assert await worker.write(stream.commit("a", *records())) == ["applied"]
        update = [put(f"{POST}/1", post("two", labels=LABELS), "update"), put(f"{THREAD_GATE}/1", gate(allow=[]), "update")]
        assert await worker.write(stream.commit("a", *update)) == ["applied"]
        assert await worker.letters() == []
        assert await worker.value("SELECT text FROM posts") == "two"
        assert await has(worker, OPTIONAL) == [False] * len(OPTIONAL)


async def test_an_application_with_the_columns_has_them_filled(application: str) -> None:
    async with connected(application) as connection:
        await connection.execute(ADDED)
    async with opened(application) as worker:
        assert await worker.write(Stream().commit("a", *records())) == ["applied"]
        assert await kept(worker) == [LABELS, HIDDEN, DETACHED]
        assert await worker.connection.fetch(KEPT) == []


async def test_a_column_that_is_there_is_checked_like_any_other(application: str) -> None:
    async with connected(application) as connection:
        await connection.execute("ALTER TABLE posts ADD self_labels boolean")
    with pytest.raises(OperatorError) as caught:
        async with opened(application):
            pass
    assert ["posts.self_labels does not take a value of type jsonb" in fault for fault in caught.value.faults] == [True]


async def test_a_column_that_refuses_null_is_told_at_start(application: str) -> None:
    """Else each post without labels would become a dead letter."""
    async with connected(application) as connection:
        await connection.execute("ALTER TABLE posts ADD self_labels jsonb NOT NULL DEFAULT '{}'")
        await connection.execute("ALTER TABLE thread_gates ADD allow_followers boolean NOT NULL DEFAULT false")
    with pytest.raises(OperatorError) as caught:
        async with opened(application):
            pass
    assert ["posts.self_labels is NOT NULL" in fault for fault in caught.value.faults] == [True]


async def test_tables_of_an_earlier_version_gain_the_columns(database: str) -> None:
    stream = Stream()
    async with opened(database) as worker:  # then, what was written before the columns were there
        await worker.write(stream.commit("a", *records()))
    async with connected(database) as connection:
        for table, name in OPTIONAL:
            await connection.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        await connection.execute(f"DROP SCHEMA unified_worker CASCADE; {OWN_SCHEMA}; {OWN_VERSION}")
        for number, step in enumerate(MIGRATIONS[:3], 1):
            await connection.execute(step)
            await connection.execute("INSERT INTO unified_worker.schema_version VALUES ($1, now(), 'worker', 'public')", number)
    async with opened(database) as worker:
        assert await has(worker, OPTIONAL) == [True] * len(OPTIONAL)
        assert await kept(worker) == [None, None, None]
        assert await worker.value("SELECT allow_followers FROM thread_gates") is False
        assert await worker.write(stream.commit("a", *records())) == ["applied"]
        assert await kept(worker) == [LABELS, HIDDEN, DETACHED]


async def follows_gate(worker: Worker) -> bool:
    """What the gates' judge reads."""
    return await worker.value("SELECT unified_worker.thread_gates_allow_followers($1)", ROOT)


async def test_what_a_judgement_needs_is_read_alike_wherever_it_is(both_worker: Worker) -> None:
    worker, stream = both_worker, Stream()
    assert await follows_gate(worker) is False
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", gate(allow=[FOLLOWERS]))))
    assert await follows_gate(worker) is True
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", gate(allow=[]), "update")))
    assert await follows_gate(worker) is False
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", gate(allow=[FOLLOWERS]), "update")))
    await worker.write(stream.commit("a", delete(f"{THREAD_GATE}/1")))
    assert await follows_gate(worker) is False
    assert await worker.connection.fetch(KEPT) == []


async def test_what_was_kept_moves_into_the_column_that_an_application_adds(application: str) -> None:
    async with opened(application) as worker:
        await worker.write(Stream().commit("a", put(f"{THREAD_GATE}/1", gate(allow=[FOLLOWERS]))))
        assert [tuple(row) for row in await worker.connection.fetch(KEPT)] == [
            ("thread_gates", ROOT, "allow_followers", "true")
        ]
        await worker.connection.execute(ADDED)
    async with opened(application) as worker:
        assert await worker.value("SELECT allow_followers FROM thread_gates") is True
        assert await worker.connection.fetch(KEPT) == []
        assert await follows_gate(worker) is True


def test_no_type_with_a_unique_key_has_a_needed_column() -> None:
    assert [
        record_type for record_type in RECORD_TYPES if record_type.unique and any(c.needed for c in record_type.columns)
    ] == []


def test_the_application_of_the_tests_lacks_them() -> None:
    assert [name for _, name in OPTIONAL if name in TABLES] == []
