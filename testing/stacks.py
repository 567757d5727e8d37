"""Where a program stands: what each of its tasks waits for, and what each of its threads does. For a program that hangs."""

import asyncio
import faulthandler
import signal
import sys
from types import FrameType
from typing import Any

ASKED = signal.SIGUSR1


def answer_where() -> None:
    """From now on the signal ASKED makes this process write to stderr where it stands."""
    signal.signal(ASKED, _tell)


def _tell(_number: int, _frame: FrameType | None) -> None:
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop runs just now
        tasks = set[asyncio.Task[Any]]()
    for task in tasks:
        print(f"{task.get_name()}:", *waits_at(task), sep="\n  ", file=sys.stderr)
    sys.stderr.flush()
    faulthandler.dump_traceback(all_threads=True)


def waits_at(task: "asyncio.Task[Any]") -> list[str]:
    """The places of a task, the innermost last: `file:line function`."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        kind = next((kind for kind in ("cr", "ag", "gi") if hasattr(awaited, f"{kind}_frame")), None)
        frame = getattr(awaited, f"{kind}_frame") if kind else None
        if frame is None:  # a future, or a coroutine that has ended
            return [*places, repr(awaited)]
        places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}")
        awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
    return places
