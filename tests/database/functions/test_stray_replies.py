"""Replies that name another thread than their parent's: the gate of the parent's thread judges them as well."""

from typing import Any

import pytest

from testing.commits import FOLLOW, POST, Stream, delete, follow, put
from testing.database_side import Worker
from testing.garbage import THREAD_GATE
from tests.records.test_derived_rows import A, C, gate, notices, reply, violating
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.recount.compare import compare
from unified_indexer.database.recount.rows import gates

ROOT = put(f"{POST}/1", {"$type": POST, "text": "root", "createdAt": "2026-07-01T12:00:00Z"})
FOLLOWED = {"$type": "following"}
STRAY, BY_OTHER = put(f"{POST}/1", reply(C, A)), put(f"{POST}/1", reply(C, "did:plc:b"))


def gated(post: str = A, *rules: dict[str, Any]) -> Any:
    return put(f"{THREAD_GATE}/1", {**gate(*rules), "post": f"at://{post}/{POST}/1"})


async def rebuilt(worker: Worker) -> list[str]:
    """Who violates, after `check` had no word against it and a rebuild went over it."""
    assert (await compare(worker.connection, gates("public"), None)).differences == 0
    assert await Rebuild(worker.pool).run()
    return await violating(worker)


@pytest.mark.parametrize("root_known", [True, False])
async def test_the_gate_of_the_parent_s_thread_judges_too(both_worker: Worker, root_known: bool) -> None:
    """a's thread admits whom a follows: b and e. c's own has no gate; d answers b's reply, f is in c's thread alone."""
    worker, stream = both_worker, Stream()
    if root_known:
        await worker.write(stream.commit("c", ROOT))
    await worker.write(
        stream.commit("a", ROOT, put(f"{FOLLOW}/1", follow("did:plc:e")), put(f"{FOLLOW}/2", follow("did:plc:b"))),
        stream.commit("a", gated(A, FOLLOWED)),
        stream.commit("b", put(f"{POST}/1", reply())),
    )
    await worker.write(
        *(stream.commit(name, STRAY) for name in "ceg"),
        stream.commit("d", BY_OTHER),
        stream.commit("f", put(f"{POST}/1", reply(C, C))),
        stream.commit("a", put(f"{POST}/2", reply(C, A)), put(f"{POST}/3", reply(C, "did:plc:b"))),
    )
    assert await violating(worker) == ["c", "d", "g"]
    told = await notices(worker)
    assert not told & {("reply", "c", "a"), ("reply", "g", "a"), ("reply", "d", "b")}
    assert told >= {("reply", "b", "a"), ("reply", "e", "a"), ("reply", "a", "b")}
    assert await rebuilt(worker) == ["c", "d", "g"]
    assert await notices(worker) == told


async def test_its_own_root_s_gate_undoes_nothing(worker: Worker) -> None:
    """Whoever names a thread of their own may gate it as they like."""
    stream = Stream()
    await worker.write(stream.commit("a", ROOT, gated()), stream.commit("c", ROOT, STRAY._replace(path=f"{POST}/2")))
    assert await violating(worker) == ["c"]
    for op in (gated(C), gated(C, FOLLOWED), delete(f"{THREAD_GATE}/1"), gated(C, {"$type": "unheard"})):
        await worker.write(stream.commit("c", op))
        assert await violating(worker) == ["c"]
    assert await rebuilt(worker) == ["c"]
    await worker.write(stream.commit("b", STRAY), stream.commit("c", gated(C), ROOT))
    assert await violating(worker) == ["b", "c"]
    assert await notices(worker) == set()


async def test_each_gate_forbids_by_itself(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", ROOT), stream.commit("c", ROOT, gated(C)), stream.commit("b", STRAY))
    assert await violating(worker) == ["b"]
    assert await rebuilt(worker) == ["b"]
    await worker.write(stream.commit("c", delete(f"{THREAD_GATE}/1")))
    assert await violating(worker) == []
    assert await notices(worker) == {("reply", "b", "a")}


async def test_what_comes_later_to_the_other_thread_changes_nothing(worker: Worker) -> None:
    """A younger gate says nothing of it in its own thread either; where that gate goes, it waits for the next judgement."""
    stream = Stream()
    await worker.write(stream.commit("b", STRAY))
    await worker.write(stream.commit("a", ROOT), stream.commit("a", gated()), stream.commit("d", STRAY))
    assert await violating(worker) == ["d"]
    await worker.write(stream.commit("a", gated(A, FOLLOWED)))
    assert await violating(worker) == ["d"]
    assert await rebuilt(worker) == ["d"]  # both are older than the gate
    await worker.write(stream.commit("c", gated(C, {"$type": "mention"})), stream.commit("c", delete(f"{THREAD_GATE}/1")))
    assert await violating(worker) == ["d"]
    await worker.write(stream.commit("a", delete(f"{THREAD_GATE}/1")))
    assert await violating(worker) == ["d"]
    assert await rebuilt(worker) == []
    assert await notices(worker) == {("reply", "b", "a"), ("reply", "d", "a")}


async def test_check_knows_whose_parent_was_in_the_same_thread(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", ROOT), stream.commit("b", put(f"{POST}/1", reply())))
    await worker.write(stream.commit("d", put(f"{POST}/1", reply(A, "did:plc:b"))), stream.commit("e", STRAY))
    await worker.write(stream.commit("f", put(f"{POST}/1", reply(A, "did:plc:unknown"))))
    await worker.connection.execute("UPDATE posts SET violates_thread_gate = true")
    found = await compare(worker.connection, gates("public"), None)
    assert found.differences == 3, found.examples  # e's and f's may have met a gate
    assert await Rebuild(worker.pool).run()
    assert await violating(worker) == []
