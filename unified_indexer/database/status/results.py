"""What `status` finds, as types. `--json` prints them: a field's name is a key, and the order of fields is the order of keys.

Times are aware, durations in seconds, sizes in bytes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The session that holds a relay's lock. Without the right to see others' sessions only `pid` is known."""

    pid: int
    connected_at: datetime | None
    address: str | None


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run of the worker. `stopped_at` and `how` are None while it runs, and if it did not shut down cleanly.

    `counts` is what it had counted at `updated_at`: `Metrics.counts()` of the version that ran.
    """

    started_at: datetime
    updated_at: datetime
    stopped_at: datetime | None
    how: str | None
    version: str
    host: str
    pid: int
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that are missing; `upto_*` is None until the first event after the gap arrives."""

    reason: str
    after_seq: int
    after_time: datetime | None
    upto_seq: int | None
    upto_time: datetime | None
    noticed_at: datetime


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay that was indexed into this database: its stored cursor, and the last runs, newest first: two, or one more than
    `workers` that run. There may be several behind a stream's server, where each has some of the partitions; `running` is one
    of them.

    `standbys`: workers that wait to take the place of the one that runs. `keeper`: whether one that runs does for all shares
    what is done once.
    """

    service: str
    cursor: str | None
    last_event_time: datetime | None
    saved_at: datetime | None
    running: LockHolder | None
    runs: list[PastRun]
    gaps: int
    last_gaps: list[Gap]
    standbys: int
    keeper: bool
    workers: int


@dataclass(frozen=True, slots=True)
class Letters:
    """The dead letters. `newest_only`: how many were counted, if there are more than that."""

    by_reason: dict[str, int]
    newest_only: int | None
    without_frame: int
    tried_in_vain: int
    frame_bytes: int
    most_frame_bytes: int
    most_frames_of_a_did: int


@dataclass(frozen=True, slots=True)
class StuckWipe:
    """An account whose rows the database refuses to delete."""

    did: str
    attempts: int
    error: str
    since: datetime
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Deletion:
    """An account that a relay says is deleted, which nobody has confirmed: hidden, and its rows stay. `error`: why nobody could
    be asked the last time; None before the first attempt."""

    did: str
    attempts: int
    error: str | None
    since: datetime
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class RebuildStep:
    """The step that a rebuild of derived rows is in: number `number` of `steps`, and the rows that it has gone through."""

    step: str
    number: int
    steps: int
    rows: int


@dataclass(frozen=True, slots=True)
class Growth:
    """How fast a table grew over the last `over_seconds`."""

    rows_per_day: int
    bytes_per_day: int
    over_seconds: float


@dataclass(frozen=True, slots=True)
class Table:
    """A table's size, indexes included; `growth` is None until there is a sample to compare with."""

    name: str
    rows: int
    estimated: bool
    bytes: int
    growth: Growth | None


@dataclass(frozen=True, slots=True)
class Repos:
    """How far repos are complete and proven. Of each kind one more than `most_counted` is counted at most."""

    desynchronised: dict[str, int]
    desynchronised_since: datetime | None
    repairing: int
    unproven: int
    unproven_since: datetime | None
    most_counted: int


@dataclass(frozen=True, slots=True)
class Fetching:
    """Whole repos that are to be fetched: `left` (those not found yet included, as far as is known), `failed` (tried once a
    day), `done` since the beginning. `seconds_left`: at least and at most; None where nobody can tell."""

    left: int
    failed: int
    done: int
    records_per_second: float
    seconds_left: tuple[float, float] | None
    paused: bool


@dataclass(frozen=True, slots=True)
class Publishing:
    """What PUBLISH is still to say: about how many entries wait, and when the last ones were sent (None: never)."""

    waiting: int
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Replica:
    """A standby server of PostgreSQL: when the newest transaction that it has was committed on the primary."""

    committed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Status:
    """What a database holds about the worker, but about no single account.

    A `replica` does not know which workers run, wait or keep house: their locks are on the primary.
    """

    now: datetime
    replica: Replica | None
    relays: list[Relay]
    dead_letters: Letters
    repos: Repos
    accounts_being_wiped: int
    gates_being_judged: int
    stuck_wipes: int
    longest_stuck_wipes: list[StuckWipe]
    unconfirmed_deletions: int
    oldest_deletions: list[Deletion]
    handles_to_check: int
    fetching: Fetching
    publishing: Publishing
    rebuild: RebuildStep | None
    tables: list[Table]


@dataclass(frozen=True, slots=True)
class Repo:
    """An account's row in `unified_worker.repos`, why its wipe is stuck, and why its deletion could not be confirmed.

    `sync` is the name of a `State`, in lower case. `repair` is the state of its repair, with the reason of the last attempt in
    vain, and when the next one may come.
    """

    rev: str
    seq: int | None
    active: bool
    status: str | None
    account_at: datetime | None
    handle: str | None
    handle_at: datetime | None
    handle_verified: bool | None
    handle_checked_at: datetime | None
    sync: str
    sync_reason: str | None
    sync_at: datetime | None
    filtered: bool
    inductive: bool
    unproven_at: datetime | None
    held: bool
    wiping: bool
    wiped_at: datetime | None
    updated_at: datetime
    wipe_error: str | None
    deletion_error: str | None
    synced_at: datetime | None
    repair: str | None
    repair_reason: str | None
    repair_at: datetime | None


@dataclass(frozen=True, slots=True)
class LastLetter:
    """One of the newest dead letters of an account."""

    path: str
    rev: str
    reason: str
    detail: str
    attempts: int
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """What is known of one account; `repo` is None if nothing has arrived from it.

    `rows` gives a number per table up to `most_counted`, one more than that for anything above, None if counting took too long.
    """

    did: str
    repo: Repo | None
    rows: dict[str, int | None]
    most_counted: int
    waiting_duplicates: int
    dead_letters: dict[str, int]
    last_dead_letters: list[LastLetter]
