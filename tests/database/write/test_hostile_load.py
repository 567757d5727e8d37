"""What one account can make the database do does not grow with what it, or its friends, sent before.

Times are compared with those of the same work where nothing was left behind: before the bounds they were hundreds to one.
"""

import time
from collections.abc import Awaitable, Callable

import pytest

from relay_simulator.encoding import frame
from testing.commits import LIKE, Stream, at, did, put
from testing.database_side import Worker
from unified_indexer.database.functions import dead_letters
from unified_indexer.protocol.events import Identity
from unified_indexer.protocol.frames import decode

MOST = 12  # times as long

CLAIMS = """
WITH claimed AS (
  INSERT INTO unified_worker.repos
    (did, rev, handle, handle_at, handle_seq, handle_relay, handle_place, place_relay, place_seq, placed_at)
  SELECT 'did:plc:claims' || n, '', 'victim.example.com', now() - interval '1 day' * n, n, 'relay.test',
    n, 'relay.test', n, now()
  FROM generate_series(1, 5000) AS n RETURNING did)
INSERT INTO users (did, handle) SELECT did, 'handle.invalid' FROM claimed
"""
# So many of the account's own that frames are no longer kept, most of them without one; as many of others with one.
LETTERS = """
INSERT INTO unified_worker.dead_letters (did, rev, path, reason, detail, frame_sha256)
SELECT 'did:plc:' || who, '', 'app.bsky.feed.like/0' || n, 'wrong_type', '', sha FROM generate_series(1, 50000) AS n,
  LATERAL (VALUES
    ('a', CASE WHEN n > 49000 THEN sha256(n::text::bytea) END), ('o' || n, sha256(n::text::bytea))) AS l (who, sha);
ANALYZE unified_worker.dead_letters
"""


async def seconds(work: Callable[[int], Awaitable[list[str]]]) -> float:
    """The least of three runs, so that other work of the machine does not count. The function gets the number of the run."""
    took: list[float] = []
    for run in range(3):
        began = time.perf_counter()
        await work(run)
        took.append(time.perf_counter() - began)
    return min(took)


def identities(worker: Worker, first: int, handle: str) -> Awaitable[list[str]]:
    said: list[Identity] = []
    for seq in range(first, first + 20):
        event = decode(frame("#identity", {"seq": seq, "did": did(f"x{seq}"), "handle": handle, "time": at(seq)}))
        assert isinstance(event, Identity)
        said.append(event)
    return worker.write(*said)


async def test_a_handle_that_thousands_claim(worker: Worker) -> None:
    await identities(worker, 100, "first.example.com")  # plans are made
    alone = await seconds(lambda run: identities(worker, 200 + 20 * run, "nobody.example.com"))
    await worker.connection.execute(CLAIMS)
    crowded = await seconds(lambda run: identities(worker, 300 + 20 * run, "victim.example.com"))
    assert crowded < MOST * alone
    holders = await worker.column("SELECT did FROM unified_worker.repos WHERE handle = 'victim.example.com'")
    assert len(holders) == 5_060


@pytest.mark.long
async def test_an_account_with_very_many_dead_letters(worker: Worker) -> None:
    stream = Stream()

    async def refused(name: str) -> list[str]:
        return await worker.write(stream.commit(name, *[put(f"{LIKE}/{n}", {"$type": "x"}) for n in range(100)]))

    await refused("warming")
    alone = await seconds(lambda run: refused("b"))
    await worker.connection.execute(LETTERS)
    burdened = await seconds(lambda run: refused("a"))
    assert burdened < MOST * alone
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_letters WHERE did = $1", did("a")) == 50_100


@pytest.mark.promise(5)
async def test_frames_are_kept_for_no_more_letters_than_the_bound(worker: Worker) -> None:
    stream = Stream()
    for commit in range(6):
        ops = [put(f"{LIKE}/{commit}-{n}", {"$type": "x"}) for n in range(190)]
        await worker.write(stream.commit("a", *ops))
    kept = await worker.value("SELECT count(*) FROM unified_worker.dead_letters WHERE frame_sha256 IS NOT NULL")
    most = dead_letters.MAX_LETTERS_OF_A_DID
    assert most <= kept < most + 190, "a frame is kept for all its letters"
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_letters") == 6 * 190
