"""Keeps the worker running as an operator's supervisor does: one that ended is started again, in the documented way."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import psutil

from relay_simulator.server import RelayServer
from testing.processes import ROOT, Cold

PAUSE = 0.3  # seconds before it is started again
LOOK = 0.05  # seconds between two looks at it
PIPE_READ = 65_536
FILLER = bytes(4096)  # no line of the log has a NUL
STARTED_AT = re.compile(r"\[INFO\] (?:Resuming \S+ from the stored cursor (\d+)|No cursor is stored)")


class Worker(Cold):
    """The worker that can be told to die at a named point."""

    program: Sequence[str] = ("-m", "testing.faults.worker")


class Pipe:
    """The worker's stdout: a FIFO that is read into a file, or not, and then it is full."""

    def __init__(self, path: Path, copy: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.copy = copy
        self._copy: BinaryIO = copy.open("ab")
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # so that it never ends
        self._read = True

    async def run(self) -> None:
        """Read it, until cancelled, while it is to be read."""
        try:
            while True:
                with contextlib.suppress(BlockingIOError):
                    while self._read and (data := os.read(self._reader, PIPE_READ)):
                        self._copy.write(data.replace(b"\0", b""))
                self._copy.flush()
                await asyncio.sleep(LOOK)
        finally:
            self._copy.close()
            os.close(self._reader)
            os.close(self._writer)

    def fill(self) -> None:
        """Stop reading, and fill it to the last byte."""
        self._read = False
        for filler in (FILLER, FILLER[:1]):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(self._writer, filler)

    def drain(self) -> None:
        """Read it again."""
        self._read = True


class Keeper:
    """`run` keeps one worker running until `rest`; `codes` are the exit codes so far, `faults` what must not have been."""

    def __init__(self, folder: Path, env: dict[str, str], relay: RelayServer, *, asks: bool = True) -> None:
        """`asks`: it alone asks the relay, so that what it asks for can be judged."""
        self.armed = folder / "armed"
        self.pipe: Pipe | None = None
        self.codes: list[int] = []
        self.faults: list[str] = []
        self.outputs: list[str] = []  # of those that have ended
        self.rss = 0  # bytes, the most that was seen
        self.held = asyncio.Event()  # set: one that has ended may be started
        self.held.set()
        self.process: Worker | None = None
        self._folder = folder
        self._env = env | {"PYTHONPATH": str(ROOT), "FAULT_ARMED": str(self.armed)}
        self._relay = relay
        self._asks = asks
        self._alone = True  # the only one that asks this relay
        self.pids: list[int] = []  # of all that were started
        self._resting = False

    async def run(self) -> None:
        """Start it, wait for its end, start it again; until `rest` and its end."""
        reset = False
        while not self._resting:
            await self.held.wait()
            asked = len(self._relay.cursors)
            said = len(self._piped())
            async with Worker(self._folder, *(["--reset-cursor"] if reset else []), **self._env) as process:
                self.process = process
                self.pids.append(process.pid)
                await self._watch(process)
            self._judge(process, asked, self._piped()[said:] if self.pipe else process.output)
            done = reset and "No cursor is stored" in self.outputs[-1]  # else it died before it came to that
            reset = (reset and not done) or (process.code == 1 and "--reset-cursor" in self.outputs[-1])
            await asyncio.sleep(PAUSE)

    async def _watch(self, process: Worker) -> None:
        while process.code is None:
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                self.rss = max(self.rss, process.rss)
            await asyncio.sleep(LOOK)

    def _judge(self, process: Worker, asked: int, output: str) -> None:
        """What it said, and whether it asked the relay for what it had found stored."""
        assert process.code is not None
        self.codes.append(process.code)
        self.outputs.append(output)
        if "Traceback" in output or "never retrieved" in output:
            self.faults.append(f"traceback: {output[output.find('Traceback') :][-1500:]}")
        found = STARTED_AT.search(output)
        if self._asks and found and len(self._relay.cursors) > asked:
            stored = int(found[1] or 0)
            since = self._relay.cursors[asked : asked + 1 if self._alone else None]
            if stored not in since:
                self.faults.append(f"stored was {stored}, but {since} was asked for")

    def beside(self, relay: RelayServer) -> "Keeper":
        """One for a second worker on the same database, which reads this relay."""
        folder = self._folder / "beside"
        folder.mkdir(exist_ok=True)
        own = {name: value for name, value in self._env.items() if name not in ("LD_PRELOAD", "FAULT_STDOUT")}
        return Keeper(folder, own | {"RELAY_URL": relay.url, "DB_POOL_SIZE": "2"}, relay)

    def another(self, name: str, **env: str) -> "Keeper":
        """One for another worker that reads the same, with these settings."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return Keeper(folder, self._env | {"DB_POOL_SIZE": "2"} | env, self._relay, asks=False)

    def standing_by(self) -> "Keeper":
        """One for a second worker on the same database and relay, which waits for the first one's end."""
        other = self.beside(self._relay)
        other._env |= {"RELAY_URL": self._env["RELAY_URL"], "STANDBY": "on"}
        self._alone = other._alone = False
        return other

    def use_pipe(self) -> None:
        """From the next start on the worker writes into a pipe."""
        self.pipe = Pipe(self._folder / "stdout", self._folder / "piped.log")
        self._env["FAULT_STDOUT"] = str(self.pipe.path)

    @property
    def output(self) -> str:
        """All that the workers have said so far, in files."""
        if self.pipe:
            return self._piped()
        latest = self.process.output if self.process is not None and len(self.outputs) < len(self.pids) else ""
        return "".join(self.outputs) + latest

    def _piped(self) -> str:
        return self.pipe.copy.read_text(errors="replace") if self.pipe else ""

    def arm(self, point: str, number: int, ms: float) -> None:
        """Let the worker die there (`worker.POINTS`), once."""
        fresh = self.armed.with_suffix(".new")
        fresh.write_text(f"{point} {number} {ms}")
        fresh.rename(self.armed)

    async def ended(self, count: int, seconds: float) -> None:
        """Wait until more than `count` workers have ended; then let none be armed any more."""
        deadline = time.monotonic() + seconds
        while len(self.codes) <= count:
            assert time.monotonic() < deadline, f"the worker did not end within {seconds:g} s; it said:\n{self.output[-2000:]}"
            await asyncio.sleep(LOOK)

    def disarm(self) -> None:
        """Let none die any more."""
        self.armed.unlink(missing_ok=True)

    def signal(self, number: int) -> None:
        """Send a signal to the worker, if one runs."""
        if self.process is not None and self.process.code is None:
            self.process.signal(number)

    def rest(self) -> None:
        """Start none any more."""
        self._resting = True
