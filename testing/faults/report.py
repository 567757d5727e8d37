"""The table of a campaign: kinds, runs, outcome. docs/faults.md keeps that of the last one between two marks."""

import os
import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from testing.faults.kinds import KINDS
from testing.faults.run import Outcome
from testing.processes import ROOT

DOCUMENT = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- the last campaign: written by `python -m testing.faults --write` -->", "<!-- its end -->"
HEAD = """\
| kind | what | runs | alone | equal | first commit, s | | caught up, s | | RSS, MB |
|---|---|---|---|---|---|---|---|---|---|
| | | | | | median | most | median | most | most |
"""


def line(outcome: Outcome) -> str:
    """One run in one line."""
    rounds = ", then ".join(" + ".join(names) for names in outcome.rounds)
    verdict = "equal" if not outcome.faults else f"NOT RIGHT ({len(outcome.faults)}): {outcome.faults[0][:300]}"
    return (
        f"{outcome.seed}: {rounds}: {verdict}; first commit {outcome.first:.1f} s, caught up {outcome.caught_up:.1f} s, "
        f"{outcome.rss / 2**20:.0f} MB, {outcome.starts} starts, {outcome.seconds:.0f} s"
    )


def report(outcomes: Sequence[Outcome], missing: Mapping[str, str], *, seed: int, seconds: float) -> str:
    """The campaign in Markdown."""
    by_kind: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        for name in (name for names in outcome.rounds for name in names):
            by_kind[name].append(outcome)
    together = sum(_count(outcome) > 1 for outcome in outcomes)
    wrong = [outcome for outcome in outcomes if outcome.faults]
    looks = sum(outcome.looks for outcome in outcomes)
    told = [
        f"{datetime.now(UTC):%Y-%m-%d}, seed {seed}: {len(outcomes)} runs in {seconds / 60:.0f} minutes, {together} of them "
        f"with two or three kinds; {len(outcomes) - len(wrong)} equal, {len(wrong)} not. The cursor was compared with the rows "
        f"{looks:,} times. {machine()}",
        "",
        HEAD + "\n".join(_row(name, by_kind[name]) for name in KINDS if by_kind[name]),
        "",
        *([f"Skipped: {name} ({reason})." for name, reason in missing.items()] or ["Nothing was skipped."]),
        *(f"\nNot right: {line(outcome)}" for outcome in wrong),
    ]
    return "\n".join(told)


def write(text: str) -> None:
    """Put it into the document, in place of the campaign before."""
    document = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = document.partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def machine() -> str:
    """Where it was."""
    cpus = [text.partition(":")[2].strip() for text in _cpuinfo() if text.startswith("model name")]
    memory = psutil.virtual_memory().total / 2**30
    name = cpus[0] if cpus else platform.processor()
    return f"{os.cpu_count()} cores ({name}), {memory:.0f} GB; Python {platform.python_version()}, PostgreSQL 18 in memory."


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _count(outcome: Outcome) -> int:
    return sum(map(len, outcome.rounds))


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    right = [outcome for outcome in outcomes if not outcome.faults]
    firsts = [outcome.first for outcome in right] or [0.0]
    ends = [outcome.caught_up for outcome in right] or [0.0]
    alone = sum(_count(outcome) == 1 for outcome in outcomes)
    return (
        f"| `{name}` | {KINDS[name].what} | {len(outcomes)} | {alone} | {len(right)} | {median(firsts):.1f} "
        f"| {max(firsts):.1f} | {median(ends):.1f} | {max(ends):.1f} | {max(outcome.rss for outcome in outcomes) / 2**20:.0f} |"
    )
