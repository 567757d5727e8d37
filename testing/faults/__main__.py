"""python -m testing.faults: a campaign, and what came of it. Exit code 1 where a run was not right."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from testing.faults import report
from testing.faults.campaign import campaign
from testing.faults.kinds import KINDS, missing
from testing.faults.plan import plans


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m testing.faults", description="Runs in which everything fails, in turn.")
    parser.add_argument("--runs", type=int, default=220, help="how many (220)")
    parser.add_argument("--seed", type=int, default=1, help="of the campaign: equal seeds give equal runs (1)")
    parser.add_argument(
        "--kinds", nargs="+", choices=sorted(KINDS), metavar="KIND", help=f"of {', '.join(KINDS)}; default: all"
    )
    parser.add_argument("--minutes", type=float, default=45, help="after which none is begun any more (45)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (2)")
    parser.add_argument(
        "--logs", type=Path, default=Path("/tmp"), help="where the worker's log of a run that was not right goes (/tmp)"
    )
    parser.add_argument("--write", action="store_true", help=f"put the table into {report.DOCUMENT.relative_to(report.ROOT)}")
    arguments = parser.parse_args()

    return asyncio.run(run(arguments))


async def run(arguments: argparse.Namespace) -> int:
    """The campaign, told as it goes."""
    arguments.logs.mkdir(parents=True, exist_ok=True)
    absent = missing()
    for name, reason in absent.items():
        print(f"SKIPPED: {name}: {reason}", flush=True)
    chosen = plans(arguments.runs, arguments.seed, [name for name in arguments.kinds or KINDS if name not in absent])
    began = time.monotonic()
    outcomes: list[report.Outcome] = []
    async for outcome in campaign(chosen, jobs=arguments.jobs, minutes=arguments.minutes):
        outcomes.append(outcome)
        print(f"[{len(outcomes)}/{len(chosen)}] {report.line(outcome)}", flush=True)
        if outcome.faults:
            told = arguments.logs / f"fault-run-{outcome.seed}.log"
            told.write_text("\n".join([report.line(outcome), *outcome.faults, outcome.log]))
            print(f"  see {told}", flush=True)
    text = report.report(outcomes, absent, seed=arguments.seed, seconds=time.monotonic() - began)
    print(text)
    if arguments.write:
        report.write(text)
    return int(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
