"""The log goes into a pipe that nobody reads: the worker goes on, it ends when it is asked to, and what is lacking is told."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unified_indexer.log.formats import JSONFormatter, LineFormatter
from unified_indexer.log.handler import MOST_WAITING, Outlet

ROOT = Path(__file__).parents[2]
LINES = 3 * MOST_WAITING
WORDS = "a line of the log, as long as lines are: " + "x" * 60


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: the ends to read and to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def fill(writer: int) -> int:
    """Put so much into the pipe that not a byte more goes in; how much it was."""
    os.set_blocking(writer, False)
    size = 0
    for piece in (bytes(4096), b"\0"):
        with suppress(BlockingIOError):
            while True:
                size += os.write(writer, piece)
    os.set_blocking(writer, True)
    return size


def read_all(reader: int, until: str) -> str:
    """What comes out, up to these words."""
    text = ""
    deadline = time.monotonic() + 10
    while until not in text:
        assert time.monotonic() < deadline, text[-500:]
        text += os.read(reader, 65_536).decode().replace("\0", "")
    return text


def outlet(writer: int, formatter: logging.Formatter | None = None) -> Outlet:
    handler = Outlet(os.fdopen(writer, "w", closefd=False))
    handler.setFormatter(formatter or LineFormatter())
    return handler


def test_a_full_pipe_stops_nobody_and_what_was_left_out_is_told(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fill(writer)
    handler = outlet(writer)
    began = time.monotonic()
    for number in range(LINES):
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "line %d: %s", (number, WORDS), None))
    assert time.monotonic() - began < 60, "logging waited for the pipe"  # nobody reads it, so that would be for ever
    text = read_all(reader, "did not keep up\n")
    found = re.search(r"\[WARNING\] ([0-9,]+) log lines were dropped here", text)
    assert found
    left_out = int(found[1].replace(",", ""))
    text += "" if left_out == LINES - MOST_WAITING else read_all(reader, f"line {MOST_WAITING - 1}: {WORDS}\n")
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "the end", (), None))
    text += read_all(reader, "the end\n")
    numbers = [int(number) for number in re.findall(r"\[INFO\] line (\d+): ", text)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + left_out == LINES
    assert MOST_WAITING <= len(numbers) <= MOST_WAITING + 1  # one more is in the writer's hand


def test_a_flush_waits_for_what_is_read_and_not_for_ever(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = outlet(writer)
    record = logging.LogRecord("x", logging.INFO, "", 0, "a line", (), None)
    handler.handle(record)
    handler.flush()
    assert os.read(reader, 100).endswith(b"[INFO] a line\n")
    fill(writer)
    handler.handle(record)
    began = time.monotonic()
    handler.flush()
    assert 0.5 < time.monotonic() - began < 60


def test_without_a_reader_lines_are_lost_and_nothing_else(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    handler = outlet(writer)
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "a line", (), None))
    handler.flush()
    assert not handler._busy()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.long
@pytest.mark.parametrize("fault", [{"LOG_LEVEL": "loud"}, {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "CURSOR": "?"}])
def test_a_start_that_fails_ends_though_nobody_reads_why(pipe: tuple[int, int], tmp_path: Path, fault: dict[str, str]) -> None:
    _, writer = pipe
    fill(writer)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "unified_worker.py")], cwd=tmp_path, env=fault, stdout=writer, stderr=writer
    )
    try:
        assert process.wait(timeout=20) == 2
    finally:
        process.kill()
        process.wait()


ANY_TEXT = st.text(st.one_of(st.characters(), st.characters(categories=["Cs", "Cc", "Cf"])))  # surrogates, controls


@given(ANY_TEXT)
def test_a_json_line_is_json_whatever_it_says(message: str) -> None:
    line = JSONFormatter().format(logging.LogRecord("x", logging.WARNING, "", 0, "%s", (message,), None))
    assert line.isprintable()  # so it is one line for any reader, and no command for a terminal
    told = json.loads(line.encode())
    assert told.keys() == {"time", "level", "logger", "message"}
    assert told["message"] == message.encode("utf-8", "backslashreplace").decode()
    assert (told["level"], told["logger"]) == ("WARNING", "x")


def test_a_json_line_says_when_and_with_which_traceback() -> None:
    try:
        raise ValueError("bad \x1b[2J \ud800 value")
    except ValueError:
        record = logging.LogRecord("a.b", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    record.created = datetime(2025, 10, 13, 10, 15, 30, 4_000, UTC).timestamp()
    line = JSONFormatter().format(record)
    assert line.isprintable()
    told = json.loads(line)
    assert told.pop("traceback").splitlines()[::3] == [
        "Traceback (most recent call last):",
        "ValueError: bad \x1b[2J \\ud800 value",
    ]
    assert told == {"time": "2025-10-13T10:15:30.004Z", "level": "ERROR", "logger": "a.b", "message": "it failed"}


def test_a_traceback_as_text_gives_no_commands() -> None:
    try:
        raise ValueError("bad \x1b[2J\nvalue")
    except ValueError:
        text = LineFormatter().format(logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), sys.exc_info()))
    lines = text.split("\n")
    assert lines[0].endswith("[ERROR] it failed")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-2:] == [r"ValueError: bad \x1b[2J", "value"]


def test_what_was_left_out_is_told_in_json(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fill(writer)
    handler = outlet(writer, JSONFormatter())
    for number in range(MOST_WAITING + 50):
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "line %d", (number,), None))
    text = read_all(reader, 'did not keep up"}\n')
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "the end", (), None))
    text += "" if '"the end"' in text else read_all(reader, '"the end"}\n')
    lines = [json.loads(line) for line in text.splitlines()]
    (told,) = (line for line in lines if line["level"] == "WARNING")
    assert re.fullmatch(r"[0-9]+ log lines were dropped here: .*", told["message"])


def test_json_is_utf_8_whatever_the_locale() -> None:
    program = (
        "from unified_indexer.log.handler import configure; import logging; configure('INFO', log_format='json'); "
        "logging.info('é 你 🙂')"
    )
    env = {"PYTHONIOENCODING": "latin-1", "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, check=True)
    assert json.loads(done.stdout)["message"] == "é 你 🙂"


def test_the_last_lines_are_written_at_the_end() -> None:
    start = "from unified_indexer.log.handler import configure; import logging; configure('INFO')"
    program = start + "\nfor n in range(900): logging.info(n)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 900
