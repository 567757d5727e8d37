"""What benchmarks/backfilled.py found: its runs, the bars that they must meet, and how that is printed."""

import json
from collections.abc import Mapping
from typing import NamedTuple

LIVE_RATE = 500  # commits a second
ROWS, SETS, SAME, TOGETHER, BESIDE = "record by record", "sets", "right already", "small repos", "sets beside the stream"
COMMITS = "as commits of the stream"


class Figure(NamedTuple):
    """One run. `ours`, `theirs`: CPU µs a record, of this process and of PostgreSQL's. `p99`: ms of a commit of the stream.
    `rss`, `grown`: bytes of memory at its end, and more than at its start."""

    repos: int
    records: int
    seconds: float
    ours: float
    theirs: float
    rss: int
    p99: float | None
    grown: int

    @property
    def rate(self) -> float:
        return self.records / self.seconds


class Bar(NamedTuple):
    """What a figure must be: at least `least`, or, where there is `most`, below that."""

    what: str
    found: float
    unit: str
    least: float = 0.0
    most: float = float("inf")

    @property
    def met(self) -> bool:
        return self.least <= self.found < self.most

    def __str__(self) -> str:
        bound = f"at least {self.least:,g}" if self.least else f"below {self.most:,g}"
        digits = ",.1f" if self.found < 1_000 else ",.0f"
        found = "unknown" if self.found == float("inf") else f"{self.found:{digits}}"
        return f"{self.what:<44}{found:>10} {self.unit:<10} {bound:<18}{'met' if self.met else 'NOT met'}"


class Found(NamedTuple):
    """`live`: the p99 of live commits with nothing beside them, in ms. The other figures are runs, by what is done."""

    live: float | None
    runs: dict[str, Figure]

    @property
    def bars(self) -> list[Bar]:
        """What a backfill must come to on two cores, PostgreSQL's included. A p99 that was not measured is too high."""
        runs = self.runs
        p99, small = runs[BESIDE].p99, runs[TOGETHER]
        grown = max(run.grown for name, run in runs.items() if name != COMMITS)
        return [
            Bar(SETS, runs[SETS].rate, "records/s", least=25_000),
            Bar(TOGETHER, small.repos / small.seconds, "repos/s", least=500),
            Bar(SAME, runs[SAME].rate, "records/s", least=100_000),
            Bar(f"{SETS}, against {COMMITS}", runs[SETS].rate / runs[COMMITS].rate, "times", least=2.5),
            Bar(f"{BESIDE}, p99 of its commits", float("inf") if p99 is None else p99, "ms", most=50),
            Bar("memory that a run added", grown / 1e6, "MB", most=150),
        ]

    @property
    def met(self) -> bool:
        """Whether each bar is."""
        return all(bar.met for bar in self.bars)


def lines(found: Found) -> list[str]:
    """As `make bench` prints them."""
    runs = found.runs
    told = [
        "Whole repos brought into the tables; CPU µs a record, of the process that writes and of PostgreSQL's.",
        "",
        f"{'':<26}{'repos':>8}{'records':>10}{'records/s':>11}{'repos/s':>9}{'Python µs':>11}{'PostgreSQL µs':>15}{'RSS':>9}",
    ]
    told += [
        f"{name:<26}{run.repos:>8,}{run.records:>10,}{run.rate:>11,.0f}{run.repos / run.seconds:>9,.0f}{run.ours:>11.1f}"
        f"{run.theirs:>15.1f}{run.rss / 1e6:>6.0f} MB"
        for name, run in runs.items()
    ]
    live, beside = found.live or 0.0, runs[BESIDE].p99 or 0.0
    return [
        *told,
        "",
        f"Sets are {runs[SETS].rate / runs[ROWS].rate:.1f} times as fast as record by record, and "
        f"{runs[SETS].rate / runs[COMMITS].rate:.1f} times as fast as commits of the stream, at {_cpu(runs):.2f} of their CPU. "
        f"Live commits at {LIVE_RATE}/s: p99 {live:.1f} ms alone, {beside:.1f} ms beside sets.",
        "",
        *map(str, found.bars),
    ]


def _cpu(runs: Mapping[str, Figure]) -> float:
    """Of what the same records cost as commits, the part that sets cost."""
    sets, commits = runs[SETS], runs[COMMITS]
    return (sets.ours + sets.theirs) / (commits.ours + commits.theirs)


def say(found: Found, *, as_json: bool) -> bool:
    """Prints it; returns whether each bar is met."""
    runs = {name: run._asdict() | {"rate": run.rate} for name, run in found.runs.items()}
    met = {bar.what: bar.met for bar in found.bars}
    print(json.dumps({"live": found.live, "runs": runs, "met": met}) if as_json else "\n".join(lines(found)))
    return found.met
