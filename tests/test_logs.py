"""The log goes into a pipe that nobody reads: the worker goes on, it ends when it is asked to, and what is lacking is told."""

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from indexer.log_lines import LineFormatter
from indexer.logs import MOST_WAITING, Outlet

ROOT = Path(__file__).parents[1]
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


def outlet(writer: int) -> Outlet:
    handler = Outlet(os.fdopen(writer, "w", closefd=False))
    handler.setFormatter(LineFormatter())
    return handler


def test_a_full_pipe_stops_nobody_and_what_was_left_out_is_told(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fill(writer)
    handler = outlet(writer)
    began = time.monotonic()
    for number in range(LINES):
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "line %d: %s", (number, WORDS), None))
    assert time.monotonic() - began < 5, "logging waited for the pipe"
    text = read_all(reader, "did not keep up\n")
    found = re.search(r"\[WARNING\] ([0-9,]+) lines of the log were left out here", text)
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
    assert 0.5 < time.monotonic() - began < 3


def test_without_a_reader_lines_are_lost_and_nothing_else(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    handler = outlet(writer)
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "a line", (), None))
    handler.flush()
    assert not handler._busy()  # pyright: ignore[reportPrivateUsage]


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
