"""The result of `status` as text: pure, from the types of database/status/results.py."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from unified_indexer.backfill.eta import Eta
from unified_indexer.command_line.stdout import table
from unified_indexer.database.functions.states import REASONS
from unified_indexer.database.status.results import (
    AccountStatus,
    Deletion,
    Fetching,
    Gap,
    Letters,
    PastRun,
    Publishing,
    Relay,
    Repo,
    Repos,
    Status,
    StuckWipe,
    Table,
)
from unified_indexer.formatting import ago, bounded, duration, instant, number, printable, signed, size
from unified_indexer.relay.gaps import MEANING

WIDTH = 16  # of the names on the left: the longest has 14 characters
DAY = 86_400.0  # seconds
MOST_OF_AN_ERROR = 200  # characters
COUNTED = {"stale": "stale", "stale_messages": "stale messages", "rev_fork": "rev forks", "reconnects": "reconnects"}
STATES = {
    "unseen_history": "what it wrote before the worker saw it is not known; all since is there",
    "synchronised": "complete",
}
MEANINGS: dict[str, str] = {**MEANING}  # another version may have stored other reasons


def status_text(found: Status) -> list[str]:
    """The whole report: a block per relay, then what relays share. Times are in UTC."""
    lines: list[str] = []
    for relay in found.relays:
        lines += [printable(relay.service), *_relay(relay, found.now, known=found.replica is None), ""]
    if not found.relays:
        lines += ["No relay has been indexed into this database yet.", ""]
    lines.append("database")
    if found.replica is not None:
        at = found.replica.committed_at
        lines.append(_line("server", f"a standby of PostgreSQL, read-only; its newest transaction is of {ago(at, found.now)}"))
    lines += [*_letters(found.dead_letters), *_repos(found.repos)]
    if found.accounts_being_wiped:
        lines.append(_line("wipes", f"still deleting the rows of {number(found.accounts_being_wiped)} deleted accounts"))
    if found.stuck_wipes:
        lines.append(_line("", f"WARNING: {number(found.stuck_wipes)} of them are stuck:"))
        lines += [_line("", _stuck(wipe)) for wipe in found.longest_stuck_wipes]
    if found.unconfirmed_deletions:
        what = f"{number(found.unconfirmed_deletions)} that only a relay has reported: hidden, and asked about"
        lines.append(_line("deletions", what))
        lines += [_line("", _deletion(one)) for one in found.oldest_deletions]
    if found.handles_to_check:
        lines.append(_line("handles", f"{number(found.handles_to_check)} wait to be checked"))
    if found.fetching.left or found.fetching.paused:
        lines.append(_line("backfill", _fetching(found.fetching)))
    if found.publishing.sent_at is not None or found.publishing.waiting:
        lines.append(_line("publishing", _publishing(found.publishing, found.now)))
    if found.gates_being_judged:
        what = "changed, and replies or quotes are still being judged"
        lines.append(_line("gates", f"{number(found.gates_being_judged)} {what}"))
    if found.rebuild is not None:
        step = found.rebuild
        at = f"in step {step.number} of {step.steps} ({step.step}), {step.rows:,} rows into it"
        lines.append(_line("rebuild", f"of derived rows: {at}"))
    return [*lines, "", *_tables(found.tables)]


def _publishing(known: Publishing, now: datetime) -> str:
    last = "never anything" if known.sent_at is None else f"the last {ago(known.sent_at, now)}"
    return f"{number(known.waiting)} entries wait to be sent (PUBLISH); sent: {last}"


def account_text(found: AccountStatus) -> list[str]:
    """The report about one account."""
    most = found.most_counted
    lines = [printable(found.did), *_repo(found.repo), _reasons("dead letters", found.dead_letters)]
    for letter in found.last_dead_letters:
        why = f"{letter.reason}: {letter.detail}"[:MOST_OF_AN_ERROR]
        lines.append(_line("", f"{instant(letter.last_seen)}  {letter.path}  {why}"))
    if found.waiting_duplicates:
        waiting = bounded(found.waiting_duplicates, most)
        lines.append(_line("duplicates", f"{waiting} records wait, because older ones have the same unique keys"))
    rows = [(name, bounded(count, most)) for name, count in found.rows.items() if count != 0]
    return [*lines, "", *table([("table", "rows"), *rows], frozenset({1}))]


def _line(name: str, value: str) -> str:
    return f"  {name:<{WIDTH}}{printable(value)}"


def _reasons(name: str, counts: Mapping[str, int]) -> str:
    """A total, and what it consists of."""
    parts = ", ".join(f"{reason} {number(count)}" for reason, count in sorted(counts.items()) if count)
    return _line(name, number(sum(counts.values())) + (f" ({parts})" if parts else ""))


def _at(time: datetime | None) -> str:
    return "" if time is None else f" ({instant(time)})"


def _repo(repo: Repo | None) -> list[str]:
    if repo is None:
        return [_line("repo", "nothing has arrived from it")]
    status = f", {repo.status}" if repo.status else ""
    flags = (
        (repo.unproven_at is not None, f"unproven{_at(repo.unproven_at)}: the account's key is not known yet"),
        (repo.filtered, "filtered: COLLECTIONS, or the account's wish, leaves something of the repo out"),
        (repo.held, "held: something of the repo may be waiting, as a dead letter or a duplicate"),
        (repo.wiping, "wiping: deleted, and its rows are still being removed"),
    )
    verified = {None: ", not checked", True: ", verified", False: ", refuted"}[repo.handle_verified]
    lines = [
        _line("account", ("active" if repo.active else "not active") + status + _at(repo.account_at)),
        _line("handle", (repo.handle or "none claimed") + _at(repo.handle_at) + (verified if repo.handle else "")),
        _line("rev", f"{repo.rev or 'none'}, seq {number(repo.seq)}; this row was written {instant(repo.updated_at)}"),
        _line("state", _state(repo)),
        *(_line("", what) for flag, what in flags if flag),
    ]
    if repo.deletion_error is not None:
        why = f": {repo.deletion_error[:MOST_OF_AN_ERROR]}" if repo.deletion_error else ""
        lines.append(_line("", f"a relay says that it is deleted, and nobody has confirmed that{why}"))
    if repo.wipe_error:
        lines.append(_line("", f"WARNING: its wipe is stuck: {repo.wipe_error[:MOST_OF_AN_ERROR]}"))
    if repo.synced_at is not None:
        lines.append(_line("repaired", instant(repo.synced_at)))
    if repo.repair is not None:
        why = f": {repo.repair_reason}" if repo.repair_reason else ""
        then = f", not before {instant(repo.repair_at)}" if repo.repair in ("wanted", "failed") and repo.repair_at else ""
        lines.append(_line("repair", f"{repo.repair}{why}{then}"))
    return lines if repo.wiped_at is None else [*lines, _line("wiped", instant(repo.wiped_at))]


def _state(repo: Repo) -> str:
    if repo.sync_reason is None:
        return STATES[repo.sync]
    return f"{repo.sync}{_at(repo.sync_at)}: {repo.sync_reason}: {REASONS.get(repo.sync_reason, 'of another version')}"


def _repos(repos: Repos) -> list[str]:
    lines: list[str] = []
    if repos.desynchronised:
        lines.append(_reasons("desynchronised", repos.desynchronised))
        lines.append(_line("", f"repos of which something is missing{_since(repos.desynchronised_since)}"))
    if repos.repairing:
        lines.append(_line("repairing", f"{bounded(repos.repairing, repos.most_counted)} repos"))
    if repos.unproven:
        count = bounded(repos.unproven, repos.most_counted)
        lines.append(_line("unproven", f"{count} repos whose key is not known yet{_since(repos.unproven_since)}"))
    return lines


def _fetching(fetching: Fetching) -> str:
    if fetching.paused:
        return f"paused; repos left: {fetching.left:,}"
    left = f"repos left: {fetching.left:,}; {fetching.records_per_second:,.0f} records per second of late"
    return left if fetching.seconds_left is None else f"{left}, done in {Eta(*fetching.seconds_left)}"


def _since(time: datetime | None) -> str:
    return "" if time is None else f"; the oldest since {instant(time)}"


def _relay(relay: Relay, now: datetime, *, known: bool) -> list[str]:
    """`known`: whether this server would know of a worker that runs."""
    runs = relay.runs
    at_work = _at_work(runs, relay.workers if known else 1)
    run = at_work[0] if at_work else None
    lines = [_line("worker", _worker(relay, run) if known else _unknown(run, now))]
    if relay.keeper:
        lines.append(_line("keeper", "it does for all shares what is done once: wipes, finding repos, counts"))
    if relay.standbys:
        lines.append(_line("standby", f"{number(relay.standbys)}, to take its place when it ends"))
    if over := [run for run in runs if run not in at_work]:
        lines.append(_line("last stop", _stop(over[0])))
    if relay.cursor is None:
        lines.append(_line("cursor", "none is stored"))
    else:
        event = relay.last_event_time
        lag = "unknown" if event is None else f"{duration((now - event).total_seconds())}; last event{_at(event)}"
        lines += [_line("cursor", f"{relay.cursor}, stored {ago(relay.saved_at, now)}"), _line("lag", lag)]
    if runs:
        lines += _counts(runs[0], "this run" if at_work else "last run", now)
    lines += [_line("gaps", number(relay.gaps)), *(_line("", _gap(gap)) for gap in relay.last_gaps)]
    if relay.gaps > len(relay.last_gaps):
        lines.append(_line("", "… all: SELECT * FROM unified_worker.gaps ORDER BY id"))
    return lines


def _at_work(runs: Sequence[PastRun], workers: int) -> list[PastRun]:
    """The runs of the `workers` that run now. Each of them says so every few seconds; who was killed said so longest ago."""
    if not runs or runs[0].stopped_at is not None:
        return []
    return sorted((run for run in runs if run.stopped_at is None), key=lambda run: run.updated_at, reverse=True)[:workers]


def _worker(relay: Relay, run: PastRun | None) -> str:
    if relay.running is None:
        return "not running"
    if run is None:
        return f"starting (the database's process {relay.running.pid} holds its lock)"
    told = f"running since {instant(run.started_at)}: version {run.version}, process {run.pid} on {run.host}"
    return told if relay.workers == 1 else f"{relay.workers} share the partitions; one is {told}"


def _unknown(run: PastRun | None, now: datetime) -> str:
    seen = "" if run is None else f"; last seen {ago(run.updated_at, now)}, version {run.version}, on {run.host}"
    return f"only the primary knows whether one runs{seen}"


def _stop(run: PastRun) -> str:
    if run.stopped_at is None:
        return f"did not shut down cleanly: killed, or cut off from the database; last seen {instant(run.updated_at)}"
    return f"{instant(run.stopped_at)}, {run.how}"


def _counts(run: PastRun, name: str, now: datetime) -> list[str]:
    counts = run.counts
    more = ", ".join(f"{what} {number(counts.get(key, 0))}" for key, what in COUNTED.items())
    lines = [_line(name, f"{number(counts.get('finished', 0))} events; {more}; recorded {ago(run.updated_at, now)}")]
    lines += [_reasons(kind, counts.get(kind, {})) for kind in ("refused", "filtered")]
    if dropped := counts.get("frames_dropped", 0):
        lines.append(_line("dropped", f"{number(dropped)} frames of dead letters, because there was no more room"))
    return lines


def _gap(gap: Gap) -> str:
    after = f"after {number(gap.after_seq)}{_at(gap.after_time)}"
    if gap.upto_seq is None:
        return f"{after}: --reset-cursor removed the cursor; the first event will show what is missing"
    why = MEANINGS.get(gap.reason, gap.reason)
    return f"{after}, up to {number(gap.upto_seq)}{_at(gap.upto_time)}: {why}; noticed {instant(gap.noticed_at)}"


def _letters(letters: Letters) -> list[str]:
    lines = [_reasons("dead letters", letters.by_reason)]
    if letters.newest_only is not None:
        lines.append(_line("", f"of the newest {number(letters.newest_only)} only"))
    most = size(letters.most_frame_bytes)
    lines.append(_line("their frames", f"{size(letters.frame_bytes)} of {most}"))
    if letters.tried_in_vain:
        lines.append(_line("", f"WARNING: {number(letters.tried_in_vain)} waiting letters failed again when they were retried"))
    if letters.without_frame:
        bounds = f"{number(letters.most_frames_of_a_did)} per account, {most} in all"
        lines.append(_line("", f"WARNING: {number(letters.without_frame)} letters have no frame; the limits are {bounds}"))
    return lines


def _stuck(wipe: StuckWipe) -> str:
    return f"{wipe.did}, {wipe.attempts} attempts since {instant(wipe.since)}: {wipe.error[:MOST_OF_AN_ERROR]}"


def _deletion(deletion: Deletion) -> str:
    why = f": {deletion.error[:MOST_OF_AN_ERROR]}" if deletion.error else ""
    return f"{deletion.did}, {deletion.attempts} attempts since {instant(deletion.since)}{why}"


def _tables(tables: Sequence[Table]) -> list[str]:
    rows: list[tuple[str, ...]] = [("table", "rows", "size", "rows per day", "size per day")]
    bytes_a_day, over = 0, 0.0
    for one in tables:
        growth = one.growth
        a_day = ("", "")
        if growth is not None:
            a_day = (signed(growth.rows_per_day), signed(growth.bytes_per_day, size))
            bytes_a_day += growth.bytes_per_day
            over = max(over, growth.over_seconds)
        rows.append((one.name, ("~" if one.estimated else "") + number(one.rows), size(one.bytes), *a_day))
    total: int = sum(one.bytes for one in tables)
    rows.append(("all", "", size(total), "", signed(bytes_a_day, size) if over else ""))
    return [*table(rows, frozenset({1, 2, 3, 4})), "", f"~ estimated; {_growth_over(over)}"]


def _growth_over(seconds: float) -> str:
    if not seconds:
        return "growth is not known in the first ten minutes"
    return f"growth: over the last {duration(seconds)}" + (", extrapolated" if seconds < DAY else "")
