"""Workers whose Python has read the program already: forks of one process that waits for them, by multiprocessing's forkserver.

To read it takes half a second of CPU, to fork twenty milliseconds, and the suite starts some hundred and fifty. Such a worker
is a process as any other: its own pid, signals, environment, working directory and exit code.
"""

import importlib
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from io import FileIO, TextIOWrapper
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import unified_worker

PROGRAM = unified_worker.__file__
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload([__name__])


class Warm:
    """`python unified_worker.py` with these arguments, in place of a subprocess.Popen of it.

    `env` is all of its environment; `output` gets both streams. `constants` are constants of the
    program, by their full names, that have other values in it.
    """

    def __init__(
        self, folder: Path, arguments: Sequence[str], env: Mapping[str, str], output: Path, constants: Mapping[str, object]
    ) -> None:
        self._process: ForkServerProcess = WARM.Process(target=_run, args=(folder, arguments, env, output, dict(constants)))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, None while it runs; minus the signal's number where a signal ended it."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """The same with SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int | None:
        """Wait for its end; the exit code."""
        self._process.join()
        return self.poll()


def _unbuffered(number: int) -> TextIOWrapper:
    """A standard stream as PYTHONUNBUFFERED makes it."""
    return TextIOWrapper(FileIO(number, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)  # pyright: ignore[reportArgumentType]


def _run(folder: Path, arguments: Sequence[str], env: Mapping[str, str], output: Path, constants: Mapping[str, object]) -> None:
    """In the fork: what a shell does before it starts a program, and what Python does around it."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for path, flags, numbers in ((os.devnull, os.O_RDONLY, (0,)), (output, os.O_WRONLY | os.O_APPEND, (1, 2))):
        opened = os.open(path, flags)
        for number in numbers:
            os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = (_unbuffered(number) for number in (1, 2))
    sys.argv = [PROGRAM, *arguments]
    try:
        for name, value in constants.items():
            module, _, constant = name.rpartition(".")
            setattr(importlib.import_module(module), constant, value)
        unified_worker.main()
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        raise
    finally:
        logging.shutdown()  # which Python calls at its end, but not at a fork's
