"""`check`: silent over what is right, and loud over each kind of wrong; by a recount of its own."""

import re

import pytest

from testing.commits import LIKE, POST, REPOST, Stream, did, like, put
from testing.database_side import Worker
from testing.databases import connected
from testing.model import GENERATOR, LABELER
from tests.database.functions.test_rebuild import NOBODY, tell, uri
from unified_indexer.command_line.commands.check import Check
from unified_indexer.config.settings import Config
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.recount.bookkeeping import books
from unified_indexer.database.recount.compare import COMPARE, PLANS, KeySample, Scope, compare
from unified_indexer.database.recount.notifications import notifications
from unified_indexer.database.recount.rows import derived
from unified_indexer.records import RECORD_TYPES

KINDS = {
    kind.name: kind
    for kind in (
        *derived("public"),
        notifications("public", strict=True),
        *books("public"),
    )
}
EVERYTHING, SAMPLE = None, KeySample(1_000, 1)

# What may go wrong, by the kind that is to say so: (statement, how many differences).
WRONG: list[tuple[str, str, int]] = [
    ("post_aggregations", f"UPDATE post_aggregations SET like_count = like_count + 1 WHERE post_uri = '{uri('a', '1')}'", 1),
    ("post_aggregations", f"UPDATE post_aggregations SET reply_count = 0 WHERE post_uri = '{uri('a', '1')}'", 1),
    ("post_aggregations", f"DELETE FROM post_aggregations WHERE post_uri = '{uri('a', '3')}'", 1),
    ("post_aggregations", f"INSERT INTO post_aggregations (post_uri, quote_count) VALUES ('{NOBODY}.post/1', 1)", 1),
    ("post_aggregations", f"INSERT INTO post_aggregations (post_uri) VALUES ('{NOBODY}.post/1')", 1),
    ("feed_generators.like_count", "UPDATE feed_generators SET like_count = 3", 1),
    ("labeler_services.like_count", "UPDATE labeler_services SET like_count = 0", 1),
    ("feed_items", f"DELETE FROM feed_items WHERE uri = '{uri('b', 'r', REPOST)}'", 1),
    ("feed_items", f"DELETE FROM feed_items WHERE uri = '{uri('a', '1')}'", 1),
    ("feed_items", "UPDATE feed_items SET type = 'post' WHERE type = 'reply'", 5),
    ("feed_items", f"UPDATE feed_items SET cid = 'wrong' WHERE uri = '{uri('a', '1')}'", 1),
    ("feed_items", f"UPDATE feed_items SET sort_at = created_at WHERE uri = '{uri('d', 'late')}'", 1),
    ("feed_items", f"UPDATE feed_items SET post_uri = '{NOBODY}.post/1' WHERE type = 'repost'", 2),
    ("feed_items", f"UPDATE feed_items SET uri = '{NOBODY}.post/1' WHERE uri = '{uri('a', '1')}'", 2),
    ("quotes", f"DELETE FROM quotes WHERE post_uri = '{uri('c', 'q')}'", 1),
    ("quotes", f"UPDATE quotes SET quoted_uri = '{NOBODY}.post/1' WHERE post_uri = '{uri('c', 'q')}'", 1),
    ("quotes", f"""INSERT INTO quotes (uri, cid, post_uri, quoted_uri, created_at)
        VALUES ('{NOBODY}.post/1#quote', '', '{NOBODY}.post/1', '{uri("a", "1")}', now())""", 1),
    ("post_viewer_states", "UPDATE post_viewer_states SET like_uri = NULL WHERE repost_uri IS NULL AND viewer_did ~ 'c$'", 1),
    ("post_viewer_states", "DELETE FROM post_viewer_states WHERE repost_uri IS NOT NULL", 2),
    ("post_viewer_states", f"""INSERT INTO post_viewer_states (post_uri, viewer_did, like_uri)
        VALUES ('{uri("a", "1")}', 'did:plc:nobody', '{NOBODY}.like/1')""", 1),
    ("thread_contexts", "UPDATE thread_contexts SET root_author_like_uri = NULL", 1),
    ("thread_contexts", f"DELETE FROM thread_contexts WHERE post_uri = '{uri('b', '1')}'", 1),
    ("thread_contexts", f"INSERT INTO thread_contexts (post_uri) VALUES ('{uri('a', '1')}')", 1),
    ("posts (gates)", "UPDATE posts SET has_thread_gate = NOT has_thread_gate", 11),
    ("posts (gates)", "UPDATE posts SET has_post_gate = false", 1),
    ("posts (gates)", "UPDATE posts SET violates_embedding_rules = false", 2),
    ("posts (gates)", f"UPDATE posts SET violates_thread_gate = true WHERE uri IN ('{uri('b', '1')}', '{uri('a', '1')}')", 2),
    ("notifications", "DELETE FROM notifications WHERE reason = 'mention'", 4),
    ("notifications", f"UPDATE notifications SET recipient_did = '{did('z')}' WHERE reason = 'reply' AND is_read", 4),
    ("notifications", "UPDATE notifications SET reason_subject = '' WHERE reason = 'verified'", 1),
    ("notifications", "UPDATE notifications SET author_did = '' WHERE reason = 'starterpack-joined'", 1),
    ("notifications", f"""INSERT INTO notifications (uri, recipient_did, author_did, reason, created_at)
        VALUES ('{NOBODY}.like/1#notification', '{did("a")}', 'did:plc:nobody', 'like', now())""", 1),
    ("notifications", "DELETE FROM notifications WHERE reason IN ('like-via-repost', 'repost-via-repost')", 2),
]  # fmt: skip
# The same of what no rebuild sees to; with what mends it.
BOOKS: list[tuple[str, str, str]] = [
    ("users", f"DELETE FROM users WHERE did = '{did('b')}'", f"INSERT INTO users (did, handle) VALUES ('{did('b')}', '')"),
    ("repos.has_user", f"DELETE FROM users WHERE did = '{did('b')}'",
        f"UPDATE unified_worker.repos SET has_user = false WHERE did = '{did('b')}'"),
    ("repos.held", "UPDATE unified_worker.repos SET held = false", "UPDATE unified_worker.repos SET held = true"),
    ("repos.sync", "UPDATE unified_worker.repos SET sync = 2", "UPDATE unified_worker.repos SET sync = 0"),
    ("repos.sync", "UPDATE unified_worker.repos SET sync = 4, sync_reason = 'unknown'",
        "UPDATE unified_worker.repos SET sync = 2"),
    ("repos.sync", "UPDATE unified_worker.repos SET unproven_at = now()", "UPDATE unified_worker.repos SET unproven_at = NULL"),
    ("duplicates of likes", "UPDATE unified_worker.duplicate_records SET created_at = '2000-01-01'",
        "UPDATE unified_worker.duplicate_records SET created_at = '2100-01-01'"),
    ("duplicates of likes", f"UPDATE likes SET created_at = '2100-01-01' WHERE user_did = '{did('c')}'",
        f"UPDATE likes SET created_at = '2000-01-01' WHERE user_did = '{did('c')}'"),
    ("duplicates of likes", f"DELETE FROM likes WHERE user_did = '{did('c')}'",
        f"SELECT unified_worker.settle_likes(ARRAY['{did('c')}', '{uri('a', '1')}'])"),
    ("duplicates of likes",
        f"UPDATE unified_worker.duplicate_records SET uri = '{uri('b', 'g', LIKE)}' WHERE uri LIKE '%second'",
        "DELETE FROM unified_worker.duplicate_records"),
    ("dead_frames", "DELETE FROM unified_worker.dead_frames", "UPDATE unified_worker.dead_letters SET frame_sha256 = NULL"),
    ("dead_frames", "DELETE FROM unified_worker.dead_letters", "DELETE FROM unified_worker.dead_frames"),
    ("users.handle", f"UPDATE users SET handle = 'x.test' WHERE did = '{did('b')}'",
        f"SELECT unified_worker.show_handle('{did('b')}')"),
    ("users.handle", "UPDATE users SET handle = 'handle.invalid'", f"SELECT unified_worker.show_handle('{did('a')}')"),
    ("deletions", f"""UPDATE unified_worker.repos SET active = false, status = 'deletion_unconfirmed'
        WHERE did = '{did('a')}'""", f"INSERT INTO unified_worker.deletions (did) VALUES ('{did('a')}')"),
    ("dead_frames_size", "UPDATE unified_worker.dead_frames_size SET bytes = bytes + 1",
        "UPDATE unified_worker.dead_frames_size SET bytes = bytes - 1"),
    ("firehose_cursor", "INSERT INTO firehose_cursor (service, cursor) VALUES ('relay', '12x')", "DELETE FROM firehose_cursor"),
]  # fmt: skip


async def told(worker: Worker) -> None:
    """A story with a dead letter, a record that waits, and a handle that two claim."""
    await tell(worker)
    stream = Stream(seq=100)
    await worker.write(stream.commit("c", put(f"{LIKE}/second", like(uri("a", "1"), 9)), put(f"{LIKE}/bad", {"$type": LIKE})))
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", "x.test"))
    assert await worker.value("SELECT count(*) FROM unified_worker.duplicate_records") == 2


async def differences(worker: Worker, sample: KeySample | None = EVERYTHING) -> dict[str, int]:
    """By kind, where there are any."""
    found = [await compare(worker.connection, kind, sample) for kind in KINDS.values()]
    assert all(one.looked is not None for one in found)
    return {one.kind.name: one.differences for one in found if one.differences}


async def checked(worker: Worker, sample: KeySample | None = EVERYTHING, *, strict: bool = False) -> bool:
    check = Check(Config.from_env({"DATABASE_URL": worker.pool.url}), sample, strict=strict)
    await check.run()
    return check.sound


@pytest.mark.parametrize("sample", [EVERYTHING, SAMPLE, KeySample(1, 2)], ids=["full", "sample", "one key"])
async def test_what_is_right_has_no_differences(both_worker: Worker, sample: KeySample | None) -> None:
    await told(both_worker)
    found = {name: await compare(both_worker.connection, kind, sample) for name, kind in KINDS.items()}
    assert {name: one.examples for name, one in found.items() if one.differences} == {}
    empty = {name for name, one in found.items() if not one.looked}
    unheard_of = {f"duplicates of {record_type.table}" for record_type in RECORD_TYPES} - {"duplicates of likes"}
    unheard_of |= {f"{record_type.table} (times)" for record_type in RECORD_TYPES}
    assert empty <= unheard_of | {"firehose_cursor", "deletions"}, "the story lacks something, or nothing was looked at"


async def test_a_sample_finds_each_wrong_too(worker: Worker) -> None:
    await told(worker)
    for name, statement, count in WRONG:
        transaction = worker.connection.transaction(isolation="repeatable_read")
        await transaction.start()
        await worker.connection.execute(statement)
        assert (await compare(worker.connection, KINDS[name], SAMPLE)).differences == count, statement
        await transaction.rollback()


@pytest.mark.long
async def test_each_wrong_is_found_and_mended_by_a_rebuild(both_worker: Worker) -> None:
    await told(both_worker)
    connection = both_worker.connection
    for name, statement, count in WRONG:
        async with connection.transaction():
            assert int((await connection.execute(statement)).split()[-1]) > 0, statement
        found = await compare(connection, KINDS[name], EVERYTHING)
        assert found.differences == count, (statement, found.examples)
        assert len(found.examples) == min(count, 5)
        assert await Rebuild(both_worker.pool).run()
        assert await differences(both_worker) == {}, statement


@pytest.mark.parametrize("sample", [EVERYTHING, SAMPLE], ids=["full", "sample"])
async def test_each_wrong_of_the_books_is_found(worker: Worker, sample: KeySample | None) -> None:
    await told(worker)
    for name, statement, remedy in BOOKS:
        transaction = worker.connection.transaction(isolation="repeatable_read")
        await transaction.start()
        await worker.connection.execute(statement)
        assert (await compare(worker.connection, KINDS[name], sample)).differences > 0, statement
        await worker.connection.execute(remedy)
        assert (await compare(worker.connection, KINDS[name], sample)).differences == 0, remedy
        await transaction.rollback()


async def test_the_application_s_own_is_none_of_it(both_worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    """Bookmarks, flags, what was read, reasons of its own, and notifications that it deleted."""
    await told(both_worker)
    await both_worker.connection.execute(
        f"""
        UPDATE post_aggregations SET bookmark_count = 9;
        INSERT INTO post_aggregations (post_uri, bookmark_count) VALUES ('{NOBODY}.post/9', 1);
        INSERT INTO post_viewer_states (post_uri, viewer_did, thread_muted) VALUES ('{NOBODY}.post/9', '{did("a")}', true);
        UPDATE post_viewer_states SET pinned = true;
        UPDATE notifications SET is_read = NOT is_read;
        INSERT INTO users (did, handle) VALUES ('did:plc:nobody', 'nobody.test');
        """
    )
    assert await differences(both_worker) == {}
    await both_worker.connection.execute("DELETE FROM notifications WHERE reason = 'like'")
    assert await checked(both_worker)
    made_by = await both_worker.value("SELECT min(tables_by) FROM unified_worker.schema_version")
    said = capsys.readouterr().out
    assert ("the application may have deleted them" in said) == (made_by == "application")
    assert ("rebuild-derived brings them back" in said) == (made_by == "worker"), "there is none that we know of"
    assert not await checked(both_worker, strict=True)


async def test_an_unfinished_rebuild_says_nothing_of_derived_rows(worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    await told(worker)
    await worker.connection.execute("SELECT unified_worker.begin_rebuild(); DELETE FROM feed_items")
    assert await checked(worker)
    assert "a rebuild is running" in capsys.readouterr().out
    assert await Rebuild(worker.pool).run()
    assert await checked(worker)
    await worker.connection.execute("DELETE FROM feed_items")
    assert not await checked(worker)


async def test_a_sample_reads_no_table_whole(worker: Worker) -> None:
    """Whatever the tables have grown to."""
    plans: dict[str, str] = {}
    async with worker.connection.transaction():
        await worker.connection.execute(PLANS, "off")
        for kind in (kind for kind in KINDS.values() if kind.sources):
            scope = Scope(sampled=True)
            query = COMPARE.format(should=kind.should(scope), has=kind.has(scope), examples=1)
            plans[kind.name] = "\n".join(await Worker.column(worker, f"EXPLAIN {query}".replace("$1", "'{a,b,c}'")))
    whole = r"Seq Scan on|(?:Index|Index Only) Scan using \w+ on \w+[^\n]*\n(?!\s+(?:Index Cond|Recheck Cond))"
    assert {name: found for name, plan in plans.items() if (found := re.findall(whole, plan))} == {}
    assert "Index Cond" in plans["post_aggregations"]


async def test_a_sample_is_of_random_keys_and_the_same_by_its_seed(worker: Worker) -> None:
    """Of 60,000 likes 500 are looked at; every one of them may be."""
    await worker.connection.execute(
        f"""INSERT INTO likes (uri, user_did, post_uri, created_at, commit_time)
        SELECT 'at://did:plc:' || md5(n::text) || '/{LIKE}/1', 'did:plc:' || md5(n::text), 'at://did:plc:a/{POST}/' || n, now(),
          now()
        FROM generate_series(1, 60000) AS n; ANALYZE likes"""
    )
    kind = KINDS["post_aggregations"]
    found = [await compare(worker.connection, kind, KeySample(500, seed)) for seed in (1, 1, 2, 3)]
    assert [one.looked for one in found] == [100] * 4, "a fifth of the keys is of likes, the other tables are empty"
    assert [one.differences for one in found] == [100] * 4
    assert found[0].examples == found[1].examples
    assert len({one.examples[0].key for one in found[1:]}) == 3


async def test_a_look_that_takes_too_long_is_told(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("unified_indexer.database.recount.compare.SAMPLE_TIMEOUT", "300ms")
    await told(worker)
    async with connected(worker.pool.url) as other, other.transaction():
        await other.execute("LOCK TABLE labeler_services")
        assert not await checked(worker, SAMPLE)
    said = capsys.readouterr().out
    assert "(an index may be missing; try --full): labeler_services.like_count, users, labeler_services (times)." in said
    assert "No differences" in said


def test_every_count_and_reference_has_its_kind() -> None:
    assert {f"duplicates of {record_type.table}" for record_type in RECORD_TYPES if record_type.unique} <= set(KINDS)
    assert {f"{record_type.table}.like_count" for record_type in RECORD_TYPES if record_type.shows} <= set(KINDS)
    assert {GENERATOR, LABELER} == {record_type.collection for record_type in RECORD_TYPES if record_type.shows}
