"""The locks of meeting places are taken in one order, whatever a commit is made of: so no two commits wait for each other."""

import asyncio
from typing import Any

import pytest

from testing.commits import LIKE, POST, Op, Stream, delete, did, like, post, put
from testing.database_side import Worker
from testing.databases import connected
from testing.samples import ref
from unified_indexer.database.functions.references import LOCK_CLASS
from unified_indexer.database.write.batch import bucket

# Who waits for one of these locks, and which of them it has by then.
TAKEN = """
SELECT h.objid::int FROM pg_locks AS w JOIN pg_locks AS h USING (pid, locktype, database, classid)
WHERE w.locktype = 'advisory' AND w.classid::bigint = $1 AND NOT w.granted AND h.granted AND h.objid::bigint < 1073741824
  AND w.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
WAITS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = $1 AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
OWN = f"at://{did('me')}/{POST}/1"
PLACES = [f"at://{did(name)}/{POST}/1" for name in ("root", "parent", "quoted")]
REPLY: dict[str, Any] = post(
    reply={"root": ref(did("root")), "parent": ref(did("parent"))},
    embed={"$type": "app.bsky.embed.record", "record": ref(did("quoted"))},
)
# Of the highest number: that of the post must be taken first, though its row has to be looked at for them.
LIKED = max((f"at://{did(f'liked{n}')}/{POST}/1" for n in range(100)), key=bucket)


@pytest.mark.parametrize(
    ("ops", "places"),
    [
        ([put(f"{POST}/1", REPLY)], [OWN, *PLACES]),
        ([put(f"{LIKE}/1", like(LIKED)), put(f"{POST}/1", REPLY)], [OWN, *PLACES, LIKED]),
        ([delete(f"{POST}/1")], [OWN, *PLACES]),
        ([delete(f"{POST}/1"), put(f"{LIKE}/1", like(LIKED))], [OWN, *PLACES, LIKED]),
    ],
    ids=["one", "several", "one deletion", "several with a deletion"],
)
async def test_lower_numbers_come_first(worker: Worker, database: str, ops: list[Op], places: list[str]) -> None:
    """Held up at each of its locks in turn, a commit has just those that are lower."""
    stream = Stream()
    await worker.write(stream.commit("me", put(f"{POST}/1", REPLY)))
    numbers = sorted(map(bucket, places))
    assert len(set(numbers)) == len(places)
    for turn, number in enumerate(numbers):
        async with connected(database) as holder:
            await holder.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, number)
            writing = asyncio.create_task(worker.write(stream.commit("me", *ops)))
            async with asyncio.timeout(10):
                while not await worker.value(WAITS, LOCK_CLASS):
                    await asyncio.sleep(0.005)
            assert sorted(await worker.column(TAKEN, LOCK_CLASS)) == numbers[:turn]
        assert await writing == ["applied"]
        await worker.write(stream.commit("me", put(f"{POST}/1", REPLY), delete(f"{LIKE}/1")))
