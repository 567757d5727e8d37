"""Four lanes upon the same few posts: counts come out right, and nothing ends in a deadlock."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

from testing.commits import LIKE, POST, REPOST, Op, Stream, delete, did, like, post, put, repost
from testing.database_side import opened
from testing.databases import connected
from unified_indexer.database.write.outcome import APPLIED
from unified_indexer.database.write.writer import Writer
from unified_indexer.protocol.events import Commit

LANES, ACCOUNTS, COMMITS = 4, 15, 8  # so many accounts a lane, so many commits each
OPS = 10
HOT = [f"at://{did('star')}/{POST}/{n}" for n in range(20)]
LEFT = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


class Fan:
    """An account that likes, unlikes, shows and answers hot posts; `here`: its records, by path, with what they are of."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.name = name
        self.here: dict[str, tuple[str, str]] = {}
        self._rng = rng
        self._rkeys = 0

    def ops(self, count: int = OPS) -> list[Op]:
        """The operations of a commit, in any order, each of another record."""
        ops: dict[str, Op] = {}
        while len(ops) < count:
            old = [path for path in self.here if path not in ops]
            if old and self._rng.random() < 0.45:
                path = self._rng.choice(old)
                ops[path] = delete(path)
                del self.here[path]
            else:
                collection, subject = self._rng.choice((LIKE, LIKE, REPOST, POST)), self._rng.choice(HOT)
                if collection != POST and (collection, subject) in self.here.values():
                    continue
                self._rkeys += 1
                path = f"{collection}/{self._rkeys}"
                ops[path] = put(path, record(collection, subject))
                self.here[path] = (collection, subject)
        return list(ops.values())


def record(collection: str, subject: str) -> dict[str, object]:
    """What a fan writes of a hot post."""
    match collection:
        case "app.bsky.feed.like":
            return like(subject)
        case "app.bsky.feed.repost":
            return repost(subject)
        case _:
            ref = like(subject)["subject"]
            return post(reply={"root": like(HOT[0])["subject"], "parent": ref}, embed=_quote(ref))


def _quote(ref: object) -> dict[str, object]:
    return {"$type": "app.bsky.embed.record", "record": ref}


@pytest.mark.promise(3)
async def test_commits_of_ten_operations_on_twenty_posts(database: str) -> None:
    rng, stream = random.Random(20), Stream()
    fans = [[Fan(f"f{lane}n{n}", rng) for n in range(ACCOUNTS)] for lane in range(LANES)]
    queues: list[list[Commit]] = [
        [stream.commit(fan.name, *fan.ops()) for _ in range(COMMITS) for fan in lane] for lane in fans
    ]
    async with connected(database) as connection:
        before = await connection.fetchval(DEADLOCKS)
        async with opened(database, size=LANES + 1, durable=False) as worker:
            writer = Writer(worker.pool)

            async def drain(lane: int, queue: Sequence[Commit]) -> None:
                for first in range(0, len(queue), 30):
                    _, outcomes = await writer.write(lane, queue[first : first + 30])
                    assert set(outcomes) == {APPLIED}

            await asyncio.gather(*(drain(lane, queue) for lane, queue in enumerate(queues)))

        async with asyncio.timeout(10):
            while await connection.fetchval(LEFT):  # a session tells its statistics at its end at the latest
                await asyncio.sleep(0.01)
        assert await connection.fetchval(DEADLOCKS) == before

        expected: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for fan in (fan for lane in fans for fan in lane):
            for collection, subject in fan.here.values():
                expected[subject][collection] += 1
        query = "SELECT like_count, repost_count, reply_count, quote_count FROM post_aggregations WHERE post_uri = $1"
        for subject in HOT:
            counts = expected[subject]
            found = await connection.fetchrow(query, subject)
            assert found is not None
            assert tuple(found) == (counts[LIKE], counts[REPOST], counts[POST], counts[POST])
        assert await connection.fetchval("SELECT count(*) FROM likes") == sum(counts[LIKE] for counts in expected.values())
