"""No time is infinite, whatever a client or a relay wrote: asyncpg writes the ends of the calendar so."""

from datetime import UTC, datetime

import pytest

from testing.commits import FOLLOW, LIKE, POST, PROFILE, Stream, did, follow, like, post, profile, put
from testing.database_side import Worker, opened
from testing.databases import connected
from unified_indexer.database.recount.bookkeeping import books
from unified_indexer.database.recount.compare import compare
from unified_indexer.database.schema import tables
from unified_indexer.database.schema.finite_times import SINCE
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import OWN_SCHEMA, OWN_VERSION
from unified_indexer.protocol.syntax import parse_datetime
from unified_indexer.records import RECORD_TYPES

ENDS = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.0000001Z", "0001-01-01T05:00:00+05:00"),
    *("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.9999999Z", "9999-12-31T22:59:59.999999-01:00"),
)
COLUMNS = """
SELECT format('SELECT %L FROM %s WHERE NOT isfinite(%I) LIMIT 1', a.attname, a.attrelid::regclass, a.attname)
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relkind = 'r' AND a.attnum > 0 AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
  AND c.relnamespace IN ('public'::regnamespace, 'unified_worker'::regnamespace)
"""


async def infinite(worker: Worker) -> list[str]:
    """The columns that hold an infinite time."""
    return [column for query in await worker.column(COLUMNS) for column in await worker.column(query)]


@pytest.mark.parametrize("end", ENDS)
async def test_no_column_holds_infinity(both_worker: Worker, end: str) -> None:
    stream, uri = Stream(), f"at://{did('a')}/{POST}/1"
    commits = [
        stream.commit(
            "a", put(f"{POST}/1", {**post(), "createdAt": end}), put(f"{PROFILE}/self", {**profile("A"), "createdAt": end})
        ),
        stream.commit(
            "b", put(f"{LIKE}/1", {**like(uri), "createdAt": end}), put(f"{LIKE}/2", {**like(uri), "createdAt": end})
        ),
        stream.commit(
            "b",
            put(f"{FOLLOW}/1", {**follow(did("a")), "createdAt": end}),
            put("x.y.z/1", {"$type": "x.y.z", "createdAt": end}),
        ),
    ]
    assert await both_worker.write(*commits) == ["applied"] * 3
    assert await infinite(both_worker) == []
    year = "extract(year FROM created_at)"
    assert await both_worker.column(f"SELECT {year}::int FROM posts") == [int(end[:4])]


ROWS = f"""
INSERT INTO posts (uri, cid, author_did, text, created_at, commit_time)
VALUES ('at://{did("a")}/{POST}/1', 'c', '{did("a")}', 'x', 'infinity', '2026-01-01');
INSERT INTO likes (uri, user_did, post_uri, created_at) VALUES ('at://{did("b")}/{LIKE}/1', '{did("b")}', 'x', '-infinity');
INSERT INTO firehose_cursor (service, cursor, last_event_time) VALUES ('relay.test', '7', 'infinity');
INSERT INTO unified_worker.repos (did, rev, handle, handle_at) VALUES ('{did("a")}', '', 'a.example.com', 'infinity')
"""


async def test_rows_of_an_earlier_version_are_mended(database: str) -> None:
    async with connected(database) as connection:
        await connection.execute(f"{OWN_SCHEMA}; {OWN_VERSION}")
        for number, step in enumerate(MIGRATIONS[: SINCE - 1], 1):
            await connection.execute(step)
            await connection.execute("INSERT INTO unified_worker.schema_version VALUES ($1, now(), 'worker', 'public')", number)
        for statement in tables.create("public", RECORD_TYPES):
            await connection.execute(statement)
        await connection.execute(ROWS)
    async with opened(database) as worker:
        assert await infinite(worker) == []
        assert await worker.value("SELECT created_at = commit_time FROM posts")
        assert await worker.value("SELECT count(*) FROM unified_worker.rebuild WHERE NOT done") > 0


async def test_check_finds_such_rows(worker: Worker) -> None:
    await worker.connection.execute(ROWS.replace("INSERT INTO firehose_cursor", "SELECT 1; INSERT INTO firehose_cursor"))
    found = [await compare(worker.connection, kind, None) for kind in books("public") if "(times)" in kind.name]
    assert {one.kind.name: one.differences for one in found if one.differences} == {"posts (times)": 1, "likes (times)": 1}
    for one in found:
        assert one.kind.remedy is not None
        await worker.connection.execute(one.kind.remedy)
    again = [await compare(worker.connection, one.kind, None) for one in found]
    assert not any(one.differences for one in again)


def test_the_ends_of_the_calendar_are_moved_by_a_microsecond() -> None:
    assert {parse_datetime(end) for end in ENDS} == {
        datetime(1, 1, 1, microsecond=1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_998, UTC),
    }
