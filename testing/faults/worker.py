"""The worker's process as the campaign starts it: `python -m testing.faults.worker`. Nothing of its stages is changed.

FAULT_ARMED names a file. While there is one, its words `POINT NUMBER MS` say where the process is to kill itself (SIGKILL): at
the NUMBERth statement to the database that the point names; 'amid' one: MS milliseconds after it was sent, if it still runs.
FAULT_STDOUT names a FIFO that takes stdout and stderr.
"""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

import unified_worker
from unified_indexer.database.connection import pool

CALL = r"CALL unified_worker\.apply_commits"
SAVE = r"INSERT INTO \S*firehose_cursor"
# Seconds that a run can spare, for the worker's ten and 45.
PING_INTERVAL, PING_TIMEOUT = 1.0, 6.0
HALVED = 4  # commits that a batch must have to be halved with both halves worth a call


@dataclass(frozen=True, slots=True)
class Point:
    """Where to die: before, amid or after a statement that matches."""

    statement: str
    when: Literal["before", "amid", "after", "halved"]


POINTS = {
    "amid_batch": Point(CALL, "amid"),
    "after_batch": Point(CALL, "after"),
    "before_cursor": Point(SAVE, "before"),
    "amid_cursor": Point(SAVE, "amid"),
    "after_cursor": Point(SAVE, "after"),
    "amid_migration": Point(r"^\s*(CREATE|--|DO|INSERT INTO unified_worker.schema_version)", "before"),
    "amid_wipe": Point(r"CALL unified_worker\.wipe", "amid"),
    "amid_rebuild": Point(r"unified_worker\.rebuild_", "amid"),
    "between_halves": Point(CALL, "halved"),
}


class Armed:
    """The file that says where to die, looked at with each statement."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""
        self._left = 0
        self._lane: object = None  # whose batch is being halved
        self._halves = 0  # calls of it so far

    def point(self, query: str) -> tuple[Point, float] | None:
        """The point, if this statement is the one to die at, and the milliseconds."""
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return None
        name, number, ms = text.split()
        if text != self._text:
            self._text, self._left, self._lane, self._halves = text, int(number), None, 0
        point = POINTS[name]
        if not re.search(point.statement, query):
            return None
        self._left -= 1
        # Each time that the statement was over before, the next is given half as long.
        return (point, float(ms) * 0.5**-self._left) if self._left <= 0 else None

    def die(self) -> None:
        """kill -9 of this process, once: the next one is not armed."""
        self._path.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def halve(self, lane: object, commits: int) -> None:
        """Refuses a batch and its isolated repetition, as if it could not be sent; dies between the halves."""
        if self._lane is None and commits >= HALVED:
            self._lane = lane
        if lane != self._lane:
            return
        self._halves += 1
        if self._halves <= 2:
            raise asyncpg.DataError("refused on order")
        if self._halves == 4:
            self.die()


def watched(method: Callable[..., Any], armed: Armed) -> Callable[..., Any]:
    """A method of the pool's connections that dies where it is told to."""

    async def statement(self: Any, query: str, *args: Any, **options: Any) -> Any:
        found = armed.point(query)
        if found is None:
            return await method(self, query, *args, **options)
        point, ms = found
        if point.when == "before":
            armed.die()
        if point.when == "halved":
            armed.halve(args[0], next(len(cast("list[object]", given)) for given in args if isinstance(given, list)))
        timer = threading.Timer(ms / 1000, armed.die)
        if point.when == "amid":
            timer.start()
        result = await method(self, query, *args, **options)
        timer.cancel()
        if point.when == "after":
            armed.die()
        return result

    return statement


def main() -> None:
    """Arms, redirects, and is the worker."""
    if fifo := os.environ.get("FAULT_STDOUT"):
        descriptor = os.open(fifo, os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
    armed = Armed(Path(os.environ["FAULT_ARMED"]))
    for name in ("execute", "fetch", "fetchrow", "fetchval"):
        setattr(PoolConnectionProxy, name, watched(getattr(PoolConnectionProxy, name), armed))
    pool.PING_INTERVAL, pool.PING_TIMEOUT = PING_INTERVAL, PING_TIMEOUT
    sys.argv[0] = "unified_worker.py"
    unified_worker.main()


if __name__ == "__main__":
    main()
