"""A whole worker as a process of its own, to be signalled and killed."""

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from types import MappingProxyType
from typing import Self

import psutil

from testing.waiting import DEADLINE, POLL, until
from testing.warm import Warm

ROOT = Path(__file__).parents[1]


class Process:
    """`python unified_worker.py` with its output in a file. A context, at whose end it is gone in any case."""

    constants: Mapping[str, object] = MappingProxyType({})  # the program's, by their full names, that have other values here

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        """`env` is all of the worker's environment except PATH and what keeps proxies out; folder is its working directory."""
        self._output = folder / f"worker-{time.monotonic_ns()}.log"
        self._output.touch()
        whole = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"} | env
        self._process = self.started(folder, arguments, whole, self._output)
        self.pid = self._process.pid

    def started(self, folder: Path, arguments: Sequence[str], env: Mapping[str, str], output: Path) -> Warm | Popen[bytes]:
        """The process itself; here it is a fork of one that has read the program already."""
        return Warm(folder, arguments, env, output, self.constants)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()

    @property
    def output(self) -> str:
        """All that it has written so far, both streams."""
        return self._output.read_text()

    @property
    def rss(self) -> int:
        """Resident memory, in bytes."""
        return psutil.Process(self.pid).memory_info().rss

    @property
    def highest_rss(self) -> int:
        """The most memory that was resident at a time, in bytes. Linux alone tells."""
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return 1024 * int(found[1])

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs; minus the signal's number where a signal ended it."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self._process.kill()
        self._process.wait()

    async def says(self, pattern: str, seconds: float = DEADLINE) -> re.Match[str]:
        """Wait until a line of the output matches; fails at once when the process has ended without such a line."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.code is not None
            found = re.search(pattern, self.output, re.MULTILINE)
            if found:
                return found
            assert not ended, f"it ended with {self.code} without saying {pattern!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {pattern!r}\n{self.output}"
            await asyncio.sleep(POLL)

    async def ends(self, seconds: float = DEADLINE) -> int:
        """Wait for its end; the exit code."""
        await until(lambda: self.code is not None, f"the worker ends; it said:\n{self.output}", seconds)
        assert self.code is not None
        return self.code


class Hurried(Process):
    """The same, but after a signal it grants itself one second in place of nine."""

    constants = MappingProxyType({"unified_indexer.command_line.signals.GRACE": 1.0})


class Cold(Process):
    """The same from the first byte of Python on, as an operator starts it, or another program in its place."""

    program: Sequence[str] = (str(ROOT / "unified_worker.py"),)

    def started(self, folder: Path, arguments: Sequence[str], env: Mapping[str, str], output: Path) -> Popen[bytes]:
        with output.open("wb") as file:
            return Popen(self.command(arguments), cwd=folder, env=env, stdout=file, stderr=STDOUT, stdin=DEVNULL)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line."""
        return [sys.executable, *self.program, *arguments]


@contextlib.asynccontextmanager
async def spawned(*command: str, cwd: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A program whose stdout is a pipe. If it still runs at the end, because the test failed, it is killed."""
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
