"""Many runs, some at a time, each in a process of its own: `python -m testing.faults.campaign PLAN TEMPLATE` is one of them."""

import asyncio
import json
import logging
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from testing.faults.cluster import make_template
from testing.faults.run import Outcome, Plan, play
from testing.processes import ROOT
from testing.servers import fast_parent, server_directory

MOST_SECONDS = 300.0  # of a run; one that takes longer hangs


async def campaign(plans: Sequence[Plan], *, jobs: int, minutes: float) -> AsyncGenerator[Outcome]:
    """The outcomes, as they come; after so many minutes no run is begun any more."""
    deadline = time.monotonic() + 60 * minutes
    with server_directory(fast_parent()) as template:
        await make_template(template)
        waiting, running = deque(plans), set[asyncio.Task[Outcome]]()
        while running or (waiting and time.monotonic() < deadline):
            while waiting and len(running) < jobs and time.monotonic() < deadline:
                running.add(asyncio.create_task(_apart(waiting.popleft(), template)))
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for run in done:
                yield run.result()


async def _apart(plan: Plan, template: Path) -> Outcome:
    """One run in a process of its own."""
    arguments = ("-m", "testing.faults.campaign", json.dumps([plan.seed, plan.rounds]), str(template))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(MOST_SECONDS):
            said, complained = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return Outcome(plan.seed, plan.rounds, [f"it hung for {MOST_SECONDS:.0f} s"])
    if process.returncode != 0 or complained:
        told = complained.decode(errors="replace")[-3000:]
        return Outcome(plan.seed, plan.rounds, [f"the run itself ended with {process.returncode}: {told}"])
    return Outcome(**json.loads(said))


def main() -> None:
    """One run; its outcome as JSON."""
    logging.getLogger().addHandler(logging.NullHandler())  # an ingester in this process says what strikes it
    seed, rounds = json.loads(sys.argv[1])
    plan = Plan(seed, tuple(tuple(names) for names in rounds))
    sys.stdout.write(json.dumps(asyncio.run(play(plan, Path(sys.argv[2]))).plain()))


if __name__ == "__main__":
    main()
