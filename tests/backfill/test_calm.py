"""When two sets are written at one time: while the stream is quick, or brings nothing."""

import pytest

from unified_indexer.backfill import calm as module
from unified_indexer.backfill.calm import Calm
from unified_indexer.metrics import LATENCY_BOUNDS, Histogram


class Clock:
    """A clock that only a test moves on."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Events:
    """A stream's latencies, and whether it is calm."""

    def __init__(self) -> None:
        self._latency = Histogram(LATENCY_BOUNDS)
        self.calm = Calm(self._latency)

    def come(self, count: int, seconds: float) -> None:
        for _ in range(count):
            self._latency.observe(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_without_events_and_with_quick_ones_it_is_calm(clock: Clock) -> None:
    events = Events()
    assert events.calm()
    events.come(1_000, module.SLOW)
    assert events.calm()


def test_one_slow_event_of_a_hundred_is_none_and_two_are(clock: Clock) -> None:
    events = Events()
    events.come(10_000, 0.001)
    assert events.calm()
    events.come(99, 0.001)
    events.come(1, 0.1)
    assert events.calm()
    events.come(98, 0.001)
    events.come(2, 0.1)
    assert not events.calm()


def test_few_events_say_nothing_until_there_are_more(clock: Clock) -> None:
    events = Events()
    events.come(99, 0.1)
    assert events.calm()
    events.come(1, 0.001)
    assert not events.calm()


def test_after_half_a_minute_of_quick_events_it_is_calm_again(clock: Clock) -> None:
    events = Events()
    events.come(100, 0.1)
    assert not events.calm()
    clock.now += module.REST - 0.1
    events.come(100, 0.001)
    assert not events.calm()
    clock.now += 0.2
    assert events.calm()
    clock.now += 100
    events.come(100, 0.1)
    assert not events.calm()
    clock.now += module.REST - 0.1
    events.come(100, 0.1)
    assert not events.calm()
    clock.now += module.REST - 0.1
    assert not events.calm(), "slow ones meanwhile begin it anew"
