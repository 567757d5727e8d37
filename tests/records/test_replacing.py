"""A record that comes again under its URI, new or as it was, is replaced where it is: what its notifications know stays."""

from typing import Any

import pytest

from testing.commits import CID, FOLLOW, LIKE, POST, REPOST, Op, Stream, delete, did, follow, like, post, put, repost
from testing.database_side import Worker
from testing.meetings import verification

A = did("a")
SUBJECT, OTHER = (f"at://{A}/{POST}/{rkey}" for rkey in "12")
VIA = {"uri": f"at://{did('c')}/{REPOST}/1", "cid": CID}
# As where another writer filled the tables: nothing is known of its commits.
FORGET = "TRUNCATE unified_worker.repos, unified_worker.duplicate_records"
READ = "UPDATE notifications SET is_read = true, indexed_at = '2026-01-01'"
KEPT = "SELECT uri, id, is_read, indexed_at, reason, created_at, cid FROM notifications ORDER BY uri"
FOLLOWS = "post_aggregations", "post_viewer_states", "feed_items"
COUNTS = "SELECT post_uri, like_count, repost_count FROM post_aggregations ORDER BY 1"


def acts(minute: int = 0, subject: str = SUBJECT) -> list[Op]:
    """One of each kind that notifies and has a unique key, by one account."""
    return [
        put(f"{LIKE}/1", like(subject, minute, via=VIA)),
        put(f"{REPOST}/1", {**repost(subject, minute), "via": VIA}),
        put(f"{FOLLOW}/1", follow(A if subject == SUBJECT else did("d"), minute)),
        verification(A if subject == SUBJECT else did("d"), minute),
    ]


async def fetched(worker: Worker, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await worker.connection.fetch(query)]


async def waiting(worker: Worker) -> list[str]:
    return await worker.column("SELECT uri FROM unified_worker.duplicate_records ORDER BY 1")


async def test_a_replay_over_another_writer_s_rows_leaves_read_what_was_read(both_worker: Worker) -> None:
    stream = Stream()
    commits = [stream.commit("b", act) for act in (put(f"{POST}/1", post()), *acts())]
    await both_worker.write(*commits)
    await both_worker.connection.execute(READ)
    said = "SELECT to_jsonb(t) - '{{created_at,updated_at,indexed_at}}'::text[] FROM {} AS t ORDER BY 1"
    before = {query: await fetched(both_worker, query) for query in (KEPT, *map(said.format, FOLLOWS))}
    assert [row[4] for row in before[KEPT]] == ["like", "like-via-repost", "repost", "repost-via-repost", "follow", "verified"]
    await both_worker.connection.execute(FORGET)
    await both_worker.connection.execute("DELETE FROM notifications WHERE reason = 'repost'")
    assert await both_worker.write(*commits) == ["applied"] * 5
    missing = f"{READ}, id = {{}} WHERE reason = 'repost' AND NOT is_read"
    (repost_id,) = (row[1] for row in before[KEPT] if row[4] == "repost")
    assert await both_worker.connection.execute(missing.format(repost_id)) == "UPDATE 1", "what was missing is made"
    assert {query: await fetched(both_worker, query) for query in before} == before
    assert await waiting(both_worker) == []
    assert await both_worker.column("SELECT DISTINCT held FROM unified_worker.repos") == [False]


@pytest.mark.parametrize("minute", [-1, 0, 1])
async def test_an_update_keeps_what_was_read(both_worker: Worker, minute: int) -> None:
    stream = Stream()
    await both_worker.write(stream.commit("b", *acts()))
    await both_worker.connection.execute(READ)
    before, counts = await fetched(both_worker, KEPT), await fetched(both_worker, COUNTS)
    assert await both_worker.write(stream.commit("b", *acts(minute))) == ["applied"]
    after = await fetched(both_worker, KEPT)
    assert [row[:5] for row in after] == [row[:5] for row in before]
    for table in ("likes", "reposts", "follows", "verifications"):
        (row,) = (await both_worker.rows([table]))[table]
        assert {told[5] for told in after if told[0].startswith(f"{row['uri']}#")} == {
            await both_worker.value(f"SELECT created_at FROM {table}")
        }
        assert row.get("commit_rev", stream.revs["b"]) == stream.revs["b"]
    assert (minute == 0) == (after == before)
    assert await fetched(both_worker, COUNTS) == counts == [(SUBJECT, 1, 1)]
    assert await waiting(both_worker) == []


async def test_with_another_subject_it_is_another_notification(both_worker: Worker) -> None:
    stream = Stream()
    await both_worker.write(stream.commit("b", *acts()))
    await both_worker.connection.execute(READ)
    assert await both_worker.write(stream.commit("b", *acts(subject=OTHER))) == ["applied"]
    assert await both_worker.column("SELECT DISTINCT is_read FROM notifications") == [False]
    assert await fetched(both_worker, COUNTS) == [(OTHER, 1, 1)]
    assert await both_worker.column("SELECT DISTINCT recipient_did FROM notifications WHERE reason = 'follow'") == [did("d")]
    assert await waiting(both_worker) == []


@pytest.mark.parametrize("name", ["b", "c"])
async def test_what_is_younger_now_gives_way_to_what_waits(both_worker: Worker, name: str) -> None:
    """Of one account by what it says; of two that compete by when it came, so that any update gives way."""
    stream = Stream()
    collection, act = (LIKE, like(SUBJECT, 1)) if name == "b" else ("app.bsky.graph.verification", verification(A, 1).record)
    table = {"b": "likes", "c": "verifications"}[name]
    first, second = f"at://{did('b')}/{collection}/1", f"at://{did(name)}/{collection}/2"

    async def holds() -> tuple[list[str], list[str], list[str]]:
        told = await both_worker.column("SELECT split_part(uri, '#', 1) FROM notifications")
        return await both_worker.column(f"SELECT uri FROM {table}"), told, await waiting(both_worker)

    def dated(minute: int) -> dict[str, Any]:
        return {**act, "createdAt": like(SUBJECT, minute)["createdAt"]}

    await both_worker.write(stream.commit("b", put(f"{collection}/1", dated(1))))
    await both_worker.write(stream.commit(name, put(f"{collection}/2", dated(3))))
    for minute, holder in ((2, first if name == "b" else second), (4, second), (0, first if name == "b" else second)):
        assert await both_worker.write(stream.commit("b", put(f"{collection}/1", dated(minute)))) == ["applied"]
        other = first if holder == second else second
        assert await holds() == ([holder], [holder], [other])
    await both_worker.write(stream.commit("b", delete(f"{collection}/1")))
    held, told, left = await holds()
    assert (held, left) == ([second], [])
    assert second in told


async def test_what_a_replay_finds_again_and_what_it_tells_anew(both_worker: Worker) -> None:
    """A second like that the other writer dropped waits again; one that was taken back and made again is told anew."""
    stream = Stream()
    twice = [stream.commit("b", put(f"{LIKE}/{rkey}", like(SUBJECT, minute))) for minute, rkey in enumerate("12")]
    story = put(f"{LIKE}/1", like(SUBJECT)), delete(f"{LIKE}/1"), put(f"{LIKE}/2", like(SUBJECT, 1))
    again = [stream.commit("c", act) for act in story]
    await both_worker.write(*twice, *again)
    await both_worker.connection.execute(f"{READ}; {FORGET}")
    await both_worker.write(*twice, *again)
    assert await waiting(both_worker) == [f"at://{did('b')}/{LIKE}/2"]
    told = "SELECT uri, is_read FROM notifications ORDER BY uri"
    assert await fetched(both_worker, told) == [
        (f"at://{did('b')}/{LIKE}/1#notification", True),
        (f"at://{did('c')}/{LIKE}/2#notification", False),
    ]
    assert await fetched(both_worker, COUNTS) == [(SUBJECT, 2, 0)]
