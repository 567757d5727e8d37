"""The whole worker against a real relay and a real database: in this process, or as a process of its own to be signalled.

Everything waits for a condition with a deadline; `until` says what did not come about.
"""

import asyncio
import contextlib
import functools
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg
import psutil

from indexer.config.settings import Config
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import Sent
from testing.model import Model, compare
from testing.model.compare import Expecting
from unified_worker import UnifiedWorker

ROOT = Path(__file__).parents[1]
DEADLINE = 90.0  # seconds: what takes longer has failed; ordinary waits are far below
POLL = 0.02  # seconds
SWEEP = """
SELECT unified_worker.sweep(ARRAY(SELECT did FROM unified_worker.repos WHERE status = 'deleted' AND NOT active))
"""
UNSETTLED = """
SELECT EXISTS (SELECT FROM unified_worker.repos WHERE wiping) OR EXISTS (SELECT FROM unified_worker.judgements) OR EXISTS (
  SELECT FROM unified_worker.dead_letters JOIN unified_worker.repos AS r USING (did) WHERE reason = 'wiping' AND r.active)
"""


@dataclass(frozen=True)
class Traffic:
    """Frames of the simulator, and the model after all of them."""

    frames: tuple[bytes, ...]
    model: Model
    last_seq: int


@functools.cache
def traffic(
    events: int, *, awkward: bool = False, cheap: bool = True, seed: int = 1, accounts: int = 1_000, history: int = 50
) -> Traffic:
    """So many events of a kind; equal arguments share one result, which is not to be changed."""
    mix = Mix.awkward() if awkward else Mix.realistic()
    settings = Settings(seed=seed, accounts=accounts, mix=mix, cheap=cheap, history=history)
    return told(Generator(settings).stream(events))


def told(stream: Iterable[Sent]) -> Traffic:
    """These frames, and the model of what they say."""
    model = Model()
    frames: list[bytes] = []
    last_seq = 0
    for sent in stream:
        frames.append(sent.frame)
        model.apply(sent.truth)
        last_seq = max(last_seq, sent.truth.seq)
    return Traffic(tuple(frames), model, last_seq)


async def until(
    condition: Callable[[], bool | Awaitable[object]], what: str, seconds: float = DEADLINE, poll: float = POLL
) -> None:
    """Wait until the condition is true; `what` names it in the failure. A condition may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(poll)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncGenerator["asyncpg.Connection[Any]"]:
    """A connection of the test's own, told apart from the worker's by its application_name."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "the test"})
    try:
        yield connection
    finally:
        await connection.close()


async def stored_cursor(url: str, relay_url: str) -> int | None:
    """The cursor saved for this relay, None while there is none (or no table for it yet)."""
    async with connected(url) as connection:
        try:
            found = await connection.fetchval(
                "SELECT cursor FROM firehose_cursor WHERE service = $1", urlsplit(relay_url).netloc
            )
        except asyncpg.UndefinedTableError:
            return None
    return None if found is None else int(found)


async def saved(url: str, relay_url: str, seq: int, seconds: float = DEADLINE) -> None:
    """Wait until the cursor of this relay is saved at exactly this seq."""

    async def reached() -> bool:
        return await stored_cursor(url, relay_url) == seq

    await until(reached, f"the cursor is saved at {seq}", seconds)
    await settled(url, seconds)


async def settled(url: str, seconds: float = DEADLINE) -> None:
    """Wait until all is done beside the stream: deleted accounts are wiped, what waited for that is in, gates are judged."""
    async with connected(url) as connection:

        async def done() -> bool:
            return not await connection.fetchval(UNSETTLED)

        await until(done, "deleted accounts are wiped, what waited for it is applied, and gates are judged", seconds)


async def differences(url: str, model: Expecting) -> list[str]:
    """Where the database is not what the model says. The database's own trouble must have made no dead letter either."""
    async with connected(url) as connection:
        if await connection.fetchval("SELECT to_regprocedure('unified_worker.sweep(text[])') IS NOT NULL"):
            await connection.execute(SWEEP)  # whose notifications came while the last frames were written
        letters = await connection.fetch("SELECT * FROM unified_worker.dead_letters WHERE reason LIKE 'database%'")
        return await compare(model, connection) + [str(letter) for letter in letters]


async def backends(url: str) -> list[str]:
    """What the worker's connections to this database are doing: a query each."""
    async with connected(url) as connection:
        rows = await connection.fetch(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%python%'"
        )
        return [row["query"] for row in rows]


async def terminate_backends(url: str, *, holding_lock: bool = False) -> int:
    """End the worker's connections from the database's side: all, or only that which holds the lock; how many it were."""
    locked = "AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1)" if holding_lock else ""
    async with connected(url) as connection:
        return len(
            await connection.fetch(
                f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE '%python%' {locked}"""
            )
        )


def settings(url: str, relay_url: str, **env: str) -> dict[str, str]:
    """The worker's environment: everything that the relay holds, unless `env` says otherwise."""
    return {"DATABASE_URL": url, "RELAY_URL": relay_url, "CURSOR": "oldest", "HTTP_BIND": ""} | env


@contextlib.asynccontextmanager
async def running(url: str, relay_url: str, *, reset_cursor: bool = False, **env: str) -> AsyncGenerator[UnifiedWorker]:
    """A worker in this process. Afterwards it is stopped, and must end within ten seconds."""
    worker = UnifiedWorker(Config.from_env(settings(url, relay_url, **env)), reset_cursor)
    await worker.initialize()
    body = asyncio.current_task()
    assert body is not None
    task = asyncio.create_task(worker.run())
    # So that the test ends at once where the worker fails.
    task.add_done_callback(lambda ended: body.cancel() if not ended.cancelled() and ended.exception() else None)
    try:
        yield worker
        assert not task.done()
    finally:
        worker.stop()
        await asyncio.wait({task}, timeout=10)
        assert task.done(), "the worker did not stop within ten seconds"
        if body.cancelling():
            body.uncancel()
        task.result()


async def finished(worker: UnifiedWorker, seq: int, seconds: float = DEADLINE) -> None:
    """Wait until the worker in this process has finished everything up to this seq."""
    await until(
        lambda: worker.watermark.cursor == seq and not len(worker.watermark), f"the worker is through to {seq}", seconds
    )
    await settled(worker.config.database_url, seconds)


class Process:
    """`python unified_worker.py` with its output in a file. A context, at whose end it is gone in any case."""

    program: Sequence[str] = (str(ROOT / "unified_worker.py"),)

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        """`env` is all of the worker's environment except PATH and what keeps proxies out; folder is its working directory."""
        self._output = folder / f"worker-{time.monotonic_ns()}.log"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *self.program, *arguments],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"} | env,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.pid = self._process.pid

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

    program = (
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from indexer.command_line import signals; signals.GRACE = 1.0; "
        "import unified_worker; unified_worker.main()",
    )
