"""What `make bench` prints: tables of figures."""

import statistics
import textwrap
from collections.abc import Mapping, Sequence

from benchmarks.by_type import Cost
from benchmarks.latency import Latency
from benchmarks.outage import Recovery
from benchmarks.stream import Load
from benchmarks.throughput import Run
from benchmarks.watched import Watched

MB = 1_000_000
LEGEND = (
    "From the socket to durable rows, one transaction per commit",
    "CPU µs per commit: of the process that reads and writes, of PostgreSQL's processes, of the relay (not theirs); bytes of",
    "write-ahead log per commit",
)


def stream(name: str, load: Load, size: int) -> str:
    """What was sent; `size`: bytes of all frames."""
    return (
        f"{name:<11} {load.commits:,} commits by {load.accounts:,} accounts, "
        f"{size / load.commits / 1000:.1f} kB a frame, "
        f"{load.operations.total():,} operations of {len(load.operations)} collections"
    )


def comparison(done: Mapping[str, Sequence[Run]]) -> list[str]:
    """A line for each that was measured: medians of its runs."""
    runs = max(map(len, done.values()))
    lines = [
        LEGEND[0] + (f"; medians of {runs} runs" if runs > 1 else ""),
        *LEGEND[1:],
        "",
        f"{'':<44}{'commits/s':>10}{'Python µs':>11}{'PostgreSQL µs':>15}{'both':>7}{'relay µs':>10}{'WAL':>8}{'peak RSS':>10}"
        "   RSS by quarters",
    ]
    for name, results in done.items():
        figures = [(r.rate, r.python_us, r.postgres_us, r.relay_us, r.wal_bytes) for r in results]
        rate, python, postgres, relay, wal = map(statistics.median, zip(*figures, strict=True))
        both = statistics.median(r.python_us + r.postgres_us for r in results)
        lines.append(
            f"{name:<44}{rate:>10,.0f}{python:>11.1f}{postgres:>15.1f}{both:>7.0f}{relay:>10.1f}{wal:>8,.0f}"
            + (
                f"{max(result.peak_rss for result in results) / MB:>7.0f} MB"
                f"   {', '.join(f'{size / MB:.0f}' for size in results[-1].rss)} MB"
                if results[-1].rss
                else ""
            )
        )
    return lines


def ratios(worker: Sequence[Run], classic: Sequence[Run], copied: Sequence[Run]) -> list[str]:
    """How many times as many commits a second the worker does, by the medians."""
    rate, slow, fast = (statistics.median(run.rate for run in runs) for runs in (worker, classic, copied))
    return [
        f"With the five types the worker does {rate / slow:.1f} times what the classic design does, and {rate / fast:.2f} of",
        "what COPY does, which has no stream to read, nothing to look up, and no transaction for each commit.",
    ]


def by_type(costs: Sequence[Cost]) -> list[str]:
    """Where PostgreSQL's time goes."""
    lines = [
        "Full indexing by what a commit does: PostgreSQL's CPU µs per commit, and of it what the derived rows take.",
        "Each kind alone, in batches over one connection; the last column is its part of the whole in real traffic.",
        "",
        f"{'':<22}{'of commits':>11}{'measured':>10}{'µs':>8}{'derived rows':>14}{'of the time':>13}",
    ]
    total = sum(cost.share * cost.whole for cost in costs)
    lines += [
        f"{cost.kind:<22}{cost.share:>11.2%}{cost.commits:>10,}{cost.whole:>8.0f}{cost.derived:>14.0f}"
        f"{cost.share * cost.whole / total:>13.1%}"
        for cost in costs
    ]
    derived = sum(cost.share * cost.derived for cost in costs)
    return [*lines, f"{'all, by their shares':<22}{'':>21}{total:>8.0f}{derived:>14.0f}"]


def preloaded(before: Mapping[str, int], seconds: float) -> list[str]:
    """What was in the database beforehand."""
    told = ", ".join(f"{table} {count:,}" for table, count in sorted(before.items(), key=lambda item: -item[1]) if count)
    head = f"Preloaded   {sum(before.values()):,} rows in {seconds:.0f} s (not measured): "
    return textwrap.wrap(head + told, 128, subsequent_indent=" " * 12)


def recovery(name: str, found: Recovery) -> str:
    """How long it takes to be up to date again."""
    return (
        f"{name}: {found.missed:,} commits worked off in {found.worked_off:.0f} s; up to date after {found.up_to_date:.0f} s, "
        f"when {found.live:,} more had come; peak RSS {found.peak_rss / MB:.0f} MB"
    )


def watching(found: Watched) -> str:
    """What being looked at costs."""
    return (
        f"Metrics counted, scraped every second ({found.scrapes} times) and a page open ({found.messages} messages) take "
        f"{found.python:+.1%} of the worker's CPU and {found.time:+.1%} of the time a commit (medians of {len(found.watched)} "
        "pairs of runs, full indexing)"
    )


def latency(found: Latency) -> str:
    """How long an event takes."""
    return (
        f"Full indexing at {found.rate:,} events/s, from the relay's having a frame to its durable commit: "
        f"p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms, longest {found.longest:.1f} ms ({found.events:,} events)"
    )
