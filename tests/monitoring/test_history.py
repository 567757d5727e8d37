"""What charts and rates are made of, the newest posts, and that asking often costs no more than asking once a second."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import CommitTruth, OpTruth
from testing.waiting import until
from testing.workers import settings
from unified_indexer.config.settings import Config
from unified_indexer.database.write.batch import build
from unified_indexer.database.write.outcome import APPLIED, STALE
from unified_indexer.metrics import LATENCY_BOUNDS, Histogram
from unified_indexer.monitoring.history import KEPT, History, quantile
from unified_indexer.monitoring.http import exposition
from unified_indexer.monitoring.http.exposition import Exposition
from unified_indexer.monitoring.observers import views
from unified_indexer.pipeline.recent_posts import INTERVAL, MOST_SHOWN, Newest
from unified_indexer.protocol.events import Commit
from unified_indexer.protocol.frames import decode
from unified_indexer.relay.position import Stored
from unified_worker import UnifiedWorker


async def worker() -> UnifiedWorker:
    return UnifiedWorker(Config.from_env(settings("postgresql://nobody@127.0.0.1:1/nothing", "ws://127.0.0.1:1")))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_lies_where_the_value_of_that_rank_does(values: list[float], share: float) -> None:
    histogram = Histogram(LATENCY_BOUNDS)
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.sum == pytest.approx(sum(values))
    found = quantile(histogram, histogram.counts, share)
    true = next(value for place, value in enumerate(sorted(values), 1) if place >= share * len(values))
    assert found is not None
    low = max([0.0, *(bound for bound in LATENCY_BOUNDS if bound < true)])
    high = min((bound for bound in LATENCY_BOUNDS if bound >= true), default=LATENCY_BOUNDS[-1])
    assert low * (1 - 1e-9) <= found <= high * (1 + 1e-9)


def test_nothing_has_no_quantile() -> None:
    assert quantile(Histogram(LATENCY_BOUNDS), [0] * (len(LATENCY_BOUNDS) + 1), 0.5) is None


async def test_rates_are_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("unified_indexer.monitoring.history.monotonic", lambda: now)
    monkeypatch.setattr("unified_indexer.monitoring.history.time", lambda: now)
    one = await worker()
    history, metrics = History(one.gauges), one.metrics
    assert (history.rate, history.latency(0.5), history.operations()) == (0.0, None, {})
    for second in range(KEPT + 100):
        now += 1
        metrics.finished += 100 if second < KEPT else 300
        metrics.operations[4] += 50
        metrics.latency.observe(0.02 if second < KEPT else 2.0)
        history.take()
    assert history.rate == pytest.approx(300)
    assert history.operations() == {4: pytest.approx(50)}
    assert 1.0 <= (history.latency(0.5) or 0) <= 2.5  # of the last minute alone
    assert len(history.samples) == KEPT
    assert [sample.rate for sample in history.samples] == [pytest.approx(100)] * (KEPT - 100) + [pytest.approx(300)] * 100
    assert [sample.time for sample in history.samples][-1] == now
    assert history.samples[-1].lag is None


async def test_the_lag_is_of_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    one = await worker()
    assert one.gauges.lag is None
    one.begin(Stored())
    ticket = one.session.watermark.arrive(1, datetime(2026, 1, 1, tzinfo=UTC))
    assert one.gauges.lag is None
    one.session.watermark.finish(ticket)
    assert (one.gauges.lag or 0) > 86_400
    one.session.watermark.finish(one.session.watermark.arrive(2, datetime(2999, 1, 1, tzinfo=UTC)))
    assert one.gauges.lag == 0  # never negative


async def test_who_asks_often_gets_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 50.0
    one = await worker()
    made = Exposition(History(one.gauges), "relay.test", 60, clock=lambda: now)
    first, content_type = made.text("")
    assert content_type.startswith("text/plain; version=")
    assert b"\nunified_worker_events_finished_total 0.0\n" in first
    one.metrics.finished = 7
    assert made.text("") == (first, content_type)
    now += exposition.KEPT_FOR
    assert b"\nunified_worker_events_finished_total 7.0\n" in made.text("")[0]
    openmetrics, content_type = made.text("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert openmetrics.endswith(b"# EOF\n")


async def test_whatever_clients_ask_for_there_are_two_texts() -> None:
    """A client may invent versions without end: none makes a text that is kept, and none is a fault."""
    made = Exposition(History((await worker()).gauges), "relay.test", 60, clock=lambda: 50.0)
    found = {
        made.text(f"{kind}{version}{escape}")[1]
        for kind in ("text/plain", "application/openmetrics-text")
        for version in ("", "; version=abc", "; version=1.x", *(f"; version=1.0.{number}" for number in range(100)))
        for escape in ("", "; escaping=allow-utf-8", "; escaping=abc")
    }
    assert found == {
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }
    assert len(made._made) == 2  # pyright: ignore[reportPrivateUsage]


def posts(count: int) -> list[Commit]:
    """Commits of the simulator that write a post with a text, alone."""
    found: list[Commit] = []
    for sent in Generator(Settings(mix=Mix(like=0, repost=0, follow=0), cheap=True, history=1)).stream(20 * count):
        match decode(sent.frame), sent.truth:
            case Commit() as commit, CommitTruth(
                ops=(OpTruth("create", "app.bsky.feed.post", record={"text": str(text)}),)
            ) if text:
                found.append(commit)
            case _:
                pass
    return found[:count]


def test_the_newest_posts_are_some_that_were_written() -> None:
    now = 10.0
    newest = Newest(lambda: now)
    first, second, third, fourth = (build([event]) for event in posts(4))
    newest.sample(first, [STALE])
    assert not newest.posts
    newest.sample(first, [APPLIED])
    newest.sample(second, [APPLIED])  # too soon
    now += INTERVAL
    both = build([*posts(4)[2:]])
    newest.sample(both, [STALE, APPLIED])  # the first of them says nothing of the others
    newest.sample(third, [APPLIED])
    now += INTERVAL
    newest.sample(fourth, [APPLIED])
    assert [post.uri for post in newest.posts] == [fourth.uri[0], third.uri[0], first.uri[0]]
    assert newest.total == 3
    assert all(0 < len(post.text) <= MOST_SHOWN and post.uri.startswith(f"at://{post.did}/") for post in newest.posts)


async def test_a_fault_of_who_looks_on_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: History) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(History, "take", broken)
    monkeypatch.setattr("unified_indexer.monitoring.history.INTERVAL", 0.001)
    one = await worker()
    async with views(one.config, one.gauges, None, 0.0):
        await until(lambda: "ZeroDivisionError" in caplog.text, "the fault is told")
        assert "indexing continues" in caplog.text
