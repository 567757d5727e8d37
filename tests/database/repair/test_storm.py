"""Everybody on the same few posts: four lanes of the stream, and two workers that write whole repos, for as long as it takes.

Numbers in docstrings are those of the cases in issue 14.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from relay_simulator.encoding import tid
from testing.commits import LIKE, POST, REPOST, START, Stream, post, put
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.waiting import until
from testing.whole import WEEK, Whole, marked
from tests.database.repair.test_many_repos import WAITING
from tests.database.repair.test_repair import check
from tests.database.write.test_hot_posts import DEADLOCKS, HOT, LEFT, OPS, Fan, record
from unified_indexer.database.connection.few import Few
from unified_indexer.database.repair.bringing import Tables
from unified_indexer.database.repair.steps import Word
from unified_indexer.database.repair.writing import Job, Writing
from unified_indexer.database.write.outcome import APPLIED, STALE
from unified_indexer.database.write.writer import Writer
from unified_indexer.selection import EVERYTHING

LANES, FANS = 4, 15  # so many accounts a lane
REPOS = 3  # that are written together
BATCH = 30  # commits
ROUNDS = 3  # of each lane and each backfill at least, however slow the machine is
REV = tid(int(START.timestamp() * 1_000_000) + 10**12, 0)  # later than all that the stream says here
COUNTS = "SELECT like_count, repost_count, reply_count, quote_count FROM post_aggregations WHERE post_uri = $1"


class Storm:
    """Whoever takes part, all on one database; `fans`: all accounts, with what is in their repos. `ops`: operations of each
    commit of the stream. `followed`: the stream has shown most repos before, and left something out."""

    def __init__(self, worker: Worker, *, ops: int, followed: bool) -> None:
        self.fans: list[Fan] = []
        self._worker = worker
        self._writer = Writer(worker.pool)
        self._ops = ops
        self._followed = followed
        self._stream = Stream()
        self._rng = random.Random(20)
        self._turn = asyncio.Lock()  # to claim repos on the one connection that is not the pool's

    async def rage(self, seconds: float) -> None:
        """Four lanes and two workers, of which one writes two sets at once, for this long."""
        posts = [put(uri.removeprefix("at://did:plc:star/"), post("hot")) for uri in HOT]
        assert await self._worker.write(self._stream.commit("star", *posts)) == ["applied"]
        both, other = Tables(Few(self._worker.pool, 2)), Tables(Few(self._worker.pool, 1))
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for lane in range(LANES):
                fans = [self._fan() for _ in range(FANS)]
                tasks.create_task(keeps_on(partial(self._live, lane, fans, BATCH), end))
            for lane, tables in enumerate((both, both, other), LANES):
                tasks.create_task(keeps_on(partial(self._backfill, lane, tables), end))

    async def nothing_is_lost(self) -> None:
        """All counts are those of what is in the repos, and all that follows from the records is as it should be."""
        assert await self._worker.letters() == []
        await check(self._worker)
        expected: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for fan in self.fans:
            for collection, subject in fan.here.values():
                expected[subject][collection] += 1
        for subject in HOT:
            counts = expected[subject]
            found = await self._worker.connection.fetchrow(COUNTS, subject)
            assert tuple(found or ()) == (counts[LIKE], counts[REPOST], counts[POST], counts[POST])
        likes = sum(counts[LIKE] for counts in expected.values())
        assert await self._worker.value("SELECT count(*) FROM likes") == likes

    def _fan(self) -> Fan:
        self.fans.append(Fan(f"f{len(self.fans)}", self._rng))
        return self.fans[-1]

    async def _live(self, lane: int, fans: list[Fan], commits: int) -> None:
        """So many commits of these accounts. What was written before a deadlock is stale when the call is repeated."""
        events = [self._stream.commit(fan.name, *fan.ops(self._ops)) for fan in (fans * commits)[:commits]]
        _, outcomes = await self._writer.write(lane, events)
        assert set(outcomes) <= {APPLIED, STALE}

    async def _backfill(self, lane: int, tables: Tables) -> None:
        """Bring in the repos of some new accounts."""
        fans = [self._fan() for _ in range(REPOS)]
        if self._followed:
            await self._live(lane, fans[1:], 2 * REPOS)
        for fan in fans:
            fan.ops()
            fan.ops()
        async with self._turn:
            claims = [await marked(self._worker, fan.name) for fan in fans]
        repos = [Whole(REV, {path: record(*of) for path, of in fan.here.items()}) for fan in fans]
        jobs = [Job(claim, repo, proven=True) for claim, repo in zip(claims, repos, strict=True)]
        ended = await Writing(tables, EVERYTHING, notify=WEEK).write(jobs)
        assert [one.word for one in ended] == [Word.OK] * REPOS


async def keeps_on(step: Callable[[], Awaitable[None]], end: float) -> None:
    """Again and again until that time, and a few times at least."""
    done = 0
    while done < ROUNDS or time.monotonic() < end:
        await step()
        done += 1


@pytest.mark.promise(3)
@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.soak)])
async def test_four_lanes_and_two_workers_that_deadlock_lose_nothing(
    database: str, caplog: pytest.LogCaptureFixture, seconds: int
) -> None:
    """Case 20: nothing is lost or counted twice, however often sets and commits of ten operations wait in a circle.

    A minute by `make soak`; of that, the usual suite has three seconds. The database sees deadlocks after 20 ms, not after one
    second: so there are more of them.
    """
    async with connected(database) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'")
    async with opened(database, size=LANES + 8, durable=False) as worker:
        storm = Storm(worker, ops=OPS, followed=True)
        await storm.rage(seconds)
        assert "deadlock detected" in caplog.text or seconds < 60  # in three seconds there may be none
        await storm.nothing_is_lost()


@pytest.mark.promise(3)
async def test_sets_and_commits_of_one_operation_never_wait_in_a_circle(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Case 20, with what nearly all commits are: sets count in one order, so there is no deadlock."""
    async with connected(database) as connection:
        before = await connection.fetchval(DEADLOCKS)
        async with opened(database, size=LANES + 8, durable=False) as worker:
            storm = Storm(worker, ops=1, followed=False)
            await storm.rage(2)
            await storm.nothing_is_lost()

        async def ended() -> bool:  # a session tells its statistics at its end at the latest
            return not await connection.fetchval(LEFT)

        await until(ended, "all sessions have ended")
        assert await connection.fetchval(DEADLOCKS) == before
    assert "deadlock" not in caplog.text


@pytest.mark.promise(3)
async def test_a_set_that_waits_for_the_first_post_holds_none_of_the_others(database: str) -> None:
    """Case 20: all count in one order, that of the URIs, so whoever waits for a post holds none that comes later."""
    async with opened(database, size=4, durable=False) as worker, connected(database) as holder:
        posts = [put(uri.removeprefix("at://did:plc:star/"), post("hot")) for uri in HOT]
        liked = {f"{LIKE}/{number:02d}": record(LIKE, uri) for number, uri in enumerate(reversed(HOT))}
        stream, first = Stream(), min(HOT)
        await worker.write(stream.commit("star", *posts), stream.commit("other", *(put(*one) for one in liked.items())))
        job = Job(await marked(worker, "fan"), Whole(REV, liked), proven=True)
        async with asyncio.TaskGroup() as tasks, holder.transaction():
            await holder.execute("SELECT FROM post_aggregations WHERE post_uri = $1 FOR UPDATE", first)
            tasks.create_task(Writing(Tables(Few(worker.pool, 1)), EVERYTHING, notify=WEEK).write([job]))

            async def waits() -> bool:
                return bool(await worker.value(WAITING))

            await until(waits, "the set waits for the first post")
            free = await holder.fetch("SELECT post_uri FROM post_aggregations FOR UPDATE SKIP LOCKED")
            assert len(free) == len(HOT)
        assert await worker.value("SELECT min(like_count) FROM post_aggregations") == 2
