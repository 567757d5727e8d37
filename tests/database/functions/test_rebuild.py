"""Derived rows recomputed from the record tables: what is wrong is corrected; what is right, or the application's, stays."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay_simulator.server import RelayServer
from testing import application_schema
from testing.commits import (
    CID,
    FOLLOW,
    LIKE,
    POST,
    PROFILE,
    REPOST,
    START,
    Record,
    Stream,
    at,
    did,
    follow,
    like,
    mentioning,
    post,
    profile,
    put,
    quoting,
    ref,
    replying,
    repost,
    uri,
)
from testing.database_side import Worker, opened
from testing.databases import SWEEP, connected
from testing.model import GENERATOR, LABELER, LIST, LIST_ITEM, POST_GATE, STARTER_PACK, THREAD_GATE, VERIFICATION, compare
from testing.processes import Process
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.rebuild_steps import ONE_REBUILD, REBUILDING, Step
from unified_indexer.database.schema import tables
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import OWN_SCHEMA, OWN_VERSION
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.errors import Stop
from unified_indexer.protocol.events import Account
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.derived_tables import DERIVED_TABLES

# What a rebuild is to bring back: all but ids, when a row was written, the CIDs that no record table holds, and what was read.
DERIVED = {
    "counts": "SELECT post_uri, like_count, repost_count, reply_count, quote_count, bookmark_count FROM post_aggregations",
    "feed": "SELECT uri, post_uri, originator_did, type, sort_at, created_at FROM feed_items",
    "feed's cids": "SELECT uri, cid FROM feed_items WHERE type <> 'repost'",
    "quotes": "SELECT uri, cid, post_uri, quoted_uri, quoted_cid, created_at FROM quotes",
    "states": "SELECT post_uri, viewer_did, like_uri, repost_uri, bookmarked, pinned FROM post_viewer_states",
    "threads": "SELECT post_uri, root_author_like_uri FROM thread_contexts",
    "notifications": "SELECT uri, recipient_did, author_did, reason, reason_subject FROM notifications",
    "gated": "SELECT uri, has_thread_gate, has_post_gate, violates_thread_gate, violates_embedding_rules FROM posts",
    "words": "SELECT uri, search_vector::text FROM posts UNION ALL SELECT did, search_vector::text FROM users",
    "shown": "SELECT uri, like_count FROM feed_generators UNION ALL SELECT uri, like_count FROM labeler_services",
}


def record(collection: str, **fields: Any) -> Record:
    return {"$type": collection, "createdAt": at(0), **fields}


async def tell(worker: Worker) -> None:
    """A story in which everything follows from something."""
    stream = Stream()
    root, shut, gated = uri("a", "1"), uri("a", "2"), uri("a", "3")
    mentioned, listed = ({"$type": f"app.bsky.feed.threadgate#{rule}Rule"} for rule in ("mention", "list"))
    allow = [mentioned, {**listed, "list": uri("a", "l", LIST)}]
    shutting = [{"$type": "app.bsky.feed.postgate#disableRule"}]
    few_may_reply = post("few may reply", facets=mentioning(did("b")))
    a_reply = post("a reply", 1, reply=replying(ref(root)))
    own_reply = post("own reply", 2, reply=replying(ref(uri("b", "1")), ref(root)), embed=quoting(ref(root)))
    hostile = "one_two " + "1a@" * 20_000
    joined = profile("F", description=hostile, joinedViaStarterPack=ref(uri("e", "p", STARTER_PACK)))
    with_media = {"$type": "app.bsky.embed.recordWithMedia", "record": {"record": ref(shut)}, "media": {}}
    via = ref(uri("b", "r", REPOST))
    commits = [
        stream.commit("a", put(f"{POST}/1", post("root", facets=mentioning(did("a"), did("b"), did("c"), did("c"))))),
        stream.commit("a", put(f"{POST}/2", post("no quotes")), put(f"{POST}/3", few_may_reply)),
        stream.commit("a", put(f"{POST_GATE}/2", record(POST_GATE, post=shut, embeddingRules=shutting))),
        stream.commit("a", put(f"{LIST_ITEM}/i", record(LIST_ITEM, subject=did("e"), list=uri("a", "l", LIST)))),
        stream.commit("a", put(f"{THREAD_GATE}/3", record(THREAD_GATE, post=gated, allow=allow))),
        stream.commit("b", put(f"{POST}/1", a_reply), put(f"{REPOST}/r", repost(root, 1))),
        stream.commit("b", put(f"{POST}/2", post("mentioned", reply=replying(ref(gated))))),
        stream.commit("d", put(f"{POST}/1", post("not admitted", reply=replying(ref(gated))))),
        stream.commit("e", put(f"{POST}/1", post("listed", reply=replying(ref(gated))))),
        stream.commit("a", put(f"{POST}/4", own_reply)),
        stream.commit("a", put(f"{LIKE}/1", like(uri("b", "1"))), put(f"{LIKE}/2", like(root))),
        stream.commit("c", put(f"{LIKE}/1", like(root, 3, via=via)), put(f"{LIKE}/2", like(root, 4))),
        stream.commit("c", put(f"{REPOST}/1", {**repost(root, 9), "via": via})),
        stream.commit("c", put(f"{POST}/q", post("a quote", facets=mentioning(did("d")), embed=quoting(ref(shut))))),
        stream.commit("d", put(f"{POST}/q", post("another", embed=with_media, langs=["en"], tags=["t"]))),
        stream.commit("d", put(f"{POST}/late", post(hostile, 10**9, embed=quoting(ref(uri("x", "unseen")))))),
        stream.commit("d", put(f"{FOLLOW}/a", follow(did("a"))), put(f"{FOLLOW}/d", follow(did("d")))),
        stream.commit("e", put(f"{GENERATOR}/g", record(GENERATOR, did=did("s"), displayName="feed"))),
        stream.commit("e", put(f"{LABELER}/self", record(LABELER, policies={}))),
        stream.commit("b", put(f"{LIKE}/g", like(uri("e", "g", GENERATOR))), put(f"{LIKE}/l", like(uri("e", "self", LABELER)))),
        stream.commit("c", put(f"{LIKE}/g", like(uri("e", "g", GENERATOR)))),
        stream.commit("f", put(f"{PROFILE}/self", joined)),
        stream.commit("f", put(f"{VERIFICATION}/v", record(VERIFICATION, subject=did("a"), handle="a.example.com"))),
    ]  # fmt: skip
    assert set(await worker.write(*commits)) == {"applied"}
    await worker.connection.execute(
        f"""
        UPDATE post_aggregations SET bookmark_count = 7 WHERE post_uri = '{root}';
        INSERT INTO post_aggregations (post_uri, bookmark_count) VALUES ('{uri("x", "kept")}', 1);
        UPDATE post_viewer_states SET pinned = true WHERE viewer_did = '{did("c")}' AND post_uri = '{root}';
        INSERT INTO post_viewer_states (post_uri, viewer_did, bookmarked) VALUES ('{root}', '{did("z")}', true);
        UPDATE notifications SET is_read = true WHERE reason IN ('reply', 'follow');
        INSERT INTO notifications (uri, recipient_did, author_did, reason, created_at, indexed_at) VALUES
          ('their-own', '{did("a")}', '{did("a")}', 'like', now(), now()),
          ('{uri("x", "1")}#notification/report', '{did("a")}', '{did("x")}', 'report', now(), now()),
          ('{uri("x", "1", VERIFICATION)}#notification/unverified', '{did("a")}', '{did("x")}', 'unverified', now(), now());
        """
    )


EMPTIED = """
UPDATE post_aggregations SET like_count = 0, repost_count = 0, reply_count = 0, quote_count = 0;
DELETE FROM post_aggregations WHERE bookmark_count = 0;
UPDATE post_viewer_states SET like_uri = NULL, repost_uri = NULL;
DELETE FROM post_viewer_states WHERE NOT (bookmarked OR pinned);
DELETE FROM notifications WHERE reason NOT IN ('report', 'unverified') AND uri <> 'their-own' AND NOT is_read;
TRUNCATE feed_items, quotes, thread_contexts;
UPDATE posts SET has_thread_gate = false, has_post_gate = false, violates_thread_gate = false, violates_embedding_rules = false,
  search_vector = NULL;
UPDATE users SET search_vector = NULL;
UPDATE feed_generators SET like_count = 0; UPDATE labeler_services SET like_count = 5;
"""
# Wrong without a loss: the CIDs stay, and whom a wipe looks for.
SHAKEN = """
UPDATE post_aggregations SET like_count = like_count + 3, quote_count = 9, reply_count = 0, repost_count = 0;
UPDATE feed_items SET type = 'post', sort_at = created_at, originator_did = '';
DELETE FROM post_viewer_states;
UPDATE notifications SET reason_subject = '', author_did = '' WHERE reason <> 'unverified';
TRUNCATE quotes, thread_contexts;
UPDATE posts SET has_thread_gate = true, has_post_gate = true, violates_embedding_rules = true;
UPDATE posts AS p SET violates_thread_gate = true WHERE NOT EXISTS (  -- what is older than its gate is not judged again
  SELECT FROM unified_worker.commit_times AS c
  WHERE c.uri = replace(p.root_uri, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/') AND c.at > p.commit_time);
UPDATE feed_generators SET like_count = 0; UPDATE labeler_services SET like_count = 5;
"""
NOBODY = "at://did:plc:nobody/app.bsky.feed"
WRECKED = f"""
UPDATE post_aggregations SET like_count = like_count + 3, quote_count = 9, reply_count = -1;
INSERT INTO post_aggregations (post_uri, like_count, reply_count) VALUES ('{NOBODY}.post/1', 2, 0), ('{NOBODY}.post/2', 0, 1);
UPDATE feed_items SET type = 'post', sort_at = created_at, originator_did = 'did:plc:nobody', cid = 'wrong'
  WHERE type <> 'repost';
INSERT INTO feed_items (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
  VALUES ('{NOBODY}.post/1', '', '', 'post', now(), '', now(), now());
UPDATE quotes SET quoted_uri = '{NOBODY}.post/1', quoted_cid = NULL WHERE post_uri LIKE '%/q';
UPDATE quotes SET uri = 'old ' || uri, cid = '' WHERE post_uri NOT LIKE '%/q';
INSERT INTO quotes (uri, cid, post_uri, quoted_uri, created_at, indexed_at)
  VALUES ('{NOBODY}.post/1#quote', '', '{NOBODY}.post/1', '{uri("a", "1")}', now(), now()),
    ('a second', '', '{uri("c", "q")}', '{uri("a", "1")}', now(), now()),
    ('{uri("b", "1")}#quote', '', '{uri("b", "1")}', '{uri("a", "1")}', now(), now());
UPDATE post_viewer_states SET like_uri = '{NOBODY}.like/1', repost_uri = '{NOBODY}.repost/1';
INSERT INTO post_viewer_states (post_uri, viewer_did, like_uri) VALUES ('{uri("a", "1")}', 'did:plc:nobody', '{NOBODY}.like/1');
UPDATE thread_contexts SET root_author_like_uri = CASE WHEN root_author_like_uri IS NULL THEN '{NOBODY}.like/1' END;
INSERT INTO thread_contexts (post_uri) VALUES ('{NOBODY}.post/1'), ('{uri("a", "1")}');
UPDATE notifications SET recipient_did = 'did:plc:nobody', cid = NULL, reason_subject = ''
  WHERE uri LIKE '%#notification%' AND reason NOT IN ('report', 'unverified');
INSERT INTO notifications (uri, recipient_did, author_did, reason, created_at, indexed_at)
SELECT record || '#notification' || ending, '{did("a")}', split_part(record, '/', 3), reason, now(), now() FROM (VALUES
  ('{NOBODY}.post/1', '/reply', 'reply'), ('{uri("b", "1")}', '/mention/{did("a")}', 'mention'),
  ('{uri("a", "2", LIKE)}', '', 'like'), ('{uri("b", "g", LIKE)}', '/like-via-repost', 'like-via-repost'),
  ('at://{did("e")}/{PROFILE}/self', '/starterpack-joined', 'starterpack-joined'),
  ('at://{did("f")}/{PROFILE}/other', '/starterpack-joined', 'starterpack-joined')) AS n (record, ending, reason);
UPDATE posts SET has_thread_gate = NOT has_thread_gate, has_post_gate = NOT has_post_gate,
  violates_thread_gate = NOT violates_thread_gate, violates_embedding_rules = NOT violates_embedding_rules;
UPDATE feed_generators SET like_count = 99;
"""  # fmt: skip


async def derived(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {name: sorted(map(tuple, await connection.fetch(query)), key=repr) for name, query in DERIVED.items()}


async def changed(worker: Worker) -> dict[str, int]:
    """What the last rebuild changed, by step."""
    rows = await worker.connection.fetch("SELECT step, changed FROM unified_worker.rebuild WHERE changed > 0")
    return {row["step"]: row["changed"] for row in rows}


async def test_what_the_worker_wrote_is_right(both_worker: Worker) -> None:
    await tell(both_worker)
    before = await derived(both_worker.connection)
    assert all(before.values()), "the story lacks something"
    assert await Rebuild(both_worker.pool).run()
    assert await changed(both_worker) == {}
    assert await derived(both_worker.connection) == before


@pytest.mark.parametrize("most_rows", [2, 5_000])
@pytest.mark.parametrize("wreck", [EMPTIED, WRECKED], ids=["emptied", "wrecked"])
async def test_everything_comes_back(both_worker: Worker, wreck: str, most_rows: int) -> None:
    await tell(both_worker)
    connection = both_worker.connection
    before = await derived(connection)
    marked = "SELECT uri, cid, id FROM notifications WHERE is_read ORDER BY uri"
    read = await connection.fetch(marked)
    known = "SELECT uri, cid FROM notifications WHERE reason IN ('reply', 'quote', 'mention', 'verified') ORDER BY 1"
    cids = await connection.fetch(known)
    await connection.execute(wreck)
    assert await Rebuild(both_worker.pool, most_rows=most_rows).run()
    assert await derived(connection) == before
    assert await connection.fetch(known) == cids
    assert [row["id"] for row in await connection.fetch(marked)] == [row["id"] for row in read]
    await Rebuild(both_worker.pool, most_rows=most_rows).run()
    assert await changed(both_worker) == {}, "what is right is not touched"


class Interrupted(Rebuild):
    """Stops after so many chunks."""

    def __init__(self, pool: DatabasePool, chunks: int) -> None:
        super().__init__(pool, most_rows=2)
        self._left = chunks

    async def _chunk(self, step: Step, indexed: bool) -> Any:
        if self._left == 0:
            self.stop()
        self._left -= 1
        return await super()._chunk(step, indexed)


async def test_an_interrupted_one_goes_on_where_it_was(both_worker: Worker) -> None:
    await tell(both_worker)
    before = await derived(both_worker.connection)
    await both_worker.connection.execute(WRECKED)
    rounds = 0
    while not await Interrupted(both_worker.pool, 3).run():
        rounds += 1
        looked = await both_worker.value("SELECT sum(rows) FROM unified_worker.rebuild")
        assert looked > 3 * rounds - 3, "it began anew"
    assert rounds > 10
    assert await derived(both_worker.connection) == before


async def test_a_second_one_is_refused(worker: Worker) -> None:
    await worker.connection.execute(f"SELECT pg_advisory_lock({ONE_REBUILD})")
    with pytest.raises(Stop, match="another process is rebuilding"):
        await Rebuild(worker.pool).run()
    await Rebuild(worker.pool).finish()  # the worker's own leaves it to the other
    await worker.connection.execute(f"SELECT pg_advisory_unlock({ONE_REBUILD})")
    assert await Rebuild(worker.pool).run()
    await worker.connection.execute(f"SELECT pg_advisory_lock({ONE_REBUILD})")  # free again


async def test_a_chunk_waits_for_commits_and_they_for_it(both_worker: Worker) -> None:
    """A commit that is half way has a row in likes, say, and none yet in what follows from it."""
    async with connected(both_worker.pool.url) as other:
        async with other.transaction():
            await both_worker.processor.process_like(other, uri("b", "1", LIKE), CID, did("b"), like(uri("a", "1")))
            rebuilding = asyncio.create_task(Rebuild(both_worker.pool).run())
            waits = "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            await until(lambda: both_worker.value(waits), "the rebuild waits for the commit")
        assert await rebuilding
        async with other.transaction():
            await other.execute(f"SELECT pg_advisory_xact_lock({REBUILDING})")
            writing = asyncio.create_task(both_worker.write(Stream().commit("a", put(f"{POST}/1", post()))))
            await until(lambda: both_worker.value(waits), "the commit waits for the rebuild")
        assert await writing == ["applied"]
    assert await both_worker.value("SELECT like_count FROM post_aggregations") == 1


@asynccontextmanager
async def beside(url: str) -> AsyncGenerator[DatabasePool]:
    """The command's connection."""
    pool = DatabasePool(url, size=1, name="rebuild-derived", durable=True, exclusive=False)
    try:
        await make_ready(pool, RECORD_TYPES)
        yield pool
    finally:
        pool.terminate()


@pytest.mark.long
@pytest.mark.parametrize("wreck", [SHAKEN, "SELECT"], ids=["shaken", "sound"])
async def test_it_runs_beside_the_stream(database: str, wreck: str) -> None:
    """Half of the traffic comes while the derived rows of the first half are recomputed, a few rows at a time."""
    stream = traffic(2_000, awkward=True, accounts=40)
    half = len(stream.frames) // 2
    async with RelayServer(stream.frames[:half]) as relay, running(database, relay.url) as worker, connected(database) as test:
        await until(lambda: worker.metrics.finished == half, "the first half is written")
        await test.execute(wreck)
        async with beside(database) as pool:
            rebuilding = asyncio.create_task(Rebuild(pool, most_rows=20).run())
            for place, frame in enumerate(stream.frames[half:]):
                relay.append(frame)
                if place % 10 == 0:
                    await asyncio.sleep(0.005)
            await finished(worker, stream.last_seq)
            assert await rebuilding
            await test.execute(SWEEP)  # what came while its account was wiped
            found = await derived(test)
            await Rebuild(pool).run()
        again = await derived(test)
        # Follows and lists are those of the reply when it is written, and those that are there when it is judged anew. Of an
        # account that was wiped and came back, a notification is there if its cause came after the wipe.
        either_way = stream.model.expected().optional["notifications"]
        for rows in (found, again):
            rows["gated"] = [row[:3] + row[4:] for row in rows["gated"]]
            rows["notifications"] = [row for row in rows["notifications"] if "reply" not in row and row[0] not in either_way]
        assert again == found
        assert await compare(stream.model, test) == []


async def test_what_the_database_refuses_is_skipped_alone(both_worker: Worker) -> None:
    await tell(both_worker)
    before = await derived(both_worker.connection)
    await both_worker.connection.execute(EMPTIED)
    await both_worker.connection.execute("ALTER TABLE quotes ADD CHECK (post_uri NOT LIKE '%c/app.bsky.feed.post/q')")
    assert await Rebuild(both_worker.pool).run()
    assert await both_worker.value("SELECT sum(skipped) FROM unified_worker.rebuild") == 1
    quotes = (await derived(both_worker.connection))["quotes"]
    assert [row[0] for row in quotes] == [row[0] for row in before["quotes"] if row[0] != f"{uri('c', 'q')}#quote"]


async def test_what_went_with_a_deleted_account_does_not_come_back(both_worker: Worker) -> None:
    stream = Stream()
    await both_worker.write(
        stream.commit("gone", put(f"{POST}/1", post())),
        stream.commit("b", put(f"{LIKE}/1", like(uri("gone", "1")))),
        Account(stream.seq + 1, did("gone"), datetime.now(UTC), active=False, status="deleted", frame=b""),
    )
    while not await both_worker.connection.fetchval("CALL unified_worker.wipe($1, 100, NULL)", did("gone")):
        pass
    assert await both_worker.value("SELECT count(*) FROM notifications") == 0
    back = Account(stream.seq + 2, did("gone"), datetime.now(UTC), active=True, status=None, frame=b"")
    await both_worker.write(back, stream.commit("c", put(f"{LIKE}/1", like(uri("gone", "1")))))
    await Rebuild(both_worker.pool).run()
    assert await changed(both_worker) == {}
    await both_worker.connection.execute("DELETE FROM notifications")
    await Rebuild(both_worker.pool).run()
    assert await both_worker.column("SELECT author_did FROM notifications") == [did("c")], "what came after the wipe does"


DONE = "SELECT count(*) > 0 AND bool_and(done) FROM unified_worker.rebuild"
OLD_TYPES = [
    record_type for record_type in RECORD_TYPES if record_type.table in ("users", "posts", "likes", "reposts", "follows")
]


async def make_version_1(connection: Connection) -> None:
    """What the version of five record types left: its tables with some rows, and nothing that follows from them."""
    await connection.execute(f"{OWN_SCHEMA}; {OWN_VERSION}; {MIGRATIONS[0]}")
    await connection.execute("INSERT INTO unified_worker.schema_version VALUES (1, now(), 'worker', 'public')")
    for statement in tables.create("public", OLD_TYPES):
        await connection.execute(statement)
    await connection.execute("DROP TABLE " + ", ".join(table.table for table in DERIVED_TABLES))


async def fill(connection: Connection) -> None:
    """3,000 replies, and a like of one."""
    await connection.execute(
        f"""
        INSERT INTO users (did, handle) SELECT 'did:plc:' || n, 'handle.invalid' FROM unnest('{{a,b}}'::text[]) AS n;
        INSERT INTO posts (uri, cid, author_did, text, parent_uri, root_uri, created_at, commit_time, commit_seq)
        SELECT 'at://did:plc:b/{POST}/' || n, 'c', 'did:plc:b', 't', root, root, '2026-07-01', now(), '1'
        FROM (SELECT '{uri("a", "1")}') AS r (root), generate_series(1, 3000) AS n;
        INSERT INTO likes (uri, user_did, post_uri, created_at, commit_seq) VALUES
          ('{uri("a", "1", LIKE)}', '{did("a")}', '{uri("b", "1")}', '{START.isoformat()}', '1');
        """
    )


async def test_the_upgrade_from_five_types_fills_what_follows_beside_the_stream(database: str) -> None:
    async with connected(database) as connection:
        await make_version_1(connection)
        await fill(connection)
    async with RelayServer(()) as relay, running(database, relay.url), connected(database) as connection:
        await until(lambda: connection.fetchval(DONE), "what follows is there")
        found = await derived(connection)
        assert [len(found[name]) for name in ("feed", "threads", "notifications", "states")] == [3000, 3000, 3001, 1]
        assert (uri("a", "1"), 0, 0, 3000, 0, 0) in found["counts"]
        assert (uri("b", "1"), uri("a", "1", LIKE)) in found["threads"]
        assert await connection.fetchval("SELECT sum(changed) FROM unified_worker.rebuild") > 9000


@pytest.mark.parametrize("rows", ["nothing", "version 1 without rows", "an application's"])
async def test_nothing_is_rebuilt_unasked_where_there_is_nothing_to_fill(database: str, rows: str) -> None:
    async with connected(database) as connection:
        if rows == "an application's":
            await connection.execute(application_schema.TABLES)
        elif rows != "nothing":
            await make_version_1(connection)
    async with opened(database) as worker:
        assert await worker.value("SELECT count(*) FROM unified_worker.rebuild") == 0
        await Rebuild(worker.pool).finish()
        assert await worker.value("SELECT count(*) FROM unified_worker.rebuild") == 0


async def test_an_application_without_an_index_on_what_is_quoted(database: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connected(database) as connection:
        await connection.execute(application_schema.TABLES)
    async with opened(database) as worker:
        await tell(worker)
        before = await derived(worker.connection)
        await worker.connection.execute(WRECKED)
        await Rebuild(worker.pool).run()
        assert await derived(worker.connection) == before
        assert "CREATE INDEX CONCURRENTLY ON quotes (quoted_uri)" in caplog.text
        caplog.clear()
        await worker.connection.execute("CREATE INDEX ON quotes (quoted_uri)")
        await Rebuild(worker.pool).run()
        assert "CREATE INDEX" not in caplog.text


async def test_the_command(database: str, tmp_path: Path) -> None:
    async with opened(database) as worker:
        await tell(worker)
        before = await derived(worker.connection)
        await worker.connection.execute(WRECKED)
    async with RelayServer(()) as relay, running(database, relay.url), connected(database) as connection:
        async with Process(tmp_path, "rebuild-derived", **settings(database, relay.url)) as process:
            assert await process.ends() == 0
            await process.says(r"\[INFO\] Rebuilding derived rows: step 2 of 15 \(posts\), 11 rows, [0-9,]+ rows/s$")
            await process.says(r"\[INFO\] Derived rows are rebuilt: [0-9,]+ rows checked, [0-9,]+ written or deleted$")
        assert await derived(connection) == before
        await connection.execute(f"SELECT pg_advisory_lock({ONE_REBUILD})")
        async with Process(tmp_path, "rebuild-derived", **settings(database, relay.url)) as process:
            assert await process.ends() == 1
            await process.says(r"\[ERROR\] another process is rebuilding")
    async with Process(tmp_path, "rebuild-derived") as process:
        assert await process.ends() == 2
    for argument in ("--reset-cursor", "stray"):
        async with Process(tmp_path, "rebuild-derived", argument) as process:
            assert await process.ends() == 2
    async with Process(tmp_path, "rebuild-derived", "--help") as process:
        assert await process.ends() == 0
        assert "--embedded" in process.output


@pytest.mark.long
async def test_the_command_stops_between_two_chunks(database: str, tmp_path: Path) -> None:
    async with opened(database) as worker:
        await tell(worker)
        before = await derived(worker.connection)
        await worker.connection.execute(EMPTIED)
        takes_long = worker.connection.transaction()
        await takes_long.start()
        await worker.connection.execute(f"SELECT pg_advisory_xact_lock_shared({REBUILDING})")  # as a commit that takes long
        async with Process(tmp_path, "rebuild-derived", **settings(database, "ws://127.0.0.1:9")) as process:
            await process.says("rebuilds derived rows of")
            await process.says("Cannot rebuild derived rows now")
            process.signal(2)
            await process.says("SIGINT: stopping")
            await takes_long.rollback()
            assert await process.ends() == 0
            await process.says(r"stopped in step 1 of 15 \(thread_gates\); the next rebuild resumes there")
        assert await worker.value("SELECT bool_or(done) FROM unified_worker.rebuild") is False
        assert await Rebuild(worker.pool).run()
        assert await derived(worker.connection) == before


async def test_a_killed_command_leaves_a_rebuild_that_a_worker_ends(database: str, tmp_path: Path) -> None:
    async with opened(database) as worker:
        await fill(worker.connection)
        await Rebuild(worker.pool).run()
        before = await derived(worker.connection)
        await worker.connection.execute(EMPTIED + "DELETE FROM unified_worker.rebuild")
    async with RelayServer(()) as relay, connected(database) as connection:
        async with Process(tmp_path, "rebuild-derived", **settings(database, relay.url)) as process:
            begun = "SELECT count(*) > 0 FROM unified_worker.rebuild WHERE rows > 0"
            await until(lambda: connection.fetchval(begun), "the rebuild is under way", poll=0.001)
            process.kill()
        assert not await connection.fetchval(DONE), "it was killed too late"
        async with running(database, relay.url):
            await until(lambda: connection.fetchval(DONE), "the rest is rebuilt")
        assert await derived(connection) == before
