"""What a start makes of a database: tables where there are none, nothing where there are some, every fault in one message."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from testing.application_schema import CATALOG, TABLES
from testing.commits import (
    CID,
    FOLLOW,
    LIKE,
    POST,
    PROFILE,
    REPOST,
    START,
    Stream,
    delete,
    did,
    follow,
    like,
    post,
    profile,
    put,
    repost,
)
from testing.database_side import Worker, opened
from testing.databases import connected
from tests.conftest import fresh
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.schema import prepare, tables
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import OWN_SCHEMA, OWN_VERSION
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import OperatorError
from unified_indexer.pipeline.cursor import Cursor
from unified_indexer.pipeline.watermark import Watermark
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType


async def test_who_made_the_tables_is_kept(any_database: str) -> None:
    async with opened(any_database) as worker:
        assert await worker.value("SELECT min(tables_by) FROM unified_worker.schema_version") == "worker"


EVERYTHING = CATALOG.replace("'public'::regnamespace", "ANY (ARRAY['public', 'unified_worker']::regnamespace[])")


async def test_the_next_start_changes_nothing(database: str) -> None:
    async with opened(database) as worker:
        await worker.write(Stream().commit("a", put(f"{POST}/1", post())))
        before = await worker.column(EVERYTHING)
        versions = await worker.connection.fetch("SELECT * FROM unified_worker.schema_version")
    async with opened(database) as worker:
        assert await worker.column(EVERYTHING) == before
        assert await worker.connection.fetch("SELECT * FROM unified_worker.schema_version") == versions
        assert await worker.value("SELECT count(*) FROM posts") == 1


VERSIONS = "SELECT oid::text || xmin::text FROM pg_proc WHERE pronamespace = 'unified_worker'::regnamespace ORDER BY oid"
OTHER = "LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT 'x' $$"


async def test_functions_that_are_there_are_not_replaced(any_database: str) -> None:
    async with opened(any_database) as worker:
        before = await worker.column(VERSIONS)
    async with opened(any_database) as worker:
        assert await worker.column(VERSIONS) == before


async def test_functions_that_somebody_changed_are_put_right(database: str) -> None:
    path = "SELECT unified_worker.path_of('at://did:plc:a/app.bsky.feed.post/1')"
    function = "FUNCTION unified_worker.path_of"
    for change in (
        f"DROP {function}",
        f"ALTER {function} VOLATILE",
        f"CREATE OR REPLACE {function}(p_uri text) RETURNS text {OTHER}",
    ):
        async with opened(database) as worker:
            before = await worker.column(EVERYTHING)
            assert await worker.value(path) == "app.bsky.feed.post/1"
            await worker.connection.execute(change)
        async with opened(database) as worker:
            assert await worker.value(path) == "app.bsky.feed.post/1", change
            assert await worker.column(EVERYTHING) == before


COLUMNS_CAME = 4  # the version whose step gave tables of our own their optional columns


def without_optional_columns() -> list[RecordType]:
    """The record types as they were before."""
    return [
        replace(record_type, columns=tuple(column for column in record_type.columns if not column.optional))
        for record_type in RECORD_TYPES
    ]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_an_upgrade_from_any_version_gives_what_a_fresh_start_gives(
    database: str, pg18: PostgresServer, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says from which version."""
    caplog.set_level(logging.INFO)
    async with connected(database) as connection:
        await connection.execute(f"{OWN_SCHEMA}; {OWN_VERSION}")
        for number, step in enumerate(MIGRATIONS[:version], 1):
            await connection.execute(step)
            await connection.execute("INSERT INTO unified_worker.schema_version VALUES ($1, now(), 'worker', 'public')", number)
        for statement in tables.create("public", RECORD_TYPES if version >= COLUMNS_CAME else without_optional_columns()):
            await connection.execute(statement)
        await connection.execute("INSERT INTO firehose_cursor (service, cursor) VALUES ('relay.test', '7')")
    async with opened(database) as worker:
        upgraded = await worker.column(EVERYTHING)
        assert await worker.value("SELECT max(version) FROM unified_worker.schema_version") == len(MIGRATIONS)
        assert await worker.value("SELECT cursor FROM firehose_cursor") == "7"
    assert f"at schema version {version}, and is at {len(MIGRATIONS)} now" in caplog.text
    caplog.clear()
    async for url in fresh(pg18):
        async with opened(url) as worker:
            assert await worker.column(EVERYTHING) == upgraded
    assert "at schema version" not in caplog.text


async def test_an_application_s_tables_are_used_as_they_are(application: str) -> None:
    async with connected(application) as connection:
        before = [row[0] for row in await connection.fetch(CATALOG)]
    async with opened(application) as worker:
        assert await worker.value("SELECT min(tables_by) FROM unified_worker.schema_version") == "application"
        await write_story(worker)
        assert await worker.column(CATALOG) == before


def parent(n: int) -> dict[str, object]:
    return {
        "reply": {
            "parent": like(f"at://{did('a')}/{POST}/{n}")["subject"],
            "root": like(f"at://{did('a')}/{POST}/1")["subject"],
        }
    }


async def write_story(worker: Worker) -> None:
    """One of everything, through every arm: put, replace, delete, wait as a duplicate, hold again."""
    stream = Stream()
    subject = f"at://{did('a')}/{POST}/1"
    facets = [{"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "three"}]}]
    commits = [
        stream.commit(
            "a", put(f"{POST}/1", post("one two", 1, langs=["en"], tags=["one", "two"], facets=facets, embed={"a": 1}))
        ),
        stream.commit(
            "a", put(f"{POST}/2", post("a reply", 2, **parent(1))), put(f"{POST}/3", post("another", 3, **parent(2)))
        ),
        stream.commit("a", put(f"{POST}/2", post("changed", -1), "update"), delete(f"{POST}/3")),
        stream.commit("b", put(f"{LIKE}/1", like(subject, 2)), put(f"{LIKE}/2", like(subject, 1, via={"uri": "x"}))),
        stream.commit("b", put(f"{LIKE}/3", like(subject, 0)), put(f"{LIKE}/4", {**like(subject), "createdAt": "yesterday"})),
        stream.commit("b", delete(f"{LIKE}/3"), put(f"{LIKE}/1", like(f"at://{did('a')}/{POST}/2"), "update")),
        stream.commit("b", put(f"{REPOST}/1", repost(subject, 2)), put(f"{REPOST}/2", repost(subject, 2))),
        stream.commit("c", put(f"{FOLLOW}/1", follow(did("a"), 5)), put(f"{FOLLOW}/2", follow(did("a"), 4))),
        stream.commit("c", put(f"{FOLLOW}/2", follow(did("b"), 4), "update")),
        stream.commit("a", put(f"{PROFILE}/self", profile("A", description="some words", pinnedPost={"uri": subject}))),
        stream.commit("b", put(f"{PROFILE}/self", profile("B")), put(f"{PROFILE}/self2", profile("B"))),
        stream.commit("b", delete(f"{PROFILE}/self")),
        stream.commit("d", put(f"{POST}/old", {**post(), "createdAt": "0001-01-01T00:00:00Z"})),
        stream.commit("d", put(f"{POST}/late", {**post(), "createdAt": "9999-12-31T23:59:59.999999Z"})),
    ]
    assert set(await worker.write(*commits)) == {"applied"}


async def test_one_story_gives_the_same_rows_in_both_schemas(database: str, pg18: PostgresServer) -> None:
    found: list[tuple[object, object]] = []
    async with connected(database) as connection:
        name = await connection.fetchval("SELECT current_database()") + "_app"
        await connection.execute(f"CREATE DATABASE {name}")
        try:
            async with connected(pg18.url_of(name)) as other:
                await other.execute(TABLES)
            for url in (database, pg18.url_of(name)):
                async with opened(url) as worker:
                    await write_story(worker)
                    waiting = await worker.connection.fetch("SELECT uri, key FROM unified_worker.duplicate_records ORDER BY 1")
                    rows = await worker.rows()
                    assert [row.pop("self_labels", None) for row in rows["posts"]] == [None] * 4  # ours alone have the column
                    found.append((rows, waiting))
                    assert [len(of_table) for of_table in rows.values()] == [4, 4, 2, 1, 2]
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert found[0] == found[1]


BOOKKEEPING = "SELECT count(*) FROM pg_namespace WHERE nspname = 'unified_worker'"


CANCEL_WAITING = """
SELECT count(*) > 0 FROM (
  SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()) AS c
"""
WITHOUT_KEY = """
SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind IN ('r', 'p')
  AND c.relnamespace IN ('public'::regnamespace, 'unified_worker'::regnamespace)
  AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)
"""


async def faults_of(url: str) -> list[str]:
    with pytest.raises(OperatorError) as caught:
        async with opened(url):
            pass
    return caught.value.faults


async def test_a_check_that_is_cancelled_is_no_fault_of_the_tables(database: str) -> None:
    """A table that others hold: the start waits for it instead of blaming the columns."""
    async with opened(database):
        pass
    async with connected(database) as connection, connected(database) as canceller:
        async with connection.transaction():
            await connection.execute("LOCK TABLE likes")
            pool = DatabasePool(database, size=1, name="relay.test", durable=True)
            starting = asyncio.create_task(make_ready(pool, RECORD_TYPES, patience=0))
            while not await canceller.fetchval(CANCEL_WAITING):
                assert not starting.done()
                await asyncio.sleep(0.01)
            with pytest.raises(OperatorError) as caught:
                await starting
            pool.terminate()
        assert "canceling statement due to user request" in str(caught.value)
        assert "change its type" not in str(caught.value)
    async with opened(database):
        pass


async def test_every_fault_of_an_application_s_tables_is_told_at_once(application: str) -> None:
    async with connected(application) as connection:
        await connection.execute(
            """
            ALTER TABLE users DROP COLUMN banner_url, DROP COLUMN pinned_post;
            ALTER TABLE posts ADD COLUMN moderation text NOT NULL, ADD COLUMN fine text NOT NULL DEFAULT '';
            ALTER TABLE posts DROP COLUMN search_vector;
            ALTER TABLE posts ADD COLUMN search_vector tsvector GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED;
            ALTER TABLE posts ALTER COLUMN tags DROP DEFAULT, ALTER COLUMN tags TYPE text[] USING NULL;
            DROP INDEX unique_like; CREATE INDEX ON likes (user_did, post_uri);
            DROP INDEX unique_service;
            ALTER TABLE follows ALTER COLUMN commit_seq TYPE bigint USING NULL;
            DROP TABLE reposts;
            """
        )
    faults = await faults_of(application)
    expected = [
        ("public.users lacks columns", "banner_url text", "pinned_post jsonb", "ALTER TABLE"),
        ("public.posts.moderation is NOT NULL without a default", "give it a default"),
        ("public.posts.search_vector is generated", "DROP EXPRESSION"),
        ("public.posts.tags does not take a value of type jsonb", "change its type"),
        ("public.likes has no unique index on (user_did, post_uri)", "CREATE UNIQUE INDEX"),
        ("public.firehose_cursor has no unique index on (service)", "CREATE UNIQUE INDEX"),
        ("public.follows.commit_seq does not take a value of type text", "change its type"),
        ("public.reposts is missing", "create it"),
    ]
    for parts in expected:
        assert [fault for fault in faults if all(part in fault for part in parts)], (parts, faults)
    assert len(faults) == len(expected), faults
    async with connected(application) as connection:
        assert not await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'unified_worker'"), (
            "left behind"
        )


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX ON likes (user_did, post_uri) WHERE created_at > '2020-01-01'",
        "CREATE UNIQUE INDEX ON likes (user_did, lower(post_uri))",
        "CREATE UNIQUE INDEX ON likes (user_did, post_uri, created_at)",
        "ALTER TABLE likes ADD UNIQUE (user_did, post_uri) DEFERRABLE",
    ],
)
async def test_an_index_that_on_conflict_can_t_use_is_none(application: str, index: str) -> None:
    async with connected(application) as connection:
        await connection.execute("DROP INDEX unique_like;" + index)
    assert ["no unique index on (user_did, post_uri)" in fault for fault in await faults_of(application)] == [True]


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX ON likes (post_uri, user_did)",
        "CREATE UNIQUE INDEX ON likes (user_did, post_uri) INCLUDE (created_at)",
    ],
)
async def test_any_unique_index_on_the_key_will_do(application: str, index: str) -> None:
    async with connected(application) as connection:
        await connection.execute("DROP INDEX unique_like;" + index)
    async with opened(application) as worker:
        await write_story(worker)


async def test_an_identity_column_of_the_application_is_fine(application: str) -> None:
    async with connected(application) as connection:
        await connection.execute("ALTER TABLE likes ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY")
    async with opened(application) as worker:
        await write_story(worker)


@pytest.fixture
async def limited(application: str, pg18: PostgresServer) -> AsyncIterator[str]:
    """The URL of the application's database for a user who may do nothing yet."""
    async with connected(application) as connection:
        await connection.execute("CREATE ROLE limited LOGIN")
        yield application.replace("//unified@", "//limited@")
        await connection.execute("DROP OWNED BY limited CASCADE; DROP ROLE limited")


async def test_missing_rights_are_told_at_once(application: str, limited: str) -> None:
    faults = await faults_of(limited)
    assert any("may not create the schema unified_worker" in fault and "GRANT CREATE ON DATABASE" in fault for fault in faults)
    async with connected(application) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"GRANT CREATE ON DATABASE {name} TO limited; GRANT SELECT, INSERT ON likes TO limited")
    faults = await faults_of(limited)
    assert len(faults) == 26, "24 tables, and the sequences of two"
    assert "no right to SELECT on public.user_settings: GRANT SELECT" in "\n".join(faults)
    assert "no right to UPDATE, DELETE on public.likes: GRANT UPDATE, DELETE ON public.likes" in "\n".join(faults)
    assert "no right to SELECT, INSERT, UPDATE, DELETE on public.posts" in "\n".join(faults)
    async with connected(application) as connection:
        await connection.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO limited;"
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO limited"
        )
    async with opened(limited) as worker:
        await worker.write(Stream().commit("a", put(f"{POST}/1", post())))
        cursor = Cursor(worker.pool, "relay.test")
        await cursor.start("public", "live", forget=False)
        watermark = Watermark()
        watermark.finish(watermark.arrive(7, START))
        await cursor.save(watermark)


async def test_the_right_to_the_sequences_is_needed(application: str, limited: str) -> None:
    """The ids of firehose_cursor and notifications come from sequences of the application's."""
    async with connected(application) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(
            f"GRANT CREATE ON DATABASE {name} TO limited; "
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO limited"
        )
    faults = await faults_of(limited)
    assert ["_id_seq" in fault and "GRANT USAGE" in fault for fault in faults] == [True, True]
    assert "firehose_cursor_id_seq" in faults[0]
    assert "notifications_id_seq" in faults[1]


async def test_bookkeeping_newer_than_the_worker_is_refused(database: str) -> None:
    async with opened(database) as worker:
        newer = len(MIGRATIONS) + 1
        await worker.connection.execute(
            "INSERT INTO unified_worker.schema_version VALUES ($1, now(), 'worker', 'public')", newer
        )
    faults = await faults_of(database)
    assert len(faults) == 1
    assert f"version {newer}" in faults[0]
    assert f"{len(MIGRATIONS)}" in faults[0]


async def test_another_encoding_is_refused(database: str, pg18: PostgresServer) -> None:
    async with connected(database) as connection:
        name = await connection.fetchval("SELECT current_database()") + "_latin"
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        try:
            assert ["ENCODING 'UTF8'" in fault for fault in await faults_of(pg18.url_of(name))] == [True]
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_an_old_server_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "OLDEST_SERVER", 99_00_00)
    assert ["PostgreSQL 18" in fault and "newer is needed" in fault for fault in await faults_of(database)] == [True]


async def test_a_database_that_does_not_exist_is_named(database: str, pg18: PostgresServer) -> None:
    assert ["CREATE DATABASE" in fault for fault in await faults_of(pg18.url_of("no_such_database"))] == [True]


async def test_tables_of_another_schema_are_found_by_the_search_path(database: str) -> None:
    async with connected(database) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute("CREATE SCHEMA \"App Data\"; SET search_path = 'App Data'")
        await connection.execute(TABLES)
        await connection.execute(f"ALTER DATABASE {name} SET search_path = 'App Data'")
    async with opened(database) as worker:
        await write_story(worker)
        assert await worker.value('SELECT count(*) FROM "App Data".posts') == 4
        assert await worker.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


async def test_two_workers_that_start_at_once_make_one_schema(database: str) -> None:
    async def start(name: str) -> None:
        async with opened(database, name=name) as worker:
            await worker.write(Stream().commit(name[0], put(f"{POST}/1", post())))

    await asyncio.gather(*(start(name) for name in ("a.relay", "b.relay", "c.relay")))
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM posts") == 3


async def test_a_start_that_fails_half_way_leaves_nothing(database: str) -> None:
    async with connected(database) as connection:
        await connection.execute("CREATE TABLE likes (uri text)")
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.execute("SELECT FROM posts")
    await faults_of(database)
    async with connected(database) as connection:
        assert await connection.fetchval(BOOKKEEPING) == 0
        assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 1


async def test_a_start_does_not_wait_for_who_writes_the_tables(database: str) -> None:
    async with opened(database) as first:
        await first.connection.execute("BEGIN; LOCK TABLE users, posts, likes, reposts, follows IN ROW EXCLUSIVE MODE")
        async with asyncio.timeout(10), opened(database, name="another.relay"):
            pass


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE UNIQUE INDEX ON users (handle)",
        "ALTER TABLE users ADD CONSTRAINT users_handle_idx UNIQUE (handle)",
        "CREATE UNIQUE INDEX ON users (handle) WHERE handle <> 'handle.invalid'",
    ],
)
async def test_handles_that_may_stand_once_are_refused_at_start(application: str, statement: str) -> None:
    """Accounts without a handle share 'handle.invalid': each but the first would be refused with 23505."""
    async with connected(application) as connection:
        await connection.execute(statement)
    (fault,) = await faults_of(application)
    assert "DROP INDEX users_handle_idx" in fault


@pytest.mark.parametrize("table", ["likes", "firehose_cursor", "notifications"])
async def test_a_table_that_a_crash_empties_is_refused(application: str, table: str) -> None:
    async with connected(application) as connection:
        await connection.execute(f"ALTER TABLE {table} SET UNLOGGED")
    (fault,) = await faults_of(application)
    assert fault.endswith(f"ALTER TABLE public.{table} SET LOGGED")


async def test_the_remedy_for_a_partitioned_table_can_be_carried_out(application: str) -> None:
    async with connected(application) as connection:
        await connection.execute(
            "CREATE TABLE other (LIKE generic_records) PARTITION BY RANGE (created_at); "
            "DROP TABLE generic_records; ALTER TABLE other RENAME TO generic_records; "
            "CREATE TABLE some_records PARTITION OF generic_records DEFAULT"
        )
    (fault,) = await faults_of(application)
    assert "is partitioned by RANGE (created_at)" in fault
    assert "CREATE UNIQUE INDEX" not in fault
    async with connected(application) as connection:  # as the remedy says
        await connection.execute(
            "CREATE TABLE other (LIKE generic_records) PARTITION BY HASH (uri); "
            "DROP TABLE generic_records; ALTER TABLE other RENAME TO generic_records; "
            "CREATE TABLE some_records PARTITION OF generic_records FOR VALUES WITH (MODULUS 1, REMAINDER 0); "
            "CREATE UNIQUE INDEX ON generic_records (uri)"
        )
    async with opened(application) as worker:
        assert await worker.write(Stream().commit("a", put("x.y.z/1", {"$type": "x.y.z"}))) == ["applied"]
        assert await worker.value("SELECT count(*) FROM generic_records") == 1


async def test_a_published_table_without_a_key_is_refused(application: str) -> None:
    """CREATE PUBLICATION … FOR ALL TABLES makes the server refuse updates of a table without a primary key, with 55000."""
    async with connected(application) as connection:
        await connection.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        faults = await faults_of(application)
        assert faults
        assert all("is in a publication" in fault for fault in faults)
        for fault in faults:
            await connection.execute(fault.rpartition(": ")[2])
    async with opened(application):
        pass


async def test_every_table_of_our_own_has_a_primary_key(database: str) -> None:
    async with opened(database) as worker:
        assert await worker.column(WITHOUT_KEY) == []


async def test_a_table_of_an_earlier_version_gets_its_primary_key(database: str, pg18: PostgresServer) -> None:
    """There a unique constraint did in place of it; the rows stay."""
    async with connected(database) as connection:
        await connection.execute(f"{OWN_SCHEMA}; {OWN_VERSION}")
        for number, step in enumerate(MIGRATIONS[:3], 1):
            await connection.execute(step)
            await connection.execute("INSERT INTO unified_worker.schema_version VALUES ($1, now(), 'worker', 'public')", number)
        for statement in tables.create("public", without_optional_columns()):
            await connection.execute(statement)
        await connection.execute(
            "ALTER TABLE post_viewer_states DROP CONSTRAINT post_viewer_states_pkey, ADD UNIQUE (post_uri, viewer_did); "
            "INSERT INTO post_viewer_states (post_uri, viewer_did, like_uri) VALUES ('x', 'y', 'z')"
        )
    async with opened(database) as worker:
        assert await worker.column(WITHOUT_KEY) == []
        assert await worker.column("SELECT like_uri FROM post_viewer_states") == ["z"]
        upgraded = await worker.column(EVERYTHING)
    async for url in fresh(pg18):
        async with opened(url) as worker:
            assert await worker.column(EVERYTHING) == upgraded


async def test_a_worker_that_knows_more_types_does_not_change_what_another_one_s_numbers_mean(worker: Worker) -> None:
    likes = next(record_type for record_type in RECORD_TYPES if record_type.table == "likes")
    types = sorted((*RECORD_TYPES, replace(likes, collection="app.bsky.feed.a", table="a")), key=lambda t: t.collection)
    assert len({record_type.kind for record_type in types}) == len(types)
    assert all(0 <= record_type.kind <= 32_766 for record_type in types)
    stream, subject = Stream(), {"uri": f"at://{did('x')}/{POST}/1", "cid": CID}
    await worker.write(stream.commit("a", put(f"{LIKE}/1", like(subject["uri"]))))
    newer = DatabasePool(worker.pool.url, size=2, name="another.relay", durable=True)
    await make_ready(newer, types)
    newer.terminate()
    reply = post(reply={"root": subject, "parent": subject})
    await worker.write(stream.commit("a", put(f"{POST}/1", reply), delete(f"{LIKE}/1")))
    assert [await worker.value(f"SELECT count(*) FROM {table}") for table in ("posts", "likes", "a")] == [1, 0, 0]


async def test_a_search_path_that_leads_elsewhere_than_the_first_worker_s_is_refused(database: str) -> None:
    """The functions are one set a database: rows of a running worker would go to the newcomer's tables."""
    async with opened(database, name="first.relay"), connected(database) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"CREATE SCHEMA elsewhere; ALTER DATABASE {name} SET search_path = elsewhere")
        faults = await faults_of(database)
    assert len(faults) == 1
    assert all(part in faults[0] for part in ("elsewhere", "public", "search_path"))


async def test_a_column_that_a_first_sight_leaves_out_needs_a_default(application: str) -> None:
    async with connected(application) as connection:
        await connection.execute("ALTER TABLE users ALTER COLUMN indexed_at SET NOT NULL, ALTER COLUMN indexed_at DROP DEFAULT")
    faults = await faults_of(application)
    assert ["users.indexed_at is NOT NULL without a default" in fault for fault in faults] == [True]
