"""The progress log and the log's format, with clocks of the test's own."""

import io
import logging
import re
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unified_indexer.log.formats import LineFormatter
from unified_indexer.log.handler import RateLimited, configure
from unified_indexer.metrics import Metrics
from unified_indexer.monitoring.progress import Progress

NOW = datetime(2025, 10, 13, 10, 15, 30, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.seconds = 5_000.0

    def __call__(self) -> float:
        return self.seconds


class Setup:
    def __init__(self) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.progress = Progress(
            self.metrics, pool_use=lambda: (3, 20), queue_depth=lambda: 1_234, clock=self.clock, now=lambda: NOW
        )
        self.lines: list[str] = []
        self.handler = logging.Handler()
        self.handler.emit = lambda record: self.lines.append(record.getMessage())

    def __enter__(self) -> "Setup":
        self.logger = logging.getLogger("unified_indexer.monitoring.progress")
        self.logger.addHandler(self.handler)
        self.logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(logging.NOTSET)


def test_a_line_when_a_multiple_of_a_thousand_is_crossed() -> None:
    with Setup() as it:
        it.clock.seconds += 2
        it.progress.finished(999)
        assert it.lines == []
        it.progress.finished()
        assert it.lines == ["Processed 1,000 events (~500 events/sec)"]
        it.clock.seconds += 4
        it.progress.finished(1_600)
        assert it.lines[1:] == ["Processed 2,000 events (~400 events/sec)"]
        assert it.metrics.finished == 2_600


def test_one_line_a_second_with_the_highest_multiple() -> None:
    with Setup() as it:
        it.clock.seconds += 0.5
        it.progress.finished(4_500)
        assert it.lines == []  # its second is not over
        it.clock.seconds += 0.5
        it.progress.tick()
        assert it.lines == ["Processed 4,000 events (~4500 events/sec)"]
        it.clock.seconds += 0.25
        it.progress.finished(8_000)
        it.progress.tick()
        it.clock.seconds += 0.75
        it.progress.finished(1)
        assert it.lines[1:] == ["Processed 12,000 events (~8001 events/sec)"]
        it.clock.seconds += 30
        it.progress.tick()
        assert len(it.lines) == 2  # nothing was finished since


def test_a_line_looks_as_operators_search_for_it() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure("INFO", stream)
        with Setup() as it:
            it.clock.seconds += 10
            it.progress.finished(5_200)
        logging.getLogger("unified_indexer.other").debug("not at this level")
        logging.getLogger("websockets.client").info("of no interest")
        root.handlers[0].flush()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert re.fullmatch(
        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[INFO\] Processed 5,000 events \(~520 events/sec\)\n", stream.getvalue()
    )


def test_times_are_utc_and_a_message_stays_on_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-5:30")
    time.tzset()
    try:
        record = logging.LogRecord("x", logging.WARNING, "", 0, "relay says %s", ("a\n[2025] [INFO] forged\r",), None)
        record.created = NOW.timestamp()
        assert LineFormatter().format(record) == "[2025-10-13 10:15:30] [WARNING] relay says a\\n[2025] [INFO] forged\\r"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_message_gives_the_terminal_no_commands() -> None:
    """Escape sequences, C1 controls, line separators, text that runs backwards, what no UTF-8 stream takes."""
    said = "\x1b[2J\x9b31m\x07\x85\u2028\u202e\ud800\0 é 你 🙂"
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s", (said,), None)
    line = LineFormatter().format(record)
    assert line.endswith(r"] \x1b[2J\x9b31m\x07\x85\u2028\u202e\ud800\x00 é 你 🙂")
    assert line.encode().decode().isprintable()


def test_a_status_line_once_a_minute() -> None:
    with Setup() as it:
        it.clock.seconds += 59.9
        it.progress.tick()
        assert it.lines == []
        it.clock.seconds += 0.1
        it.progress.tick()
        it.progress.tick()
        assert it.lines == [
            "Lag unknown; pool 3/20 busy; queue 1,234 events; since start: refused 0, stale 0, stale messages 0, "
            "rev forks 0, filtered 0"
        ]
        it.metrics.last_event_time = NOW - timedelta(seconds=3_661.25)
        it.metrics.refused.update(text_frame=2, bad_cbor=1_000)
        it.metrics.filtered.update(inactive=3)
        it.metrics.stale, it.metrics.stale_messages = 7, 2
        it.clock.seconds += 60
        it.progress.tick()
        assert it.lines[1:] == [
            "Lag 3,661.2 s; pool 3/20 busy; queue 1,234 events; "
            "since start: refused 1,002 (bad_cbor 1,000, text_frame 2), stale 7, stale messages 2, "
            "rev forks 0, filtered 3 (inactive 3)"
        ]
        it.metrics.last_event_time = NOW + timedelta(seconds=5)
        it.clock.seconds += 60
        it.progress.tick()
        assert it.lines[2].startswith("Lag 0.0 s;")


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 3) | st.just(0.0), st.booleans()), max_size=60))
def test_lines_are_at_least_a_second_apart_and_none_is_owed(steps: list[tuple[int, float, bool]]) -> None:
    with Setup() as it:
        written: list[tuple[float, int]] = []
        for n, seconds, tick in [*steps, (0, 1.0, True)]:
            it.clock.seconds += seconds
            it.progress.finished(n)
            if tick:
                it.progress.tick()
            for line in (line for line in it.lines if line.startswith("Processed")):
                count = re.fullmatch(r"Processed ([\d,]+) events \(~\d+ events/sec\)", line)
                assert count is not None
                written.append((it.clock.seconds, int(count[1].replace(",", ""))))
            it.lines.clear()
        times = [5_000.0, *(at for at, _ in written)]
        assert all(later - earlier >= 1 for earlier, later in pairwise(times))
        counts = [count for _, count in written]
        assert counts == sorted(set(counts))
        assert all(count % 1_000 == 0 for count in counts)
        assert (counts[-1] if counts else 0) == it.metrics.finished // 1_000 * 1_000


def test_rate_limited_warnings_say_how_many_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    limited = RateLimited(30.0, clock)
    log = logging.getLogger("unified_indexer.test")
    for number in range(5):
        limited.warn(log, "full", "lane %d is full", number)
    limited.warn(log, "other", "another one")
    clock.seconds += 30
    limited.warn(log, "full", "lane %d is full", 9)
    clock.seconds += 30
    limited.warn(log, "full", "lane %d is full", 10)
    assert caplog.messages == [
        "lane 0 is full",
        "another one",
        "lane 9 is full (4 more like this since the last such line)",
        "lane 10 is full",
    ]
