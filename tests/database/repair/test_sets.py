"""What comes with a whole repo, written as sets, meets what is live: each sees the other, whichever ends first.

Sets hold no locks where repos meet. So a commit of each pair is held right before its end while the other side does all that it
can, and both sides in turn; and pairs are raced as they come. Numbers in docstrings are those of the cases in issue 14.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from relay_simulator.encoding import tid
from testing import meetings
from testing.commits import LIKE, POST, START, Stream, at, like, post, put, uri
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.garbage import POST_GATE, THREAD_GATE
from testing.meetings import TOKEN_LENGTH, Meeting, Pair, Wipe, outcomes
from testing.waiting import until as waited
from testing.whole import Whole, repaired
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.rebuild_steps import REBUILDING
from unified_indexer.database.repair.steps import Word

REV = tid(int((START + timedelta(days=100)).timestamp() * 1_000_000), 0)
LATER = at(10_000)  # later than all that is live, and before REV
MET: tuple[Callable[[Pair], Meeting], ...] = (
    meetings.reply_and_the_root_author_s_like,
    meetings.generator_and_like,
    meetings.labeler_and_like,
    meetings.thread_gate_and_reply,
    meetings.thread_gate_and_reply_deep_in_the_thread,
    meetings.thread_gate_and_a_post_that_becomes_a_reply,
    meetings.reply_and_the_gate_of_its_parent_s_thread,
    meetings.mention_in_the_root_and_reply,
    meetings.post_gate_and_quote,
    meetings.two_verifications,
)
ORDER_COUNTS = {meetings.reply_and_the_gate_of_its_parent_s_thread}  # the gate judges those that name its thread
ROUNDS = 40
# What is written of an account waits while the test has the lock of its DID.
HELD = """
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $hold$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(4711, hashtext(substring(to_jsonb(NEW)::text FROM '"(?:post_)?uri": "at://([^/]*)/')));
  RETURN NULL;
END $hold$;
""" + "".join(
    f"""
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION public.hold();"""
    for table in ("posts", "likes", "thread_gates", "post_gates", "feed_generators", "labeler_services", "verifications")
)
LOOKS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
WAITING = f"""
SELECT count(DISTINCT pid) + ({LOOKS}) FROM pg_locks AS l WHERE NOT granted
  AND (database = (SELECT oid FROM pg_database WHERE datname = current_database()) OR locktype = 'transactionid')
"""


class Sides:
    """One of the two who meet is live, the other's repo is fetched whole. `left`: whether the left one is the live one."""

    def __init__(self, worker: Worker, stream: Stream, pair: Pair, meeting: Meeting, *, left: bool) -> None:
        self._worker = worker
        self._pair = pair
        live, whole = (meeting.left, meeting.right) if left else (meeting.right, meeting.left)
        self.live, self.whole = pair.did(live.actor), pair.did(whole.actor)
        self._before = [pair.event(stream, act) for act in meeting.before]
        self._live = pair.event(stream, live)
        self.name = pair.token + whole.actor
        acts = [*(act for act in meeting.before if act.actor == whole.actor), whole]
        self.records = {op.path: self._dated(op.record) for act in acts for op in act.ops}

    def _dated(self, record: dict[str, Any]) -> dict[str, Any]:
        """Gates judge what came after them."""
        return record if record["$type"] in (THREAD_GATE, POST_GATE) else {**record, "createdAt": LATER}

    async def begin(self) -> None:
        await self.write(self._before)

    async def come(self) -> None:
        await self.write([self._live])

    async def write(self, events: list[Any]) -> None:
        assert not any(isinstance(event, Wipe) for event in events)
        if events:
            assert set(await self._worker.write(*events)) == {"applied"}

    async def repair(self) -> None:
        assert (await repaired(self._worker, self.name, Whole(REV, self.records))).word is Word.OK


async def said(worker: Worker, pairs: list[Pair]) -> dict[Pair, list[str]]:
    """What the tables say of the pairs; nobody is told of what comes with a repo."""
    found = await outcomes(worker.connection, pairs)
    left_out = ("notifications", "unified_worker.repos")
    return {pair: [line for line in lines if not line.startswith(left_out)] for pair, lines in found.items()}


@asynccontextmanager
async def held(url: str, did: str) -> AsyncGenerator[Connection]:
    """Within, nothing of this account's ends. Gives the connection that holds it."""
    async with connected(url) as connection:
        await connection.execute("SELECT pg_advisory_lock(4711, hashtext($1))", did)
        yield connection


async def until(connection: Connection, waiting: int, task: "asyncio.Task[None] | None" = None) -> None:
    """Until so many wait for a lock, or the task is done."""
    async with asyncio.timeout(20):
        while not (task and task.done()) and await connection.fetchval(WAITING) < waiting:
            await asyncio.sleep(0.005)


async def in_turn(worker: Worker, stream: Stream, make: Callable[[Pair], Meeting], name: str, *, left: bool) -> list[list[str]]:
    """The outcomes that there may be: of the one before the other."""
    pairs = [Pair(f"{name}{turn}".ljust(TOKEN_LENGTH, "0")) for turn in "lr"]
    for pair, turn in zip(pairs, (1, -1), strict=True):
        sides = Sides(worker, stream, pair, make(pair), left=left)
        await sides.begin()
        for step in (sides.come, sides.repair)[::turn]:
            await step()
    found = await said(worker, pairs)
    assert all(found.values())
    return [found[pair] for pair in pairs]


@pytest.mark.long
@pytest.mark.parametrize("left", [True, False], ids=["live left", "live right"])
async def test_a_set_and_a_commit_in_flight(database: str, left: bool) -> None:
    """Cases 18 and 19."""
    stream, wrong = Stream(), list[str]()
    async with opened(database, durable=False) as worker:
        await worker.connection.execute(HELD)
        for place, make in enumerate(MET):
            allowed = await in_turn(worker, stream, make, f"t{place:02d}", left=left)
            pairs = [Pair(f"{side}{place:02d}".ljust(TOKEN_LENGTH, "0")) for side in "lw"]
            for pair, live_is_held in zip(pairs, (True, False), strict=True):
                sides = Sides(worker, stream, pair, make(pair), left=left)
                await sides.begin()
                first, second = (sides.come, sides.repair) if live_is_held else (sides.repair, sides.come)
                async with asyncio.TaskGroup() as tasks, held(database, sides.live if live_is_held else sides.whole) as holder:
                    tasks.create_task(first())
                    await until(holder, 1)
                    await until(holder, 2, tasks.create_task(second()))
            found = await said(worker, pairs)
            assert allowed[0] == allowed[1] or make in ORDER_COUNTS, make.__name__
            wrong += [f"{make.__name__} {pair.token} {found[pair]}" for pair in pairs if found[pair] not in allowed]
    assert wrong == []


async def test_a_look_waits_for_a_slow_commit_and_nobody_for_the_look(database: str) -> None:
    """Not even where another commit is always under way: they take turns here."""
    stream, records = Stream(), {f"{POST}/1": post("fetched")}
    async with opened(database, size=4, durable=False) as worker, connected(database) as slow, connected(database) as next_one:
        transactions = [slow.transaction(), next_one.transaction()]
        await transactions[0].start()
        await slow.execute(f"SELECT pg_advisory_xact_lock_shared({REBUILDING})")
        repairing = asyncio.create_task(repaired(worker, "whole", Whole(REV, records)))
        await waited(lambda: next_one.fetchval(LOOKS), "the look waits")
        async with asyncio.timeout(5):
            assert await worker.write(stream.commit("stranger", put(f"{LIKE}/1", like(uri("whole", "1"))))) == ["applied"]
        await transactions[1].start()
        await next_one.execute(f"SELECT pg_advisory_xact_lock_shared({REBUILDING})")
        assert not repairing.done()
        await transactions[0].rollback()
        async with asyncio.timeout(20):
            assert (await repairing).word is Word.OK
        await transactions[1].rollback()


@pytest.mark.long
async def test_sets_and_commits_as_they_come(database: str) -> None:
    """Cases 18 and 19."""
    rng, stream = random.Random(7), Stream()
    async with opened(database, size=5, durable=False) as worker:
        kinds = [(make, left) for make in MET for left in (True, False)]
        allowed = [await in_turn(worker, stream, make, f"t{place:02d}", left=left) for place, (make, left) in enumerate(kinds)]
        raced = {Pair(f"r{n:04d}"): n % len(kinds) for n in range(ROUNDS)}
        for pair, kind in raced.items():
            make, left = kinds[kind]
            sides = Sides(worker, stream, pair, make(pair), left=left)
            await sides.begin()
            pause = rng.random() * 0.03

            async def later(step: Callable[[], Any], seconds: float) -> None:
                await asyncio.sleep(seconds)
                await step()

            await asyncio.gather(later(sides.come, pause), sides.repair())
        found = await said(worker, list(raced))
    assert [(kinds[kind], found[pair]) for pair, kind in raced.items() if found[pair] not in allowed[kind]] == []
