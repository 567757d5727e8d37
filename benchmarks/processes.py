"""Children of ours: started, measured, ended."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from unified_indexer.config.settings import SETTINGS

ROOT = Path(__file__).parents[1]
STOP_TIMEOUT = 15.0  # seconds: longer than the worker's grace
START_TIMEOUT = 60.0  # seconds: a relay reads all its frames first
POLL = 0.01  # seconds
_HIGHEST_RSS = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class ChildFailed(Exception):
    """A child ended, or said nothing, where it had work to do; the message holds what it wrote last."""


@dataclass(slots=True)
class Child:
    """A running process; `log` is what it writes, None where that goes to our own output."""

    process: subprocess.Popen[str]
    log: Path | None

    def check(self) -> None:
        """Raises ChildFailed if it has ended."""
        if self.process.poll() is not None:
            raise ChildFailed(f"{self.process.args} ended with {self.process.returncode}:\n{self._written()[-2000:]}")

    async def said(self, pattern: str) -> str:
        """What the pattern's first group matches, once the child has written it."""
        deadline = time.monotonic() + START_TIMEOUT
        while (found := re.search(pattern, self._written())) is None:
            self.check()
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.process.args} never said {pattern}:\n{self._written()[-2000:]}")
            await asyncio.sleep(POLL)
        return found[1]

    def cpu(self) -> float:
        """Seconds of CPU that it has used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def rss(self) -> int:
        """Bytes of memory that it holds now."""
        return psutil.Process(self.process.pid).memory_info().rss

    def highest_rss(self) -> int:
        """The most bytes of memory that it has held; where the system doesn't tell (macOS), what it holds now."""
        with suppress(FileNotFoundError):
            found = _HIGHEST_RSS.search(Path(f"/proc/{self.process.pid}/status").read_text())
            if found is not None:
                return int(found[1]) * 1024
        return self.rss()

    def end(self) -> None:
        """Asks it to stop, and waits for it; kills one that does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _written(self) -> str:
        return self.log.read_text(errors="replace") if self.log is not None else ""


@contextmanager
def child_folder() -> Generator[Path]:
    """A temporary folder for children and data that PostgreSQL's account can enter, also where we are root."""
    folder = Path(tempfile.mkdtemp(prefix="unified-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def child(
    name: str, arguments: Sequence[str], folder: Path, settings: Mapping[str, str] | None = None, *, shown: bool = False
) -> Generator[Child]:
    """Runs `python ARGUMENTS` inside `folder` until the block ends. It writes to `folder`/`name`.log; if `shown`, where we do.

    Of the worker's settings it has only those given, so that neither a .env nor the caller's environment changes the figures.
    """
    ours = {setting.name for setting in SETTINGS}
    inherited = {key: value for key, value in os.environ.items() if key not in ours}
    log = None if shown else folder / f"{name}.log"
    with open(log or os.devnull, "w") as output:  # noqa: PTH123 -- os.devnull is no Path
        running = Child(
            subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env={**inherited, "PYTHONPATH": str(ROOT), **(settings or {})},
                stdout=None if shown else output,
                stderr=subprocess.STDOUT,
                text=True,
            ),
            log,
        )
        try:
            yield running
        finally:
            running.end()


@contextmanager
def relay(folder: Path, *options: str) -> Generator[Child]:
    """The relay simulator in a process of its own, on a free port; `await relay_url(…)` says where."""
    with child("relay", ["-u", "-m", "relay_simulator", "--port", "0", *options], folder) as running:
        yield running


async def relay_url(running: Child) -> str:
    """Where the relay listens, once it does."""
    return await running.said(r"frames.* at (ws://\S+)")


async def hosts_settings(running: Child) -> dict[str, str]:
    """The settings with which a worker asks the hosts that the simulator serves with its relay."""
    said = await running.said(r"a worker's settings: (.+)")
    return dict(setting.split("=", 1) for setting in said.split())


def server_cpu(postmaster: int) -> float:
    """Seconds of CPU that a PostgreSQL server's processes have used so far, the ended ones included (on Linux)."""
    parent = psutil.Process(postmaster)
    times = parent.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for process in parent.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            own = process.cpu_times()
            total += own.user + own.system
    return total
