"""The cursors of shares: each has its row, and where their number changes all begin at the least of them."""

import logging
from datetime import timedelta

import pytest

from testing.commits import START
from testing.database_side import Worker
from unified_indexer.errors import OperatorError
from unified_indexer.pipeline.cursor import Cursor
from unified_indexer.pipeline.watermark import Watermark
from unified_indexer.relay.position import Stored
from unified_indexer.shares import Share

HOST = "relay.test"
LATER = START + timedelta(hours=1)
ROWS = "SELECT service, cursor FROM firehose_cursor ORDER BY service"
STORE = "INSERT INTO firehose_cursor (service, cursor, last_event_time) VALUES ($1, $2, $3::timestamptz)"


async def rows(worker: Worker) -> dict[str, int | None]:
    found = await worker.connection.fetch(ROWS)
    return {row["service"].removeprefix(HOST): row["cursor"] and int(row["cursor"]) for row in found}


async def store(worker: Worker, service: str, cursor: str | None, time: object = START) -> None:
    await worker.connection.execute(STORE, HOST + service, cursor, time)


async def start(worker: Worker, number: int, of: int, *, forget: bool = False) -> Stored:
    return await Cursor(worker.pool, HOST, Share(number, of)).start("public", "live", forget=forget)


@pytest.mark.promise(2)
async def test_another_number_begins_at_the_least_cursor(both_worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    await store(both_worker, "#1/2", "900", LATER)
    await store(both_worker, "#2/2", "100")
    await store(both_worker, ".example", "5")
    await store(both_worker, "#old", "6")
    with caplog.at_level(logging.WARNING):
        assert await start(both_worker, 2, 3) == Stored(100, START)
    assert "divided among 2 before, and are among 3 now" in caplog.text
    others = {".example": 5, "#old": 6}
    assert await rows(both_worker) == {"#1/3": 100, "#2/3": 100, "#3/3": 100} | others
    await both_worker.connection.execute("UPDATE firehose_cursor SET cursor = 200 WHERE service LIKE '%#2/3'")
    assert await start(both_worker, 3, 3) == Stored(100, START)
    assert await start(both_worker, 1, 1) == Stored(100, START)
    assert await rows(both_worker) == {"": 100} | others
    assert await start(both_worker, 1, 2) == Stored(100, START)
    assert await rows(both_worker) == {"#1/2": 100, "#2/2": 100} | others


async def test_a_row_of_our_own_that_is_behind_the_others_counts(worker: Worker) -> None:
    """As it is left where an older version without shares wrote in between."""
    await store(worker, "", "500")
    await store(worker, "#1/2", "300")
    await store(worker, "#2/2", None, None)
    assert await start(worker, 2, 2) == Stored(300, START)
    assert await rows(worker) == {"#1/2": 300, "#2/2": 300}


@pytest.mark.promise(2)
async def test_shares_that_have_not_read_begin_where_the_first_did(worker: Worker) -> None:
    first = Cursor(worker.pool, HOST, Share(1, 3))
    assert await first.start("public", "live", forget=False) == Stored()
    watermark = Watermark()
    for seq in (1_000, 1_001):
        watermark.finish(watermark.arrive(seq, START))
    await first.save(watermark)
    assert await rows(worker) == {"#1/3": 1_001, "#2/3": 999, "#3/3": 999}
    assert await start(worker, 3, 3) == Stored(999)
    # Whose cursor is taken away begins where CURSOR says, alone.
    assert (await start(worker, 2, 3, forget=True)).seq is None
    assert await rows(worker) == {"#1/3": 1_001, "#2/3": None, "#3/3": 999}


async def test_gaps_stay_and_are_the_relay_s(worker: Worker) -> None:
    for share, after in (("#1/2", 10), ("#2/2", 10), ("#2/2", 50), ("", 70)):
        await worker.connection.execute(
            "INSERT INTO unified_worker.gaps (service, reason, after_seq, upto_seq) VALUES ($1, 'retention', $2, $3)",
            *(HOST + share, after, after + 5),
        )
    await store(worker, "#1/2", "900")
    await store(worker, "#2/2", None)
    await start(worker, 1, 3)
    found = await worker.connection.fetch("SELECT service, after_seq FROM unified_worker.gaps ORDER BY after_seq")
    assert [tuple(row) for row in found] == [(HOST, 10), (HOST, 50), (HOST, 70)]


async def test_a_cursor_that_is_no_seq_is_not_thrown_away(worker: Worker) -> None:
    await store(worker, "#1/2", "yesterday")
    with pytest.raises(OperatorError, match=r"relay\.test#1/2 is not a seq"):
        await start(worker, 1, 3)
    assert await worker.value("SELECT array_agg(cursor) FROM firehose_cursor") == ["yesterday"]
