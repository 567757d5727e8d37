"""Many runs, some at a time, each in a process that does one after the other."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from tests.faults.run import Outcome, Plan, play
from tests.faults.scene import make_template
from tests.servers import fast_parent, server_directory


def campaign(plans: Sequence[Plan], *, jobs: int, minutes: float) -> Iterator[Outcome]:
    """The outcomes, as they come; after so many minutes no run is begun any more."""
    deadline = time.monotonic() + 60 * minutes
    with server_directory(fast_parent()) as template:
        make_template(template)
        # spawn: a process that has run an event loop is not to be forked.
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            runs = [pool.submit(partial(one, plan, template)) for plan in plans]
            for done in as_completed(runs):
                if not done.cancelled():
                    yield done.result()
                if time.monotonic() > deadline:
                    for run in runs:
                        run.cancel()


def one(plan: Plan, template: Path) -> Outcome:
    """One run in a loop of its own."""
    return asyncio.run(play(plan, template))
