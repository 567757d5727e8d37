"""The stored cursor: one row a relay, in the worker's own tables and in an application's."""

import logging
from datetime import timedelta

import pytest

from testing.commits import START, did
from testing.database_side import Worker
from unified_indexer.errors import OperatorError
from unified_indexer.log.handler import RateLimited
from unified_indexer.pipeline.cursor import Cursor
from unified_indexer.pipeline.watermark import Watermark
from unified_indexer.protocol.events import Account, Identity
from unified_indexer.relay.gaps import Gap, StreamPosition
from unified_indexer.relay.position import Position, Stored

HOUR = timedelta(hours=1)


def cursor(worker: Worker, host: str = "relay.test") -> Cursor:
    return Cursor(worker.pool, host)


@pytest.mark.promise(2)
async def test_what_is_saved_is_where_the_next_start_begins(both_worker: Worker) -> None:
    first = cursor(both_worker)
    assert await first.start("public", "live", forget=False) == Stored()
    await first.save(Watermark(None, None))
    assert await both_worker.value("SELECT count(cursor) FROM firehose_cursor") == 0
    await first.save(passed(Watermark(), 7))
    await first.save(passed(Watermark(7, START), 2**63 - 1))
    assert await cursor(both_worker).start("public", "live", forget=False) == Stored(2**63 - 1, START)
    assert await cursor(both_worker, "another.relay").start("public", "live", forget=False) == Stored()
    row = await both_worker.connection.fetchrow("SELECT service, cursor FROM firehose_cursor")
    assert row is not None
    assert tuple(row) == ("relay.test", str(2**63 - 1))


async def test_what_did_not_move_is_not_written(worker: Worker) -> None:
    first = cursor(worker)
    await first.start("public", "live", forget=False)
    watermark = passed(Watermark(), 7)
    await first.save(watermark)
    version = await worker.value("SELECT xmin::text FROM firehose_cursor")
    await first.save(watermark)
    assert watermark.stored == 7
    stored = await first.start("public", "live", forget=False)
    await first.save(Watermark(stored.seq, stored.time))  # nothing has come since
    assert await worker.value("SELECT xmin::text FROM firehose_cursor") == version


@pytest.mark.parametrize(("configured", "warned"), [("live", False), ("oldest", True), (5, True)])
async def test_a_stored_cursor_overrules_the_configured_one(
    worker: Worker, configured: str | int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.connection.execute("INSERT INTO firehose_cursor (service, cursor) VALUES ('relay.test', '7')")
    with caplog.at_level(logging.WARNING):
        assert await cursor(worker).start("public", configured, forget=False) == Stored(7)
    assert ["--reset-cursor" in message for message in caplog.messages] == [True] * warned


async def test_forgetting_is_for_one_relay(worker: Worker) -> None:
    await worker.connection.execute("INSERT INTO firehose_cursor (service, cursor) VALUES ('relay.test', '7'), ('other', '9')")
    assert await cursor(worker).start("public", "oldest", forget=True) == Stored(forgotten=StreamPosition(7, None))
    assert await worker.column("SELECT service FROM firehose_cursor WHERE cursor IS NOT NULL") == ["other"]


async def test_without_a_cursor_what_accounts_say_is_judged_by_its_time(worker: Worker) -> None:
    """The relay may count anew, from below: its lower seqs must not make news of the accounts stale for ever."""
    relay = worker.pool.name
    known = Account(1_000_000, did("a"), START, False, "deactivated", b"")
    named = Identity(1_000_001, did("a"), START, "a.test", b"")
    assert await worker.write(known, named) == ["applied", "applied"]
    assert await worker.write(known._replace(seq=7, time=START + HOUR, active=True)) == ["stale_message"]
    await cursor(worker, relay).start("public", "oldest", forget=False)  # none was stored yet; so it is after --reset-cursor
    assert await worker.write(known._replace(seq=5), named._replace(seq=6)) == ["stale_message", "stale_message"], "a replay"
    news = known._replace(seq=7, time=START + HOUR, active=True, status=None)
    renamed = named._replace(seq=8, time=START + HOUR, handle="b.test")
    assert await worker.write(news, renamed) == ["applied", "applied"]
    row = await worker.connection.fetchrow("SELECT active, handle, account_seq, handle_seq FROM unified_worker.repos")
    assert row is not None
    assert tuple(row) == (True, "b.test", 7, 8)


async def test_without_a_cursor_a_lower_seq_takes_no_handle(worker: Worker) -> None:
    """A claim under the relay's new numbering comes later than one under the old, though its seq is lower."""
    relay = worker.pool.name
    first = Identity(1_000_000, did("a"), START, "x.test", b"")
    await worker.write(first)
    await cursor(worker, relay).start("public", "oldest", forget=False)
    await worker.write(Identity(5, did("b"), START + HOUR, "x.test", b""))
    held = "SELECT did FROM unified_worker.repos WHERE unified_worker.handle_of(did) = 'x.test'"
    assert await worker.column(held) == [did("a")]


async def test_a_start_before_the_first_cursor_was_saved_keeps_the_order_of_claims(worker: Worker) -> None:
    """The worker ended in its first second, and reads the relay again: it counts as it did."""
    relay = worker.pool.name
    await cursor(worker, relay).start("public", "oldest", forget=False)
    await worker.write(Identity(9, did("a"), START + HOUR, "x.test", b""))
    assert await cursor(worker, relay).start("public", "oldest", forget=False) == Stored()
    await worker.write(Identity(5, did("b"), START, "x.test", b""))
    held = "SELECT did FROM unified_worker.repos WHERE unified_worker.handle_of(did) = 'x.test'"
    assert await worker.column(held) == [did("b")]


@pytest.mark.parametrize("stored", ["", "seven", "-7", "7.0", "2026-01-01", "7\n"])
async def test_a_stored_cursor_that_is_no_seq_is_the_operator_s(worker: Worker, stored: str) -> None:
    await worker.connection.execute("INSERT INTO firehose_cursor (service, cursor) VALUES ('relay.test', $1)", stored)
    with pytest.raises(OperatorError, match="start with --reset-cursor"):
        await cursor(worker).start("public", "live", forget=False)


async def test_a_row_without_a_cursor_is_none(worker: Worker) -> None:
    await worker.connection.execute("INSERT INTO firehose_cursor (service) VALUES ('relay.test')")
    assert await cursor(worker).start("public", "live", forget=False) == Stored()


async def test_a_cursor_that_can_t_be_saved_just_now_is_told_and_ends_nothing(
    worker: Worker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "unified_indexer.pipeline.cursor.warn_limited", RateLimited().warn
    )  # one that no other test has used up
    kept, watermark = cursor(worker), passed(Watermark(), 7)
    await kept.start("public", "live", forget=False)
    await worker.connection.execute(
        """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON firehose_cursor EXECUTE FUNCTION full_disk()"""
    )
    await kept.try_saving(watermark)
    assert "Could not save the cursor, so it is unchanged (no space left)" in caplog.text
    await worker.connection.execute("DROP TRIGGER full_disk ON firehose_cursor")
    await kept.try_saving(watermark)
    assert await worker.value("SELECT cursor FROM firehose_cursor") == "7"


GAPS = """
SELECT concat_ws(' ', service, reason, after_seq, coalesce(upto_seq::text, '?')) FROM unified_worker.gaps ORDER BY id
"""
LATER = StreamPosition(90, START + timedelta(days=1))


def passed(watermark: Watermark, seq: int, gap: Gap | None = None) -> Watermark:
    """The watermark, after one more event."""
    watermark.finish(watermark.arrive(seq, START, gap))
    return watermark


@pytest.mark.promise(6)
async def test_a_gap_is_stored_with_the_cursor_that_passes_it_and_once(both_worker: Worker) -> None:
    kept = cursor(both_worker)
    await kept.start("public", "live", forget=False)
    watermark = passed(Watermark(), 7)
    gap = Gap("retention", StreamPosition(7, START), LATER)
    early = watermark.arrive(8, None)
    ticket = watermark.arrive(90, LATER.time, gap)
    watermark.finish(ticket)
    await kept.save(watermark)
    assert await both_worker.column(GAPS) == []  # an event before it is not finished
    watermark.finish(early)
    for _ in range(2):
        await kept.save(watermark)
        assert await both_worker.column(GAPS) == ["relay.test retention 7 90"]
        assert watermark.gaps == []
    row = await both_worker.connection.fetchrow("SELECT after_time, upto_time FROM unified_worker.gaps")
    assert tuple(row or ()) == (START, LATER.time)
    # The same stretch again: the same gap. Two at once are two.
    await kept.start("public", "live", forget=True)
    await kept.save(
        passed(passed(Watermark(), 90, gap), 200, Gap("unreadable", StreamPosition(91, None), StreamPosition(200, None)))
    )
    assert await both_worker.column(GAPS) == ["relay.test retention 7 90", "relay.test unreadable 91 200"]


@pytest.mark.promise(6)
async def test_a_gap_that_can_t_be_stored_just_now_is_stored_with_the_next_cursor(worker: Worker) -> None:
    kept = cursor(worker)
    await kept.start("public", "live", forget=False)
    watermark = passed(Watermark(), 90, Gap("reset", StreamPosition(7, START), LATER))
    await worker.connection.execute("ALTER TABLE firehose_cursor RENAME TO gone")
    await kept.try_saving(watermark)
    await worker.connection.execute("ALTER TABLE gone RENAME TO firehose_cursor")
    assert await worker.column(GAPS) == []
    await kept.try_saving(watermark)
    assert await worker.column(GAPS) == ["relay.test reset 7 90"]
    assert await worker.value("SELECT cursor FROM firehose_cursor") == "90"


async def test_what_a_reset_forgets_is_known_until_it_is_judged(both_worker: Worker) -> None:
    await cursor(both_worker).start("public", "live", forget=True)  # there is nothing to forget
    assert await both_worker.column(GAPS) == []
    first = cursor(both_worker)
    await first.start("public", "live", forget=False)
    await first.save(passed(Watermark(), 7))
    for forget in (True, False, True):  # a start that was killed before an event came, and other ones after it
        kept = cursor(both_worker)
        assert await kept.start("public", "live", forget=forget) == Stored(forgotten=StreamPosition(7, START))
        assert await both_worker.column(GAPS) == ["relay.test reset 7 ?"]
    another = cursor(both_worker, "another.relay")
    assert (await another.start("public", "live", forget=False)).forgotten is None
    untimed = Watermark()
    untimed.finish(untimed.arrive(80, None))
    await kept.save(untimed)  # an event without a time: not judged yet
    again = cursor(both_worker)
    assert await again.start("public", "live", forget=False) == Stored(80, None, StreamPosition(7, START))
    await again.save(passed(Watermark(80, None), 90, Gap("renumbered", StreamPosition(7, START), LATER)))
    assert await both_worker.column(GAPS) == ["relay.test renumbered 7 90"]
    last = cursor(both_worker)
    assert (await last.start("public", "live", forget=False)).forgotten is None


@pytest.mark.parametrize("stored", ["seven", "", "99999999999999999999", "9223372036854775808", None])
async def test_a_stored_cursor_that_is_no_seq_can_be_forgotten(worker: Worker, stored: str | None) -> None:
    await worker.connection.execute("INSERT INTO firehose_cursor (service, cursor) VALUES ('relay.test', $1)", stored)
    assert await cursor(worker).start("public", "live", forget=True) == Stored()
    assert await worker.column(GAPS) == []
    assert await worker.value("SELECT count(cursor) FROM firehose_cursor") == 0


@pytest.mark.parametrize("seconds", [-1, 1])
@pytest.mark.promise(6)
async def test_what_another_relay_brought_before_is_not_forgotten(
    both_worker: Worker, seconds: int, caplog: pytest.LogCaptureFixture
) -> None:
    old = cursor(both_worker, "old.test")
    assert (await old.start("public", "live", forget=False)).foreign is False
    await old.save(passed(Watermark(), 900))
    new, stored = cursor(both_worker), Stored()
    for _ in range(2):  # an end before the first event changes nothing
        new = cursor(both_worker)
        with caplog.at_level(logging.WARNING):
            stored = await new.start("public", "live", forget=False)
        assert "one for another relay is" in caplog.text
        assert stored == Stored(None, None, StreamPosition(900, START), foreign=True)
        caplog.clear()
    time = START + timedelta(seconds=seconds)
    gap = Position("relay.test", stored, None).arrived(7, time)
    assert gap == (Gap("other_relay", StreamPosition(900, START), StreamPosition(7, time)) if seconds > 0 else None)
    await new.save(passed(Watermark(6, time), 7, gap))
    assert await both_worker.column(GAPS) == ["relay.test other_relay 900 7"] * (seconds > 0)
    caplog.clear()
    again = cursor(both_worker)
    stored = await again.start("public", "live", forget=False)
    assert (stored.foreign, "another relay" in caplog.text) == (False, False)
