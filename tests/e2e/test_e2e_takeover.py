"""A database that another writer filled: the worker replays the last stretch of the stream over its rows, and goes on."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from relay_simulator.server import RelayServer
from testing.application_schema import TABLES
from testing.databases import connected, differences
from testing.model import Model
from testing.processes import Process
from testing.traffic import traffic
from testing.workers import finished, running

# What another writer leaves: the application's tables, its cursor among them, and nothing of ours.
FORGET = "DROP SCHEMA unified_worker CASCADE"
SAME_RELAY = "UPDATE firehose_cursor SET service = $1"  # here each relay has a port of its own
# What only our own bookkeeping can say of the time before: accounts not seen since, records that waited for a key.
UNKNOWABLE = ("unified_worker.repos: ", "duplicate_records: ")
FILLED, REPLAYED = 2_500, 800
LEFT_WRONG = "UPDATE post_aggregations SET like_count = like_count + 7; DELETE FROM quotes WHERE hashtext(uri) % 2 = 0"


async def wrong_rows(url: str, model: Model) -> list[str]:
    return [line for line in await differences(url, model) if not line.startswith(UNKNOWABLE) and not is_verdict(line)]


def is_verdict(line: str) -> bool:
    """Whether it is of a reply older than its gate, which is there when the replay begins: nobody knows which came first."""
    return "violates_thread_gate is True" in line or line.endswith("#notification/reply is missing")


@pytest.mark.long
@pytest.mark.parametrize("left_wrong", ["", LEFT_WRONG], ids=["left right", "left wrong"])
@pytest.mark.promise(3)
async def test_a_replay_over_another_writer_s_rows_counts_nothing_twice(database: str, left_wrong: str, tmp_path: Path) -> None:
    """What it left right stays right; what it left wrong is made right by the command for that."""
    stream = traffic(4_000, seed=3, accounts=400)
    before = traffic(FILLED, seed=3, accounts=400)
    assert before.frames == stream.frames[:FILLED]
    async with connected(database) as connection:
        await connection.execute(TABLES)
        async with RelayServer(before.frames) as relay, running(database, relay.url) as worker:
            await finished(worker, before.last_seq)
        await connection.execute(FORGET)
        if left_wrong:
            await connection.execute(left_wrong)
    cursor = str(before.last_seq - REPLAYED)
    async with RelayServer(stream.frames) as relay:
        async with connected(database) as connection:
            await connection.execute(SAME_RELAY, urlsplit(relay.url).netloc)
        async with running(database, relay.url, CURSOR=cursor, reset_cursor=True) as worker:
            await finished(worker, stream.last_seq)
            assert worker.metrics.finished > len(stream.frames) - FILLED + REPLAYED // 2
            assert worker.metrics.stale == 0, "the guard knows nothing of the other one's commits"
    async with connected(database) as connection:
        assert await connection.fetch("SELECT * FROM unified_worker.gaps") == []
    if left_wrong:
        assert await wrong_rows(database, stream.model) != []
        async with Process(tmp_path, "rebuild-derived", DATABASE_URL=database) as process:
            assert await process.ends() == 0
    assert await wrong_rows(database, stream.model) == []
