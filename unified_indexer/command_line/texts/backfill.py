"""Backfills as text: the jobs, and what is to be fetched; or JSON for programs. Pure."""

from datetime import UTC, datetime

from unified_indexer import json
from unified_indexer.backfill.eta import eta
from unified_indexer.command_line.stdout import table
from unified_indexer.database.repair.asked import JobState, Overview
from unified_indexer.database.repair.standing import Standing
from unified_indexer.formatting import printable, size

ARGUMENT = 50  # characters of a job's argument


def listed(found: Overview) -> list[str]:
    """The jobs, then what is to be fetched and what has been, in aligned columns."""
    lines = ["All fetching is paused: `backfill resume` ends that.", ""] if found.paused else []
    if found.jobs:
        head = ("job", "what", "state", "lists", "found", "wanted", "left", "failed", "since")
        lines += table([head, *map(_row, found.jobs)], right=frozenset({0, 3, 4, 5, 6, 7}))
    else:
        lines += ["No backfill was asked for."]
    if found.repairs:
        counts = [(count.why, count.state, count.reason, f"{count.repos:,}") for count in found.repairs]
        lines += ["", *table([("why", "state", "reason", "repos"), *counts], right=frozenset({3}))]
    if found.errors:
        errors = [(error.error, f"{error.lists:,}", printable(error.url)) for error in found.errors]
        lines += ["", *table([("fault of lists", "lists", "one of"), *errors], right=frozenset({1}))]
    done = found.standing.totals
    lines += [
        "",
        f"Fetched so far: {done.done:,} repos, {done.records:,} records, {size(done.bytes)}; "
        f"{done.unavailable:,} are not given out, {done.failed:,} attempts failed.",
        *pace(found.standing),
    ]
    return lines


def pace(standing: Standing) -> list[str]:
    """How fast it went of late, and when it is done."""
    if standing.idle:
        return []
    known = eta(standing)
    left = f"{standing.left:,.0f} repos{' or more' if standing.unsized else ''} are left"
    fast = f"of late {standing.records_per_second:,.0f} records per second, {standing.repos_per_second:,.1f} repos per second"
    return [f"{left}; {fast}{'' if known is None else f'; done in {known}'}."]


def as_json(found: Overview) -> str:
    """The same as one line of JSON."""
    return json.dumps(
        {
            "paused": found.paused,
            "jobs": [
                job._asdict() | {"started_at": _time(job.started_at), "ended_at": job.ended_at and _time(job.ended_at)}
                for job in found.jobs
            ],
            "repairs": [count._asdict() for count in found.repairs],
            "list_errors": [error._asdict() for error in found.errors],
            "totals": found.standing.totals._asdict(),
            "left": found.standing.left,
            "records_per_second": found.standing.records_per_second,
            "repos_per_second": found.standing.repos_per_second,
            "seconds_left": None if (known := eta(found.standing)) is None else known._asdict(),
        }
    )


def _row(job: JobState) -> tuple[str, ...]:
    what = f"{job.kind} {printable(job.argument)}".strip()
    return (
        str(job.id),
        what if len(what) <= ARGUMENT else f"{what[: ARGUMENT - 1]}…",
        state(job),
        f"{job.read:,}/{job.lists:,}" if job.lists else "-",
        f"{job.found:,}",
        f"{job.wanted:,}",
        f"{job.left:,}",
        f"{job.failed:,}",
        _time(job.started_at),
    )


def state(job: JobState) -> str:
    """What a job is doing."""
    if job.error == "cancelled":
        return "cancelled"
    if job.ended_at is not None:
        return "fetching" if job.left else "done"
    if job.paused:
        return "paused"
    return f"waits ({job.error})" if job.error else "reads lists"


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
