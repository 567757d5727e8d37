"""The stream's time is that of most accounts: one that lies moves nothing, and a quiet stream is not left behind."""

from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median_low

import pytest

from relay_simulator.encoding import frame, time_text
from relay_simulator.records import Record
from testing.authors import SECOND, START, Author, liking
from testing.workers import settings
from unified_indexer.config.settings import Config
from unified_indexer.relay import stream_time
from unified_indexer.relay.position import Stored
from unified_indexer.relay.stream_time import ENOUGH, WINDOW, StreamTime
from unified_worker import UnifiedWorker

BEGIN = datetime(2026, 7, 1, tzinfo=UTC)
DAY = 86_400


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def test_it_is_the_median_of_the_last_accounts() -> None:
    """Times step back by a second as real ones do; every tenth is of another year. An account counts once, by its last time."""
    rng, times, last = Random(1), StreamTime(), dict[str, datetime]()
    for number in range(2_000):
        repo = f"did:{rng.randrange(700)}"
        time = at(number / 500 - rng.random())
        if rng.random() < 0.1:
            time = time.replace(year=rng.choice((2020, 2027)))
        last.pop(repo, None)
        last[repo] = time
        found = times.take(repo, time)
        if number > 100:
            assert found == median_low(list(last.values())[-WINDOW:])
            assert abs(found - at(number / 500)) < timedelta(seconds=2)


def test_one_account_moves_nothing_however_often_it_speaks() -> None:
    times = StreamTime()
    for number in range(ENOUGH):
        times.take(f"did:{number}", at(number / 10))
    for number in range(1_000):
        assert times.take("did:liar", at(DAY + number)) < at(2)


def test_few_accounts_or_a_quiet_stream_go_by_the_event_s_own_time() -> None:
    times = StreamTime()
    for number in range(ENOUGH - 1):
        assert times.take(f"did:{number}", at(number / 10)) == at(number / 10)
    quiet = StreamTime()
    for number in range(400):
        assert quiet.take(f"did:{number}", at(number * 60)) == at(number * 60)


def test_after_a_silence_or_on_a_new_connection_old_times_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(stream_time, "monotonic", lambda: now)
    times = StreamTime()
    for number in range(100):
        times.take(f"did:{number}", at(0))
    now = stream_time.KEPT_FOR + 1
    assert times.take("did:x", at(3600)) == at(3600)
    for number in range(100):
        times.take(f"did:{number}", at(3600))
    times.clear()
    assert times.take("did:x", at(7200)) == at(7200)


def worker(seq: int | None = None, time: datetime | None = None) -> UnifiedWorker:
    made = UnifiedWorker(Config.from_env(settings("postgresql://nobody@127.0.0.1:1/nothing", "ws://127.0.0.1:1")))
    made.begin(Stored(seq, time))
    return made


async def written(one: UnifiedWorker) -> None:
    """All that waits in the lanes counts as written."""
    for lane in one.session.lanes.all:
        while len(lane):
            for placed in await lane.take():
                one.session.watermark.finish(placed.ticket)


def identity(author: str, seq: int, time: str) -> bytes:
    payload: Record = {"seq": seq, "did": Author(author).did, "time": time}
    return frame("#identity", payload)


FAR = "2999-01-01T00:00:00Z"


@pytest.mark.parametrize("accounts", [1, 40])
async def test_an_event_of_2999_moves_neither_the_lag_nor_the_cursor_s_time(accounts: int) -> None:
    one = worker()
    for number in range(accounts):
        name = "abcdefghij"[number % 10] + "abcdefghij"[number // 10]
        await one.on_message_handler(Author(name).commit(number + 1, number / 10, liking("create", "x", number)).frame)
    before = one.session.position.time
    await one.on_message_handler(identity("liar", 900, FAR))
    assert one.session.position.time == before
    await written(one)
    assert (one.session.watermark.cursor, one.session.watermark.time) == (900, before)
    assert (one.gauges.lag or 0) > DAY
    assert one.metrics.last_event_time == before


@pytest.mark.promise(6)
async def test_a_gap_of_two_days_behind_an_event_of_2999_is_noticed() -> None:
    """Last before a stop, and first after it."""
    one = worker(900, at(0))
    for message in (identity("liar", 990, FAR), identity("honest", 1_000, time_text(START + 2 * DAY * SECOND))):
        await one.on_message_handler(message)
    await written(one)
    (gap,) = one.session.watermark.gaps
    assert (gap.reason, gap.after, gap.upto) == ("retention", (900, at(0)), (990, at(2 * DAY)))


async def test_the_first_event_of_all_is_of_2999_and_the_lag_is_not_yet_known() -> None:
    one = worker()
    await one.on_message_handler(identity("liar", 5, FAR))
    await written(one)
    assert one.session.watermark.cursor == 5
    assert one.gauges.lag is None
