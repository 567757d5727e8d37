"""The tables that an empty database gets are the application's: its columns, in types that cost it nothing, and its indexes.

What the application's tables are is said by application.py, which another test compares with the page that lists them.
"""

from typing import NamedTuple

import pytest

from testing.application_schema import TABLES
from testing.database_side import opened
from testing.databases import connected

BETTER = {"varchar": "text", "timestamp": "timestamptz"}
# An index is not made where a unique one begins alike, or where it would tell three values apart.
LEFT_OUT = {("feed_items", "type")}
APPLICATION_ONLY = {
    ("user_settings", name) for name in ("theme", "blocked_keywords", "muted_users", "created_at", "updated_at")
}
# What records say beyond that, kept where the tables are ours (the page's last section).
OPTIONAL = {
    ("posts", "self_labels"),
    ("thread_gates", "allow_followers"),
    ("thread_gates", "hidden_replies"),
    ("post_gates", "detached_embedding_uris"),
}
COLUMNS = """
SELECT c.relname AS table, a.attname AS name, t.typname AS type, a.attnotnull AS needed,
  regexp_replace(coalesce(pg_get_expr(d.adbin, d.adrelid), ''), '::.*', '') AS default
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
"""
INDEXES = """
SELECT c.relname AS table, i.indisunique AS unique, substring(pg_get_indexdef(i.indexrelid) FROM '\\((.*)\\)') AS keys
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace
"""


class Schema(NamedTuple):
    """(table, column) -> (type, NOT NULL, default); (table, unique, key columns)."""

    columns: dict[tuple[str, str], tuple[str, bool, str]]
    indexes: set[tuple[str, bool, str]]


async def schema_of(url: str) -> Schema:
    async with connected(url) as connection:
        columns = {
            (row["table"], row["name"]): (row["type"], row["needed"], row["default"]) for row in await connection.fetch(COLUMNS)
        }
        return Schema(columns, {(row["table"], row["unique"], row["keys"]) for row in await connection.fetch(INDEXES)})


@pytest.fixture
async def application_schema(any_database: str) -> Schema:
    async with connected(any_database) as connection:
        await connection.execute(f"CREATE SCHEMA other; SET search_path TO other; {TABLES}")
        await connection.execute("ALTER SCHEMA public RENAME TO kept; ALTER SCHEMA other RENAME TO public")
        found = await schema_of(any_database)
        await connection.execute("ALTER SCHEMA public RENAME TO other; ALTER SCHEMA kept RENAME TO public")
        await connection.execute("DROP SCHEMA other CASCADE")
    return found


async def test_an_empty_database_gets_the_application_s_tables(any_database: str, application_schema: Schema) -> None:
    async with opened(any_database):
        own = await schema_of(any_database)
    theirs = {place: column for place, column in application_schema.columns.items() if place not in APPLICATION_ONLY}
    assert own.columns.keys() - theirs.keys() == OPTIONAL
    for place, (kind, needed, default) in theirs.items():
        own_kind, own_needed, own_default = own.columns[place]
        assert own_kind == BETTER.get(kind, kind) or place == ("notifications", "id"), place
        assert own_needed >= needed, place
        if place[1] != "id":
            assert default in ("", own_default), place
    assert own.columns["notifications", "id"][0] == "int8", "a serial of four bytes is used up in months"


async def test_an_empty_database_gets_the_application_s_indexes(any_database: str, application_schema: Schema) -> None:
    async with opened(any_database):
        own = await schema_of(any_database)
    for table, unique, keys in application_schema.indexes:
        served = any(
            other == table and own_unique >= unique and (own_keys == keys or own_keys.startswith(f"{keys}, "))
            for other, own_unique, own_keys in own.indexes
        )
        assert served or (table, keys) in LEFT_OUT, (table, keys)
    for table, _, keys in own.indexes:
        longer = [other for at, _, other in own.indexes if at == table and other.startswith(f"{keys}, ")]
        assert not longer, f"the index on {table} ({keys}) repeats another"
