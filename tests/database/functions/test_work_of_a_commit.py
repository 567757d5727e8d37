"""What one commit costs does not grow with what strangers wrote: a popular account stops nobody.

Counted in pages that the server looked at, because times depend on the machine.
"""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from relay_simulator.gates import POST_GATE, THREAD_GATE
from relay_simulator.graph import BLOCK, LIST, LIST_BLOCK, LIST_ITEM
from relay_simulator.services import GENERATOR
from testing.commits import (
    FOLLOW,
    LIKE,
    POST,
    REPOST,
    Op,
    Stream,
    at,
    delete,
    did,
    follow,
    like,
    post,
    put,
    quoting,
    ref,
    replying,
    repost,
    uri,
)
from testing.database_side import Worker
from testing.samples import SAMPLES
from unified_indexer.database.functions.judging import AT_ONCE

FEW, MANY = AT_ONCE + 50, 5 * AT_ONCE
PAGES = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"


def record(kind: str, **fields: Any) -> dict[str, Any]:
    return {"$type": kind, "createdAt": at(0), **fields}


def strangers_ops(who: str) -> list[Op]:
    """Whatever a stranger can hang on an account, its post, feed and list."""
    root = ref(uri(who, "1"))
    return [
        put(f"{LIKE}/1", like(root["uri"])),
        put(f"{LIKE}/2", like(uri(who, "1", GENERATOR))),
        put(f"{REPOST}/1", repost(root["uri"])),
        put(f"{POST}/1", post("reply", reply=replying(root))),
        put(f"{POST}/2", post("quote", embed=quoting(root))),
        put(f"{FOLLOW}/1", follow(did(who))),
        put(f"{BLOCK}/1", record(BLOCK, subject=did(who))),
        put(f"{LIST_BLOCK}/1", record(LIST_BLOCK, subject=uri(who, "1", LIST))),
    ]


def deeds(who: str, stranger: str) -> dict[str, Op]:
    """What the account does afterwards: each by itself, in this order."""
    root, members = uri(who, "1"), uri(who, "1", LIST)
    admitted = [{"$type": f"{THREAD_GATE}#listRule", "list": members}, {"$type": f"{THREAD_GATE}#followerRule"}]
    item = record(LIST_ITEM, subject=did(stranger), list=members)
    quoted_by_none = record(POST_GATE, post=root, embeddingRules=[{"$type": f"{POST_GATE}#disableRule"}])
    return {
        "a gate for members and followers": put(f"{THREAD_GATE}/1", record(THREAD_GATE, post=root, allow=admitted)),
        "another gate": put(f"{THREAD_GATE}/1", record(THREAD_GATE, post=root, allow=[]), "update"),
        "no gate": delete(f"{THREAD_GATE}/1"),
        "no quotes": put(f"{POST_GATE}/1", quoted_by_none),
        "quotes again": delete(f"{POST_GATE}/1"),
        "a member more": put(f"{LIST_ITEM}/more", item),
        "a member less": delete(f"{LIST_ITEM}/more"),
        "no list": delete(f"{LIST}/1"),
        "no feed": delete(f"{GENERATOR}/1"),
        "no post": delete(f"{POST}/1"),
        "the post again": put(f"{POST}/1", post("root again")),
    }


async def pages(worker: Worker, stream: Stream, who: str, strangers: int) -> dict[str, int]:
    """How many pages each of the deeds takes after so many strangers; the list has as many members."""
    names = [f"{who}{n}" for n in range(strangers)]
    begun = {kind: SAMPLES[kind].records[0] for kind in (LIST, GENERATOR)}
    events = [stream.commit(who, put(f"{POST}/1", post("root")), *[put(f"{kind}/1", one) for kind, one in begun.items()])]
    for first in range(0, strangers, AT_ONCE):
        items = {
            name: record(LIST_ITEM, list=uri(who, "1", LIST), subject=did(name)) for name in names[first : first + AT_ONCE]
        }
        events.append(stream.commit(who, *[put(f"{LIST_ITEM}/{name}", item) for name, item in items.items()]))
    events += [stream.commit(name, *strangers_ops(who)) for name in names]
    for first in range(0, len(events), 100):
        assert set(await worker.write(*events[first : first + 100])) == {"applied"}
    await worker.connection.execute("VACUUM ANALYZE")
    found: dict[str, int] = {}
    for name, op in deeds(who, names[0]).items():
        before = await counted(worker)
        assert await worker.write(stream.commit(who, op)) == ["applied"]
        found[name] = await counted(worker) - before
    return found


async def counted(worker: Worker) -> int:
    """The database's count of pages so far, with what the worker's connections have not yet handed in."""
    async with AsyncExitStack() as stack:
        for connection in [await stack.enter_async_context(worker.pool.connection()) for _ in range(worker.pool.size - 1)]:
            await connection.execute("SELECT pg_stat_force_next_flush()")
    return await worker.value(PAGES)


@pytest.mark.long
async def test_what_strangers_wrote_makes_no_commit_of_ones_own_dearer(worker: Worker) -> None:
    stream = Stream()
    few = await pages(worker, stream, "few", FEW)
    many = await pages(worker, stream, "many", MANY)
    assert not {name: (few[name], many[name]) for name in few if many[name] > 1.5 * few[name] + 100}
