"""One transaction a commit, once, in order: what a call of the procedure leaves behind."""

import asyncio
import itertools

import asyncpg
import pytest

from relay_simulator.encoding import tid
from testing.commits import CID, FOLLOW, LIKE, POST, PROFILE, Stream, delete, did, follow, like, post, profile, put
from testing.database_side import Worker, opened
from testing.databases import connected
from unified_indexer.database.write.outcome import APPLIED, Outcome, Result
from unified_indexer.database.write.writer import Writer
from unified_indexer.protocol.events import Account, Commit, Sync, Unusable
from unified_indexer.selection import Selection

URI = f"at://{did('author')}/{POST}/1"


@pytest.mark.promise(1)
async def test_every_commit_of_a_call_is_a_transaction_of_its_own(any_worker: Worker) -> None:
    stream = Stream()
    commits = [stream.commit(f"a{n}", put(f"{POST}/1", post())) for n in range(250)]
    assert await any_worker.write(*commits) == ["applied"] * 250
    assert await any_worker.value("SELECT count(DISTINCT xmin::text) FROM posts") == 250
    # The rows of one commit are of one transaction, its repo's state included.
    assert await any_worker.value(
        "SELECT bool_and(p.xmin::text = r.xmin::text AND p.xmin::text = u.xmin::text) "
        "FROM posts p JOIN unified_worker.repos r ON r.did = p.author_did JOIN users u ON u.did = p.author_did"
    )


@pytest.mark.promise(1)
async def test_a_commit_whose_last_op_fails_leaves_nothing(any_worker: Worker) -> None:
    await any_worker.connection.execute("ALTER TABLE likes ADD CHECK (post_uri NOT LIKE '%/forbidden')")
    stream = Stream()
    before = stream.commit("before", put(f"{POST}/1", post()))
    bad = stream.commit(
        "bad",
        put(f"{POST}/1", post()),
        put(f"{FOLLOW}/1", follow(did("x"))),
        put(f"{PROFILE}/self", profile("bad")),
        put(f"{LIKE}/1", like(f"at://{did('x')}/{POST}/forbidden")),
    )
    after = stream.commit("after", put(f"{POST}/1", post()))
    assert await any_worker.write(before, bad, after) == ["applied", "refused:23514", "applied"]
    assert await any_worker.column("SELECT author_did FROM posts ORDER BY 1") == [did("after"), did("before")]
    # Who wrote has a row, whatever became of the commit.
    assert await any_worker.column("SELECT did FROM users ORDER BY 1") == [did("after"), did("bad"), did("before")]
    assert await any_worker.value("SELECT count(*) FROM follows") == 0
    assert await any_worker.value("SELECT rev FROM unified_worker.repos WHERE did = $1", did("bad")) == ""


@pytest.mark.promise(1)
async def test_a_commit_becomes_visible_as_a_whole(worker: Worker) -> None:
    stream = Stream()
    commits = [stream.commit("a", *(put(f"{POST}/{n}-{op}", post()) for op in range(5))) for n in range(200)]
    seen: set[int] = set()

    async with connected(worker.pool.url) as reader:

        async def look() -> int:
            count = await reader.fetchval("SELECT count(*) FROM posts")
            seen.add(count)
            return count

        writing = asyncio.create_task(worker.write(*commits))
        while await look() < 1000:
            pass
        await writing
    assert all(count % 5 == 0 for count in seen)
    assert len(seen) > 2, "the reader looked too late to see anything but the end"


@pytest.mark.promise(3)
async def test_a_replay_of_any_stretch_changes_nothing(both_worker: Worker) -> None:
    stream = Stream()
    story: list[Commit] = [
        stream.commit("a", put(f"{POST}/1", post("first"))),
        stream.commit("a", put(f"{LIKE}/1", like(URI)), put(f"{LIKE}/2", like(URI, -1))),
        stream.commit("b", put(f"{FOLLOW}/1", follow(did("a"))), put(f"{PROFILE}/self", profile("B"))),
        stream.commit("a", put(f"{POST}/1", post("second"), "update"), delete(f"{LIKE}/2")),
        stream.commit("b", delete(f"{FOLLOW}/1"), delete(f"{PROFILE}/self")),
        stream.commit("a", delete(f"{POST}/1"), put(f"{POST}/1", post("third"))),
        stream.commit("b", put(f"{FOLLOW}/1", follow(did("c")))),
    ]
    assert set(await both_worker.write(*story)) == {"applied"}
    whole = await both_worker.rows()
    assert [row["text"] for row in whole["posts"]] == ["third"]
    assert [row["uri"] for row in whole["likes"]] == [f"at://{did('a')}/{LIKE}/1"]
    assert [row["following_did"] for row in whole["follows"]] == [did("c")]
    for first, last in itertools.combinations(range(len(story) + 1), 2):
        assert set(await both_worker.write(*story[first:last])) == {"stale"}
    assert await both_worker.rows() == whole


@pytest.mark.promise(3)
async def test_stale_fork_and_first_sight(worker: Worker) -> None:
    stream = Stream()
    one, two, three = (stream.commit("a", put(f"{POST}/{n}", post())) for n in range(3))
    fork = stream.commit("a", put(f"{POST}/fork", post()), rev=two.rev, content="another tree")
    assert await worker.write(two) == ["applied"], "a repo first seen in mid-stream is accepted at whatever rev"
    assert await worker.write(one, two, fork) == ["stale", "stale", "rev_fork"]
    assert await worker.write(three, fork) == ["applied", "stale"]
    assert await worker.column("SELECT uri FROM posts ORDER BY 1") == [f"at://{did('a')}/{POST}/{n}" for n in (1, 2)]
    row = await worker.connection.fetchrow("SELECT rev, seq FROM unified_worker.repos")
    assert row is not None
    assert tuple(row) == (three.rev, three.seq)


@pytest.mark.promise(3)
async def test_what_the_guard_skips_is_counted(worker: Worker) -> None:
    stream = Stream()
    commit = stream.commit("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", {"$type": LIKE}))
    fork = stream.commit("a", put(f"{LIKE}/1", {"$type": LIKE}), rev=commit.rev, content="another tree")
    await worker.processor.process_batch(0, [commit, commit, fork])
    assert (worker.metrics.stale, worker.metrics.rev_fork) == (1, 1)
    assert dict(worker.metrics.refused) == {"missing_field": 1}
    assert worker.metrics.dead_letters == 1


@pytest.mark.parametrize("size", [1, 2])
async def test_the_lock_s_connection_is_the_lane_s_where_there_is_one_alone(database: str, size: int) -> None:
    async with opened(database, size=size) as worker:
        assert await worker.write(Stream().commit("a", put(f"{POST}/1", post()))) == ["applied"]
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%python%' AND datname = current_database()"
        assert await worker.value(count) == size


async def test_revs_and_uris_compare_by_their_bytes_under_any_collation(any_database: str) -> None:
    # This collation takes a row of digits for a number: 33 comes after 3, whatever follows.
    name = any_database.partition("?")[0].rpartition("/")[2]
    async with connected(any_database) as connection:
        try:
            await connection.execute(
                f"CREATE DATABASE {name}_icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-u-kn-true' LOCALE 'C'"
            )
        except asyncpg.FeatureNotSupportedError:
            pytest.skip("this PostgreSQL was built without ICU")
        try:
            async with opened(any_database.replace(f"/{name}?", f"/{name}_icu?")) as worker:
                assert await worker.value("SELECT '33a' > '3a'"), "this database does not sort as the test needs it"
                stream = Stream()
                old = stream.commit("a", put(f"{POST}/1", post("old")), rev="33a2222222222")
                new = stream.commit("a", put(f"{POST}/1", post("new")), rev="3a22222222222")
                assert await worker.write(old, new, old) == ["applied", "applied", "stale"]
                assert await worker.column("SELECT text FROM posts") == ["new"]
                likes = [stream.commit("b", put(f"{LIKE}/{rkey}", like(URI))) for rkey in ("9", "10", "11")]
                await worker.write(*likes)
                assert await worker.column("SELECT uri FROM likes") == [f"at://{did('b')}/{LIKE}/10"]
                await worker.write(stream.commit("b", delete(f"{LIKE}/10")))
                assert await worker.column("SELECT uri FROM likes") == [f"at://{did('b')}/{LIKE}/11"]
        finally:
            await connection.execute(f"DROP DATABASE {name}_icu WITH (FORCE)")


@pytest.mark.promise(1)
async def test_the_owner_s_methods_write_in_the_caller_s_transaction(both_worker: Worker) -> None:
    processor, connection = both_worker.processor, both_worker.connection
    a = did("a")
    like_uri = f"at://{a}/{LIKE}/1"

    async def write_all() -> None:
        await processor.ensure_user(connection, did("b"))
        await processor.process_post(connection, f"at://{a}/{POST}/1", CID, a, post())
        await processor.process_like(connection, like_uri, CID, a, like(URI))
        await processor.process_repost(
            connection, f"at://{a}/app.bsky.feed.repost/1", CID, a, {**like(URI), "$type": "app.bsky.feed.repost"}
        )
        await processor.process_follow(connection, f"at://{a}/{FOLLOW}/1", CID, a, follow(did("b")))
        await processor.process_profile(connection, f"at://{a}/{PROFILE}/self", CID, a, profile("A"))
        outcome = await processor.process_commit(connection, Stream().commit("c", put(f"{POST}/1", post())))
        assert outcome == "applied"

    transaction = connection.transaction()
    await transaction.start()
    await write_all()
    counts = {table: len(rows) for table, rows in (await both_worker.rows()).items()}
    assert counts == {"users": 3, "posts": 2, "likes": 1, "reposts": 1, "follows": 1}
    await transaction.rollback()
    assert not any((await both_worker.rows()).values())

    await write_all()
    await processor.process_like(connection, f"at://{a}/{LIKE}/0", CID, a, like(URI, -5))
    assert [row["uri"] for row in (await both_worker.rows())["likes"]] == [f"at://{a}/{LIKE}/0"], "the older like holds"
    await processor.process_delete(connection, f"at://{a}/{LIKE}/0")
    assert [row["uri"] for row in (await both_worker.rows())["likes"]] == [like_uri]
    await processor.process_delete(connection, f"at://{a}/{PROFILE}/self")
    names = {row["did"]: row["display_name"] for row in (await both_worker.rows())["users"]}
    assert names == {a: None, did("b"): None, did("c"): None}
    await processor.process_delete(connection, f"at://{a}/app.example.unknown/1")


@pytest.mark.promise(6)
async def test_a_sync_moves_the_rev_and_marks_a_repo_whose_tree_is_not_ours(worker: Worker) -> None:
    stream = Stream()
    marked = "SELECT sync_reason FROM unified_worker.repos WHERE did = $1"
    ours = stream.commit("a", put(f"{POST}/1", post()))
    assert ours.data is not None
    later, latest = (stream.commit("a", put(f"{POST}/{n}", post())) for n in "23")

    def sync(rev: str, data: bytes) -> Sync:
        return Sync(stream.seq, did("a"), rev, ours.time, data, b"")

    assert await worker.write(ours, sync(later.rev, ours.data)) == ["applied", "applied"]
    assert await worker.value(marked, did("a")) is None, "the tree is the one that we have"
    assert await worker.write(later) == ["rev_fork"]
    assert latest.data is not None
    assert await worker.write(sync(latest.rev, latest.data), sync(ours.rev, ours.data)) == ["sync_differs", "stale"]
    assert await worker.value(marked, did("a")) == "sync_differs"
    unseen = Sync(stream.seq, did("b"), latest.rev, ours.time, latest.data, b"")
    assert await worker.write(unseen) == ["applied"]
    assert await worker.value(marked, did("b")) is None, "nothing is known of what it had before: its history is unseen"


@pytest.mark.promise(6)
async def test_a_commit_that_follows_on_one_that_never_came_marks_its_repo(worker: Worker) -> None:
    stream = Stream()
    mark = "SELECT sync, sync_reason, sync_at = now() FROM unified_worker.repos WHERE did = $1"
    one, two, three, four = (stream.commit("a", put(f"{POST}/{n}", post())) for n in range(4))
    whole = [one, two._replace(since=one.rev), three._replace(since=None)]  # not known: nothing to compare
    assert await worker.write(*whole) == ["applied"] * 3
    assert tuple(await worker.connection.fetchrow(mark, did("a")) or ()) == (0, None, None)
    assert await worker.write(four._replace(since=two.rev)) == ["chain_broken"]
    assert tuple(await worker.connection.fetchrow(mark, did("a")) or ()) == (2, "chain_broken", False)
    assert len(await worker.column("SELECT uri FROM posts")) == 4, "it is applied all the same"
    assert await worker.write(four._replace(since=two.rev)) == ["stale"]
    first = stream.commit("b", put(f"{POST}/1", post()))._replace(since=one.rev)
    assert await worker.write(first) == ["applied"], "nothing is known of what the repo had before"
    await worker.processor.process_batch(0, [stream.commit("b", put(f"{POST}/2", post()))._replace(since=one.rev)])
    assert (worker.metrics.doubts["chain_broken"], worker.metrics.operations.total()) == (1, 1)


LEFT_OUT = ("too_big", "broken", "of no rev", "by the database", "filtered", "sync", "inactive")


def left_out(stream: Stream, how: str, first: Commit) -> Commit | Unusable | Sync:
    """An event that moves no row: of the repo whose commit `first` was."""
    match how:
        case "too_big":
            return stream.too_big("a")
        case "broken":
            return stream.broken("a", put(f"{POST}/2", post()))
        case "of no rev":
            return stream.broken("a", put(f"{POST}/2", post()))._replace(rev=None)
        case "sync":
            later = stream.commit("a", put(f"{POST}/2", post()))
            assert first.data is not None
            return Sync(later.seq, did("a"), later.rev, later.time, first.data, b"")
        case "filtered":
            return stream.commit("a", put(f"{LIKE}/2", like(URI, 0)))
        case _:
            return stream.commit("a", put(f"{POST}/2", post() | {"text": "no"}))


@pytest.mark.parametrize("how", LEFT_OUT)
async def test_what_came_and_was_left_out_breaks_no_chain(worker: Worker, how: str) -> None:
    stream, writer = Stream(), Writer(worker.pool, Selection((POST,)))
    if how == "by the database":
        await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'no')")
    first = stream.commit("a", put(f"{POST}/1", post()))
    await writer.write(0, [first])
    if how == "inactive":
        await worker.write(Account(stream.seq, did("a"), first.time, False, "deactivated", b""))
    out = left_out(stream, how, first)
    await writer.write(0, [out])
    if how == "inactive":
        await worker.write(Account(stream.seq + 1, did("a"), first.time, True, None, b""))
    last = stream.commit("a", put(f"{POST}/3", post()))._replace(since=out.rev or tid(1, 0))
    assert (await writer.write(0, [last]))[1] == [APPLIED]
    lost = stream.commit("a", put(f"{POST}/4", post()))._replace(since=tid(2, 0))
    assert (await writer.write(0, [lost]))[1] == [Outcome(Result.CHAIN_BROKEN)], "what was forgiven is forgiven once"
