"""A database that refuses much is likelier wrong itself: the worker pauses and warns."""

import asyncio
import logging

import pytest

from testing.commits import LIKE, POST, Stream, did, like, post, put
from testing.database_side import Worker, opened
from testing.databases import connected
from unified_indexer.database.write import breaker as breaker_module
from unified_indexer.database.write.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def accounts(count: int) -> list[str]:
    return [did(f"a{n}") for n in range(count)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(breaker_module, "LONGEST_PAUSE", 0.04)


@pytest.mark.parametrize(
    ("commits", "refused", "expected"),
    [
        (1000, 50, False),
        (1000, 51, True),
        (100_000, 5_000, False),
        (19, 19, False),
        (20, 20, True),
        (400, 20, False),
        (399, 20, True),
    ],
)
def test_it_opens_beyond_five_percent(commits: int, refused: int, expected: bool) -> None:
    breaker = Breaker(Clock())
    breaker.note(commits - refused)
    breaker.note(refused, accounts(refused))
    assert breaker.is_open is expected


@pytest.mark.parametrize(
    ("commits", "refused", "expected"), [(19, 19, False), (20, 20, True), (100, 90, False), (100, 91, True)]
)
def test_few_accounts_open_it_where_nearly_all_is_refused(commits: int, refused: int, expected: bool) -> None:
    breaker = Breaker(Clock())
    breaker.note(commits - refused)
    for number in range(refused):
        breaker.note(1, accounts(3)[number % 3 :][:1])
    assert breaker.is_open is expected


def test_what_is_older_than_ten_seconds_does_not_count() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.note(100, accounts(100))
    assert breaker.is_open
    clock.now += 9.9
    breaker.note(1)
    assert breaker.is_open
    clock.now += 0.2
    breaker.note(1)
    assert not breaker.is_open


@pytest.mark.usefixtures("quick")
async def test_it_pauses_longer_each_time_until_a_commit_is_applied(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    breaker = Breaker(Clock())
    await breaker.rest()
    assert caplog.messages == []
    breaker.note(100, accounts(100))
    for _ in range(4):
        await breaker.rest()
    breaker.note(1)
    await breaker.rest()
    assert pauses == [0.01, 0.02, 0.04, 0.04, 0.01]
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert "refused commits of 100 accounts, of 100 commits in all" in caplog.messages[0]
    assert "dead_letters" in caplog.messages[0]


@pytest.mark.usefixtures("quick")
async def test_a_database_that_refuses_everything_slows_us_down(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'bad')")
    stream = Stream()
    commits = [stream.commit(f"a{n}", put(f"{POST}/1", post("bad"))) for n in range(40)]
    first, rest = commits[:25], commits[25:]
    await worker.processor.process_batch(0, first)
    paused = len([m for m in caplog.messages if "pausing" in m])
    assert paused == 1
    await worker.processor.process_batch(0, rest)
    paused = len([m for m in caplog.messages if "pausing" in m])
    assert paused == 1 + len(rest), "one by one, with a rest after each"
    assert len(await worker.letters()) == 40
    assert worker.metrics.refused == {"database_23514": 40}


async def test_one_account_does_not_pause_the_others(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'bad')")
    stream = Stream()
    commits = [
        stream.commit("bad", put(f"{POST}/{n}", post("bad")))
        if n % 6 == 0
        else stream.commit(f"a{n}", put(f"{POST}/1", post()))
        for n in range(240)
    ]
    await worker.processor.process_batch(0, commits)
    assert not any("pausing" in message for message in caplog.messages)
    assert worker.metrics.refused == {"database_23514": 40}
    assert await worker.value("SELECT count(*) FROM posts") == 200


def test_an_account_counts_until_its_last_refusal_is_ten_seconds_old() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.note(20, accounts(20))
    clock.now += 6
    breaker.note(20, accounts(20))
    clock.now += 6
    breaker.note(1)
    assert breaker.is_open
    clock.now += 6
    breaker.note(1)
    assert not breaker.is_open


async def test_a_few_refusals_among_many_commits_don_t_pause(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'bad')")
    stream = Stream()
    commits = [stream.commit(f"a{n}", put(f"{POST}/1", post("bad" if n % 25 == 0 else ""))) for n in range(250)]
    await worker.processor.process_batch(0, commits)
    assert not any("pausing" in message for message in caplog.messages)
    assert await worker.value("SELECT count(*) FROM posts") == 240


async def test_what_waits_for_another_row_is_no_refusal(application: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connected(application) as connection:
        await connection.execute("ALTER TABLE likes ADD FOREIGN KEY (post_uri) REFERENCES posts (uri)")
    async with opened(application) as worker:
        stream = Stream()
        commits = [stream.commit(f"a{n}", put(f"{LIKE}/1", like(f"at://{did('x')}/{POST}/1"))) for n in range(60)]
        await worker.processor.process_batch(0, commits)
        assert len(await worker.letters()) == 60
        assert worker.metrics.refused == {"foreign_key": 60}
    assert not any("pausing" in message for message in caplog.messages)


def test_commits_of_long_ago_don_t_water_down_the_share() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.note(100_000)
    clock.now += 10.1
    breaker.note(40, accounts(20))
    assert breaker.is_open
