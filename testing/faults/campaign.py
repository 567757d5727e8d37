"""Many runs, some at a time, each in a process of its own: `python -m testing.faults.campaign PLAN TEMPLATE` is one of them."""

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import psutil

from testing.faults.cluster import make_template
from testing.faults.run import Outcome, Plan, play
from testing.processes import ROOT
from testing.servers import fast_parent, server_directory
from testing.stacks import ASKED, answer_where

BEGUN = "begun"  # its first line: where much else runs, it may take seconds until Python has read the program
BEGINNING = 60.0  # seconds for that
MOST_SECONDS = 300.0  # of a run; one that takes longer hangs
ENDING = 15.0  # seconds for it to say where it stands, and to end


async def campaign(plans: Sequence[Plan], *, jobs: int, minutes: float) -> AsyncGenerator[Outcome]:
    """The outcomes, as they come; after so many minutes no run is begun any more."""
    deadline = time.monotonic() + 60 * minutes
    with server_directory(fast_parent()) as template:
        await make_template(template)
        waiting, running = deque(plans), set[asyncio.Task[Outcome]]()
        while running or (waiting and time.monotonic() < deadline):
            while waiting and len(running) < jobs and time.monotonic() < deadline:
                running.add(asyncio.create_task(apart(waiting.popleft(), template)))
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for run in done:
                yield run.result()


async def apart(plan: Plan, template: Path, seconds: float = MOST_SECONDS) -> Outcome:
    """One run in a process of its own. One that takes longer from its beginning says where it stands, and is killed."""
    arguments = ("-m", "testing.faults.campaign", json.dumps([plan.seed, plan.rounds]), str(template))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.stdout.readline(), BEGINNING)  # BEGUN, or nothing if it has ended
    ended = asyncio.create_task(process.communicate())
    await asyncio.wait({ended}, timeout=seconds)
    if not ended.done():
        return Outcome(plan.seed, plan.rounds, [f"it hung for {seconds:.0f} s", await _where(process, ended)])
    said, complained = ended.result()
    if process.returncode != 0 or complained:
        told = complained.decode(errors="replace")[-3000:]
        return Outcome(plan.seed, plan.rounds, [f"the run itself ended with {process.returncode}: {told}"])
    return Outcome(**json.loads(said))


async def _where(process: asyncio.subprocess.Process, ended: "asyncio.Task[tuple[bytes, bytes]]") -> str:
    """What a run that hangs says of itself, and what runs for it; then it is over."""
    children: list[str] = []
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):  # it has ended, and its pipes have not
        children = [" ".join(child.cmdline())[:100] for child in psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(ASKED)
        process.send_signal(signal.SIGINT)  # so that it leaves nothing behind, if it still can
        await asyncio.wait({ended}, timeout=ENDING)
        process.kill()
    await asyncio.wait({ended}, timeout=ENDING)
    if not ended.done():
        ended.cancel()
        return f"it has ended, but something that it started holds its pipes: {children}"
    return f"its processes: {children}\n{ended.result()[1].decode(errors='replace')}"


def main() -> None:
    """One run; its outcome as JSON."""
    answer_where()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started in the background ignores it otherwise
    print(BEGUN, flush=True)
    logging.getLogger().addHandler(logging.NullHandler())  # an ingester in this process says what strikes it
    seed, rounds = json.loads(sys.argv[1])
    plan = Plan(seed, tuple(tuple(names) for names in rounds))
    sys.stdout.write(json.dumps(asyncio.run(play(plan, Path(sys.argv[2]))).plain()))


if __name__ == "__main__":
    main()
