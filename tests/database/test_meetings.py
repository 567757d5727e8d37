"""Two events that meet, raced on purpose: the outcome is that of the one order or of the other.

Each is raced in two ways: both transactions held right before their ends, so that they surely ran side by side as far as the
locks let them; and a thousand times as it comes. That the first way finds what it looks for is shown without the locks.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from indexer.database.references import BUCKET
from indexer.database.writer import Writer
from indexer.protocol.events import RepoEvent
from tests.database.builder import Stream, put
from tests.database.meetings import MEETINGS, WITHOUT_LOCK, Act, Meeting, Pair, outcomes
from tests.database.worker import Worker, connected, opened
from tests.garbage import GENERIC

ROUNDS = 60  # of each meeting
AT_ONCE = 6  # pairs in a batch: few, so that both lanes begin together often
HOLD = 4_711  # the key of the lock by which the test holds transactions
# Every event touches its repo's row; a deferred trigger runs when all else of the transaction is done.
HELD = f"""
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $hold$
BEGIN
  PERFORM pg_advisory_xact_lock_shared({HOLD});
  RETURN NULL;
END $hold$;
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON unified_worker.repos DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION public.hold();
"""
WAITING = """
SELECT count(DISTINCT pid) FROM pg_locks AS l WHERE NOT granted
  AND (database = (SELECT oid FROM pg_database WHERE datname = current_database()) OR locktype = 'transactionid')
"""
# The same place has another lock each time: as if there were none.
NO_MEETING = BUCKET[: BUCKET.index("$bucket$")] + "$bucket$ SELECT (random() * 1e9)::int $bucket$"


def events(stream: Stream, pair: Pair, meeting: Meeting) -> tuple[list[RepoEvent], RepoEvent, RepoEvent]:
    """What is before, the left one, the right one; of which the left one's time is the earlier, whichever comes first."""
    before = [pair.event(stream, act) for act in meeting.before]
    return before, pair.event(stream, meeting.left), pair.event(stream, meeting.right)


def with_another(act: Act) -> Act:
    """The same beside another operation, for which a commit takes its locks in another way."""
    other = {"$type": GENERIC, "trackName": "Song", "artists": [], "createdAt": "2026-07-01T12:00:00Z"}
    return act._replace(ops=(put(f"{GENERIC}/1", other), *act.ops)) if act.ops else act


async def in_turn(worker: Worker, stream: Stream, make: Callable[[Pair], Meeting], name: str) -> list[list[str]]:
    """The two outcomes that there may be, by applying a pair in the one order and another in the other."""
    pairs = [Pair(f"{name}{turn}000") for turn in "lr"]
    for pair, turn in zip(pairs, (1, -1), strict=True):
        before, *two = events(stream, pair, make(pair))
        assert set(await worker.write(*before, *two[::turn])) == {"applied"}
    found = await outcomes(worker.connection, pairs)
    return [found[pair] for pair in pairs]


@asynccontextmanager
async def held(url: str) -> AsyncGenerator[Callable[[int], "asyncio.Future[None]"]]:
    """Within, no transaction of an event ends. Gives what waits until so many of them wait for a lock."""
    async with connected(url) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", HOLD)

        async def waiting(count: int) -> None:
            async with asyncio.timeout(10):
                while await connection.fetchval(WAITING) != count:
                    await asyncio.sleep(0.002)

        yield lambda count: asyncio.ensure_future(waiting(count))


async def surely_together(url: str, worker: Worker, first: RepoEvent, second: RepoEvent) -> None:
    """Applies both so that the second runs while the first has done everything but end."""
    writer = Writer(worker.pool)
    async with asyncio.TaskGroup() as tasks:
        async with held(url) as waiting:
            tasks.create_task(writer.write(0, [first]))
            await waiting(1)
            tasks.create_task(writer.write(1, [second]))
            await waiting(2)


@pytest.mark.parametrize("make", MEETINGS, ids=lambda make: make.__name__)
async def test_both_in_flight(database: str, monkeypatch: pytest.MonkeyPatch, make: Callable[[Pair], Meeting]) -> None:
    stream = Stream()
    async with opened(database, durable=False) as worker:
        allowed = await in_turn(worker, stream, make, "t")
        await worker.connection.execute(HELD)

        async def wrong(name: str, change: Callable[[Act], Act]) -> list[str]:
            """What is of neither order, with either side first."""
            pairs = [Pair(f"{name}{turn}000") for turn in "lr"]
            for pair, turn in zip(pairs, (1, -1), strict=True):
                meeting = make(pair)
                before, *two = events(
                    stream, pair, Meeting(meeting.before, change(meeting.left), change(meeting.right))
                )
                await worker.write(*before)
                await surely_together(database, worker, *two[::turn])
            found = await outcomes(worker.connection, pairs)
            lines = {
                pair: [line for line in said if not line.startswith("generic_records")] for pair, said in found.items()
            }
            return [f"{pair.token}: {said}" for pair, said in lines.items() if said not in allowed]

        assert await wrong("s", lambda act: act) == []
        assert await wrong("m", with_another) == []

        await worker.connection.execute(NO_MEETING)
        monkeypatch.setattr("indexer.batch.bucket", lambda _meet: random.randrange(10**9))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        assert bool(await wrong("n", lambda act: act)) == (make not in WITHOUT_LOCK)
