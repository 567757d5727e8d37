"""Gates over large threads: what a changed gate says of many is judged in steps, and nobody else waits for it."""

import asyncio
import time
from typing import Any

import pytest

from testing.commits import LIKE, POST, Stream, at, delete, did, like, post, put
from testing.database_side import Worker
from testing.garbage import POST_GATE, THREAD_GATE
from testing.samples import facet
from unified_indexer.database.background import judge
from unified_indexer.database.background.judge import Judge
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.functions.judging import AT_ONCE
from unified_indexer.database.write.batch import last_ops
from unified_indexer.database.write.writer import Writer

A = did("a")
ROOT = f"at://{A}/{POST}/1"
MANY = 3 * AT_ONCE
# Replies that quote as well, each with what follows from it, as if commits had written them; n is their author's number.
REPLIES = f"""
WITH written AS (
  INSERT INTO posts (uri, cid, author_did, text, parent_uri, root_uri, created_at, commit_time, commit_seq)
  SELECT 'at://did:plc:r' || n || '/{POST}/1', 'cid', 'did:plc:r' || n, 'r', '{ROOT}', '{ROOT}', '2026-07-01', '2099-07-01', '1'
  FROM generate_series(1, $1::int) AS n RETURNING uri, author_did, created_at),
noticed AS (
  INSERT INTO notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at)
  SELECT w.uri || '#notification/' || reason, '{A}', w.author_did, reason, w.uri, 'cid', w.created_at
  FROM written AS w, unnest(ARRAY['reply', 'quote']) AS reason)
INSERT INTO quotes (uri, cid, post_uri, quoted_uri, created_at)
SELECT w.uri || '#quote', 'cid', w.uri, '{ROOT}', w.created_at FROM written AS w
"""
VIOLATING = "SELECT count(*) FROM posts WHERE violates_thread_gate"
EMBEDDING = "SELECT count(*) FROM posts WHERE violates_embedding_rules"
TOLD = "SELECT count(*) FROM notifications WHERE reason = $1"
WAITING = "SELECT count(*) FROM unified_worker.judgements"


def shut(rkey: str = "1", kinds: tuple[str, ...] = ()) -> dict[str, Any]:
    allow = [{"$type": f"{THREAD_GATE}#{kind}Rule"} for kind in kinds]
    return {"$type": THREAD_GATE, "post": f"at://{A}/{POST}/{rkey}", "allow": allow, "createdAt": at(0)}


def closed() -> dict[str, Any]:
    return {"$type": POST_GATE, "post": ROOT, "embeddingRules": [{"$type": f"{POST_GATE}#disableRule"}], "createdAt": at(0)}


async def thread(worker: Worker, stream: Stream, replies: int = MANY) -> None:
    """A root that mentions r1 and r2, with so many replies."""
    root = post("root", facets=[facet("mention", did=did(f"r{n}")) for n in (1, 2)])
    await worker.write(stream.commit("a", put(f"{POST}/1", root)))
    await worker.connection.execute(REPLIES, replies)
    await worker.connection.execute("ANALYZE posts")


async def finish(worker: Worker) -> None:
    while await worker.value(WAITING):
        await Judge(worker.pool).turn()


async def test_many_replies_are_judged_beside_the_stream(both_worker: Worker) -> None:
    worker, stream = both_worker, Stream()
    await thread(worker, stream)
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", shut(kinds=("mention",)))))
    assert await worker.value(VIOLATING) == 0
    assert await worker.value(WAITING) == 1
    fresh = {"uri": ROOT, "cid": like(ROOT)["subject"]["cid"]}
    await worker.write(stream.commit("late", put(f"{POST}/1", post("r", reply={"root": fresh, "parent": fresh}))))
    assert await worker.value(VIOLATING) == 1  # what comes meanwhile is judged at once
    await finish(worker)
    assert await worker.value(VIOLATING) == MANY - 2 + 1
    assert await worker.value(TOLD, "reply") == 2
    await worker.write(stream.commit("a", delete(f"{THREAD_GATE}/1")))
    await finish(worker)
    assert await worker.value(VIOLATING) == 0
    assert await worker.value(TOLD, "reply") == MANY + 1


async def test_many_quotes_are_judged_beside_the_stream(both_worker: Worker) -> None:
    worker, stream = both_worker, Stream()
    await thread(worker, stream)
    await worker.write(stream.commit("a", put(f"{POST_GATE}/1", closed())))
    assert (await worker.value(EMBEDDING), await worker.value(WAITING)) == (0, 1)
    await finish(worker)
    assert (await worker.value(EMBEDDING), await worker.value(TOLD, "quote")) == (MANY, 0)
    await worker.write(stream.commit("a", delete(f"{POST_GATE}/1")))
    await finish(worker)
    assert (await worker.value(EMBEDDING), await worker.value(TOLD, "quote")) == (0, MANY)


async def test_a_judgement_that_was_interrupted_goes_on(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "POSTS_PER_STEP", 7)
    monkeypatch.setattr(judge, "POSTS_PER_LOOK", 50)
    stream = Stream()
    await thread(worker, stream)
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", shut())))
    await Judge(worker.pool).turn()
    done = await worker.value(VIOLATING)
    assert 0 < done < MANY
    assert await worker.value("SELECT after FROM unified_worker.judgements") > ""
    await Judge(worker.pool).turn()
    assert await worker.value(VIOLATING) > done
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", shut(kinds=("mention",)), "update")))
    await worker.connection.execute("UPDATE posts SET commit_time = '2099-07-01' WHERE parent_uri IS NOT NULL")
    assert await worker.value("SELECT after FROM unified_worker.judgements") == ""  # it begins again
    await finish(worker)
    assert await worker.value(VIOLATING) == MANY - 2


async def test_a_gate_that_is_made_again_leaves_what_its_deletion_allowed(worker: Worker) -> None:
    stream = Stream()
    await thread(worker, stream)
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", shut())))
    await finish(worker)
    assert await worker.value(VIOLATING) == MANY
    await worker.connection.execute("UPDATE posts SET commit_time = '2026-01-01' WHERE parent_uri IS NOT NULL")
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", shut(), "update")))
    await finish(worker)
    assert await worker.value(VIOLATING) == MANY  # older ones keep what they have
    await worker.write(stream.commit("a", delete(f"{THREAD_GATE}/1")), stream.commit("a", put(f"{THREAD_GATE}/1", shut())))
    await finish(worker)
    assert (await worker.value(VIOLATING), await worker.value(TOLD, "reply")) == (0, MANY)


async def test_a_refused_judgement_stops_no_other(worker: Worker) -> None:
    stream = Stream()
    await thread(worker, stream)
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", shut()), put(f"{POST_GATE}/1", closed())))
    await worker.connection.execute("ALTER TABLE posts ADD CONSTRAINT never CHECK (NOT violates_thread_gate)")
    with pytest.raises(Exception, match="never"):
        await Judge(worker.pool).turn()
    assert (await worker.value(EMBEDDING), await worker.value(WAITING)) == (MANY, 1)
    await worker.connection.execute("ALTER TABLE posts DROP CONSTRAINT never")
    await finish(worker)
    assert await worker.value(VIOLATING) == MANY


def toggles(times: int) -> list[Any]:
    """Puts and deletions of one gate, by turns; it is there at the end."""
    return [op for _ in range(times // 2) for op in (delete(f"{THREAD_GATE}/1"), put(f"{THREAD_GATE}/1", shut()))]


async def test_of_one_path_s_operations_the_last_has_effect(worker: Worker) -> None:
    stream = Stream()
    sound = stream.commit("a", *toggles(100), put(f"{POST}/2", post("x")))
    refused = stream.commit("a", put(f"{POST}/2", {"$type": POST}))
    commit = sound._replace(ops=(*sound.ops, *refused.ops))
    left = [(op.collection, op.block is None) for op in last_ops(commit)]
    assert left == [(THREAD_GATE, False), (POST, False), (POST, False)]
    await worker.write(commit)
    assert await worker.value("SELECT count(*) FROM thread_gates") == 1
    assert await worker.value("SELECT count(*) FROM posts WHERE text = 'x'") == 1  # what is refused undoes nothing
    assert [letter[0] for letter in await worker.letters()] == [f"{POST}/2"]


async def slowest_stranger(worker: Worker, replies: int) -> float:
    """Seconds that a stranger's like waited at most, while a gate changed 200 times: in one commit, and in a commit each."""
    stream = Stream()
    await thread(worker, stream, replies)
    strangers, worst, over = Stream(), 0.0, asyncio.Event()

    async def stranger() -> None:
        nonlocal worst
        number = 0
        while not over.is_set():
            number += 1
            began = time.monotonic()
            await Writer(worker.pool).write(1, [strangers.commit("s", put(f"{LIKE}/{number}", like(f"{ROOT}{number}")))])
            worst = max(worst, time.monotonic() - began)

    beside = [asyncio.create_task(stranger()), asyncio.create_task(Judge(worker.pool).keep_judging())]
    await worker.write(stream.commit("a", *toggles(200)))
    for op in toggles(200):
        await worker.write(stream.commit("a", op))
    while await worker.value(WAITING):
        await asyncio.sleep(0.02)
    over.set()
    await beside[0]
    beside[1].cancel()
    assert await worker.value(VIOLATING) == replies
    assert await worker.value(TOLD, "reply") == 0
    assert await Rebuild(worker.pool).run()
    assert await worker.value(VIOLATING) == replies
    return worst


async def test_two_hundred_toggles_stop_no_stranger(worker: Worker) -> None:
    assert await slowest_stranger(worker, 2_000) < 1


@pytest.mark.soak
async def test_two_hundred_toggles_on_twenty_thousand_replies_stop_no_stranger(worker: Worker) -> None:
    worst = await slowest_stranger(worker, 20_000)
    assert worst < 1


async def test_a_commit_of_two_hundred_gates_judges_no_more_than_one_gate_may(worker: Worker) -> None:
    """Each thread is a quarter of what a commit judges itself."""
    stream = Stream()
    await worker.connection.execute(
        f"""INSERT INTO posts (uri, cid, author_did, text, parent_uri, root_uri, created_at, commit_time)
        SELECT 'at://did:plc:r' || n || '/{POST}/' || t, 'cid', 'did:plc:r' || n, 'r', x.root, x.root, '2026-07-01',
          '2099-07-01'
        FROM generate_series(1, $1::int) AS n, generate_series(1, 200) AS t,
          LATERAL (SELECT 'at://{A}/{POST}/' || t) AS x (root)""",
        AT_ONCE // 4,
    )
    await worker.connection.execute("ANALYZE posts")
    await worker.write(stream.commit("a", *(put(f"{THREAD_GATE}/{n}", shut(str(n), ("following",))) for n in range(1, 201))))
    assert (await worker.value(VIOLATING), await worker.value(WAITING)) == (AT_ONCE, 196)
    await finish(worker)
    assert await worker.value(VIOLATING) == 200 * (AT_ONCE // 4)
    # The next commit judges by itself again.
    await worker.write(stream.commit("a", delete(f"{THREAD_GATE}/1")))
    assert await worker.value(VIOLATING) == 199 * (AT_ONCE // 4)
