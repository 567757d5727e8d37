"""The log on a terminal, as a person sees it: colours, the status below it, and nothing left of that at the end."""

import asyncio
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing.screens import GO_ON, STOP, Screen
from unified_indexer.log.formats import LineFormatter
from unified_indexer.log.handler import MOST_WAITING, Outlet, complain, configure, show_status
from unified_indexer.log.terminal import cut
from unified_indexer.monitoring.terminal_line import Now, keep_showing, status_line

ROOT = Path(__file__).parents[2]
TIME = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]"
NOW = Now("live", 350.4, 0.41, 2, 20, 12, 0, 1_234_567, 11_523.0)
PROGRAM = """
import logging, os, sys
from unified_indexer.log.handler import complain, configure, show_status
configure('INFO')
log = logging.getLogger()
"""

log = logging.getLogger("tests.terminal")


@pytest.fixture(autouse=True)
def log_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def screen() -> Iterator[Screen]:
    it = Screen()
    yield it
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Outlet):
            handler.close()
    it.close()


def started(
    screen: Screen, program: str, *, stderr: TextIO | int | None = None, env: dict[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """This program, as a process of its own on that terminal."""
    command = [sys.executable, "-c", PROGRAM + program]
    return subprocess.Popen(command, cwd=ROOT, stdin=screen.stream, stdout=screen.stream, stderr=stderr, env=env)


def test_the_status_stays_below_the_log(screen: Screen) -> None:
    configure("INFO", screen.stream)
    show_status("status one")
    screen.until(lambda rows: rows == ["status one"])
    log.info("first line")
    log.info("second line")
    show_status("two")
    rows = screen.until(lambda rows: rows[-1:] == ["two"] and len(rows) == 3)
    assert re.fullmatch(TIME + r" \[INFO\] first line", rows[0])
    assert re.fullmatch(TIME + r" \[INFO\] second line", rows[1])
    assert screen.cursor == (2, 0)
    show_status("")
    screen.until(lambda rows: len(rows) == 2)
    assert screen.cursor == (2, 0)


def test_it_stays_below_when_the_screen_is_full(screen: Screen) -> None:
    configure("INFO", screen.stream)
    show_status("status")
    for number in range(60):
        log.info("line %d", number)
    rows = screen.until(lambda rows: len(rows) == 24 and rows[-2].endswith("line 59"))
    assert rows[-1] == "status"
    assert [int(row.split()[-1]) for row in rows[:-1]] == list(range(37, 60))


def test_where_to_look_stays_in_sight_below_it(screen: Screen) -> None:
    """Whatever scrolls past: the lines below the status are whole, broken by the terminal, so that they can be copied."""
    configure("INFO", screen.stream)
    command = "look: " + "0123456789" * 10
    show_status("status", ("Live page: http://127.0.0.1:8080/", command))
    for number in range(60):
        log.info("line %d", number)
    rows = screen.until(lambda rows: len(rows) == 24 and rows[19].endswith("line 59"))
    assert rows[20:] == ["status", "Live page: http://127.0.0.1:8080/", command[:70], command[70:]]
    assert [int(row.split()[-1]) for row in rows[:20]] == list(range(40, 60))
    assert screen.cursor == (20, 0)
    show_status("status", ("x" * 600,))
    rows = screen.until(lambda rows: rows[-1:] == ["status"])
    show_status("")
    screen.until(lambda rows: rows[-1].endswith("line 59"))


def test_it_is_cut_to_the_width_at_drawing(screen: Screen) -> None:
    configure("INFO", screen.stream)
    show_status("0123456789" * 9)
    (row,) = screen.until(lambda rows: len(rows) == 1)
    assert len(row) == 69
    assert row.endswith("…")
    screen.resize(30)
    show_status("0123456789" * 9)
    rows = screen.until(lambda rows: rows[-1:] == ["0123456789012345678901234567…"])
    assert len(rows) == 1
    assert screen.cursor == (0, 0)
    screen.resize(120)
    show_status("0123456789" * 9)
    screen.until(lambda rows: rows == ["0123456789" * 9])
    screen.resize(1)
    show_status("0123456789")
    screen.until(lambda rows: rows == [])


def test_a_terminal_that_broke_the_status_in_two_is_left_clean(screen: Screen) -> None:
    """Most terminals break long rows anew when they get narrower, and keep the cursor where it was in the text."""
    configure("INFO", screen.stream)
    show_status("x" * 60)
    screen.until(lambda rows: rows == ["x" * 60])
    narrow = Screen(40)
    narrow.stream.write("x" * 60 + "\x1b[A\r")  # as such a terminal shows it then: two rows, the cursor in the first
    narrow.stream.flush()
    narrow.until(lambda rows: rows == ["x" * 40, "x" * 20])
    before = len(screen.written)
    screen.resize(40)
    show_status("")
    screen.until(lambda rows: rows == [])
    os.write(narrow.stream.fileno(), screen.written[before:])
    narrow.until(lambda rows: rows == [])
    narrow.close()


@given(st.text(st.sampled_from("ab é你好🙂ｶ한"), max_size=60), st.integers(1, 40))
def test_wide_characters_are_counted_as_two(text: str, columns: int) -> None:
    emulator = pyte.Screen(columns, 4)
    pyte.Stream(emulator).feed(cut(text, columns))
    shown, *below = (row.rstrip() for row in emulator.display)
    assert not any(below)
    assert shown == text.rstrip() or (shown[-1:] == "…" and text.startswith(shown[:-1]))


def test_text_from_the_network_gives_no_commands(screen: Screen) -> None:
    configure("INFO", screen.stream)
    log.info("above")
    show_status("\x1b[2J\x9b1A\n\rx\x07")
    rows = screen.until(lambda rows: len(rows) == 2)
    assert rows[0].endswith("above")
    assert rows[1] == r"\x1b[2J\x9b1A\n\rx\x07"


def test_colours_go_by_level(screen: Screen) -> None:
    configure("DEBUG", screen.stream)
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("message")
    show_status("status")
    screen.until(lambda rows: rows[-1:] == ["status"] and len(rows) == 5)
    label = len("[2025-10-13 10:15:30] ")
    assert [screen.look_of(row, label)[0] for row in range(4)] == ["default", "default", "brown", "red"]
    assert screen.look_of(4, 0) == ("default", True)
    assert screen.look_of(4, len("status")) == ("default", False)


def test_no_color_means_none_but_the_status_stays(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    configure("DEBUG", screen.stream)
    log.error("a line")
    show_status("status")
    screen.until(lambda rows: len(rows) == 2)
    assert not re.search(rb"\x1b\[[0-9;]*m", screen.written)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_plain_lines(screen: Screen, monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    if term:
        monkeypatch.setenv("TERM", term)
    else:
        monkeypatch.delenv("TERM")
    configure("INFO", screen.stream)
    show_status("status")
    log.warning("a line")
    screen.until(lambda rows: len(rows) == 1)
    assert re.fullmatch(TIME.encode() + rb" \[WARNING\] a line\r\n", screen.written)


def test_json_goes_to_a_terminal_without_commands(screen: Screen) -> None:
    configure("INFO", screen.stream, "json")
    show_status("status")
    log.warning("a line")
    screen.until(lambda rows: bool(rows))
    assert b"\x1b" not in screen.written
    assert screen.written.startswith(b'{"time":')


def test_a_pipe_gets_plain_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        configure("INFO", stream)
        show_status("status")
        log.error("a line")
        logging.getLogger().handlers[0].flush()
    assert re.fullmatch(TIME + r" \[ERROR\] a line\n", path.read_text())


@given(st.text(), st.sampled_from([logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL, 25]))
def test_colours_change_no_character(message: str, level: int) -> None:
    record = logging.LogRecord("x", level, "", 0, "%s", (message,), None)
    coloured = LineFormatter(colours=True).format(record)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == LineFormatter().format(record)
    assert coloured.endswith("\x1b[0m") or level in (logging.INFO, logging.WARNING, 25)


@pytest.mark.parametrize(
    "end", ["log.info('Stopped')", "sys.exit(3)", "logging.shutdown(); os._exit(3)", "complain('a fault')"]
)
def test_nothing_is_left_of_it_at_the_end(screen: Screen, end: str) -> None:
    with started(
        screen, f"log.info('the line before')\nshow_status('status')\nlog.handlers[0].flush()\n{end}\n", stderr=screen.stream
    ) as ended:
        ended.wait(10)
    screen.stream.write("$ ")
    screen.stream.flush()
    rows = screen.until(lambda rows: rows[-1:] == ["$"])
    assert b"status" in screen.written
    assert rows[0].endswith("the line before")
    said = {"log.info('Stopped')": "Stopped", "complain('a fault')": "a fault"}.get(end)
    assert [row.endswith(said or "") for row in rows[1:-1]] == ([True] if said else [])


def test_a_complaint_has_the_line_for_itself(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen.stream)
    configure("INFO", screen.stream)
    show_status("a status that is longer than the complaint")
    screen.until(lambda rows: len(rows) == 1)
    complain("a wrong setting")
    screen.until(lambda rows: rows == ["a wrong setting"])


def test_a_stopped_terminal_stops_nobody_and_is_not_told_old_news(screen: Screen) -> None:
    configure("INFO", screen.stream)
    show_status("status before")
    screen.until(lambda rows: rows == ["status before"])
    screen.press(STOP)
    began = time.monotonic()
    for number in range(3 * MOST_WAITING):
        log.info("line %d %s", number, "x" * 100)
        show_status(f"status {number}")
    assert time.monotonic() - began < 30, "it waited for the terminal"  # which is stopped, so that would be for ever
    assert not any("line" in row for row in screen.rows)
    screen.press(GO_ON)
    screen.until(lambda rows: rows[-1:] == [f"status {3 * MOST_WAITING - 1}"])
    assert b"log lines were dropped here" in screen.written
    assert len(set(re.findall(rb"status (\d+)", screen.written))) <= 5
    shown = set(re.findall(rb"line (\d+) ", screen.written))
    (left_out,) = re.findall(rb"([0-9,]+) log lines were dropped", screen.written)
    assert len(shown) + int(left_out.replace(b",", b"")) == 3 * MOST_WAITING


def test_a_process_ends_though_nobody_looks_at_its_terminal(screen: Screen) -> None:
    program = """
for number in range(3000):
    log.info('line %d %s', number, 'x' * 100)
    show_status(str(number))
sys.stderr.write('now\\n')
"""
    with started(screen, program, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"now\n"
        assert process.wait(30) == 0  # it would wait for ever otherwise


def test_the_shell_has_the_last_line_while_we_are_in_the_background(screen: Screen) -> None:
    leader = """
import fcntl, subprocess, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if 'background' in os.environ:
    sys.exit(subprocess.run([sys.executable, '-c', os.environ['background']], process_group=0).returncode)
"""
    shows = "show_status('status')\nlog.info('a line')\n"
    with started(screen, leader + shows) as foreground:
        assert foreground.wait(10) == 0
    (row,) = screen.until(lambda rows: len(rows) == 1)
    assert row.endswith("a line")
    assert b"status" in screen.written
    seen = len(screen.written)
    with started(screen, leader, env=os.environ | {"background": PROGRAM + shows}) as background:
        assert background.wait(10) == 0
    screen.until(lambda rows: len(rows) == 2)
    assert b"status" not in screen.written[seen:]
    assert b"\x1b[J" not in screen.written[seen:]


async def test_the_newest_numbers_are_shown_until_the_end(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.monitoring.terminal_line.INTERVAL", 0.01)
    configure("INFO", screen.stream)
    now = NOW
    showing = asyncio.create_task(keep_showing(lambda: now))

    async def until(condition: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition(screen.rows):
                await asyncio.sleep(0.01)

    await until(lambda rows: rows == [cut(status_line(NOW), 69)])
    now = NOW._replace(state="not connected", notes=("Live page: here", "The data are there"))
    await until(lambda rows: rows == [cut(status_line(now), 69), "Live page: here", "The data are there"])
    showing.cancel()
    await asyncio.wait({showing})
    assert screen.rows == []  # when it has ended, not some time afterwards: a traceback may follow


def test_what_matters_most_comes_first() -> None:
    assert status_line(NOW) == (
        "live  350 events/s  lag 0.4 s  pool 2/20  queue 12  refused 0  1,234,567 events  up 3 h 12 min"
    )
    assert status_line(Now("not connected", 0.0, None, 0, 1, 0, 1_000, 0, 59.99)) == (
        "not connected  0.0 events/s  lag unknown  pool 0/1  queue 0  refused 1,000  0 events  up 59 s"
    )
    assert status_line(NOW._replace(events_per_second=9.96, lag=-3.0)).startswith("live  10 events/s  lag 0.0 s")
    assert status_line(NOW._replace(events_per_second=12_345.6)).startswith("live  12,346 events/s")
