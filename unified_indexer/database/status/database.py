"""What `status` finds in a database: relays and their runs, gaps, dead letters, tables and their growth."""

import json
import math
from collections.abc import Mapping
from typing import Any

from unified_indexer.backfill.eta import eta
from unified_indexer.config.stream_url import PARTITIONS
from unified_indexer.database.background.sizes import Size, measure
from unified_indexer.database.connection.lock import keeper_key, lock_key, standby_key
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.dead_letters import MAX_FRAMES_BYTES, MAX_LETTERS_OF_A_DID, PENDING
from unified_indexer.database.repair import standing
from unified_indexer.database.repair.standing import Standing
from unified_indexer.database.status.results import (
    Deletion,
    Fetching,
    Gap,
    Growth,
    Letters,
    LockHolder,
    PastRun,
    Publishing,
    RebuildStep,
    Relay,
    Replica,
    Repos,
    Status,
    StuckWipe,
    Table,
)
from unified_indexer.database.write import outbox
from unified_indexer.shares import Share

GAPS_SHOWN = 5  # a relay
WIPES_SHOWN = 5
LETTERS_COUNTED = 200_000  # the newest: counting millions would take long
REPOS_COUNTED = 100_000  # of a state
GROWTH_DAYS = 7  # that growth is measured over, at most
GROWTH_SECONDS = 600.0  # and at least: less says nothing

NOW = "SELECT now()"
REPLICA = "SELECT pg_last_xact_replay_timestamp() WHERE pg_is_in_recovery()"
# The partitions of a stream's server are one relay: its cursor is the least of theirs, its gaps are those of all.
WHOLE = Share(0, PARTITIONS).service("")
FOLDED = f"regexp_replace(service, '#[0-9]+/{PARTITIONS}$', '{WHOLE}')"
RELAYS = f"""
SELECT service, c.cursor, c.last_event_time::timestamptz AS last_event_time, c.updated_at::timestamptz AS saved_at
FROM (
  SELECT DISTINCT ON (1) {FOLDED} AS service, cursor, last_event_time, updated_at
  FROM {{schema}}.firehose_cursor ORDER BY 1, length(cursor), cursor
) AS c FULL JOIN (
  SELECT {FOLDED} AS service FROM unified_worker.runs UNION SELECT {FOLDED} FROM unified_worker.gaps) AS r USING (service)
ORDER BY service
"""
RUNS = """
SELECT started_at, updated_at, stopped_at, how, version, host, pid, counts
FROM unified_worker.runs WHERE service = $1 ORDER BY started_at DESC LIMIT $2
"""
# A user without the right to see others' sessions still sees their locks.
HOLDERS = """
SELECT l.pid, a.backend_start AS connected_at, host(a.client_addr) AS address
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = $1 AND l.mode = $2 ORDER BY l.pid
"""
STANDBYS = """
SELECT count(*) FROM pg_catalog.pg_locks AS l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = $1
"""
GAPS = f"""
SELECT reason, after_seq, after_time, upto_seq, upto_time, noticed_at, count(*) OVER () AS gaps
FROM unified_worker.gaps WHERE {FOLDED} = $1 ORDER BY id DESC LIMIT $2
"""
LETTERS = """
SELECT reason, count(*) AS letters, count(*) FILTER (WHERE frame_sha256 IS NULL) AS frameless
FROM (SELECT reason, frame_sha256 FROM unified_worker.dead_letters ORDER BY id DESC LIMIT $1) AS l
GROUP BY reason ORDER BY letters DESC, reason
"""
FRAMES = "SELECT bytes FROM unified_worker.dead_frames_size"
WIPING = "SELECT count(*) FROM unified_worker.repos WHERE wiping"
JUDGING = "SELECT count(*) FROM unified_worker.judgements"
# Newest last: the oldest has waited longest.
STUCK_WIPES = """
SELECT did, attempts, error, since, retry_at, count(*) OVER () AS wipes FROM unified_worker.stuck_wipes
ORDER BY since, did LIMIT $1
"""
DESYNCHRONISED = f"""
SELECT reason, count(*) AS repos, min(sync_at) AS since FROM (
  SELECT sync_reason AS reason, sync_at FROM unified_worker.repos WHERE sync = 2 LIMIT {REPOS_COUNTED + 1}) AS r
GROUP BY reason ORDER BY reason
"""
REPAIRING = f"SELECT count(*) FROM (SELECT FROM unified_worker.repos WHERE sync = 3 LIMIT {REPOS_COUNTED + 1}) AS r"
UNPROVEN = f"""
SELECT count(*) AS repos, min(unproven_at) AS since FROM (
  SELECT unproven_at FROM unified_worker.repos WHERE unproven_at IS NOT NULL
  ORDER BY unproven_at LIMIT {REPOS_COUNTED + 1}) AS r
"""
DELETIONS = """
SELECT did, attempts, error, since, retry_at, (SELECT count(*) FROM unified_worker.deletions) AS deletions
FROM unified_worker.deletions ORDER BY since, did LIMIT $1
"""
HANDLES = "SELECT count(*) FROM unified_worker.handle_checks"
STUCK_LETTERS = f"""
SELECT count(*) FROM (
  SELECT FROM unified_worker.dead_letters WHERE reason IN ({PENDING}) AND retry_at IS NOT NULL LIMIT {LETTERS_COUNTED}) AS l
"""
REBUILD = """
SELECT step, number, steps, rows
FROM (SELECT step, number, count(*) OVER () AS steps, rows, done FROM unified_worker.rebuild) AS r
WHERE NOT done ORDER BY number LIMIT 1
"""
SAMPLES = """
SELECT DISTINCT ON (name) name, rows, bytes, extract(epoch FROM now() - taken_at)::float8 AS seconds
FROM unified_worker.sizes WHERE taken_at > now() - make_interval(days => $1, hours => 1) ORDER BY name, taken_at
"""


async def status(connection: Connection, schema: str) -> Status:
    """Find everything that is not about one account."""
    wipes = await connection.fetch(STUCK_WIPES, WIPES_SHOWN)
    deletions = await connection.fetch(DELETIONS, WIPES_SHOWN)
    rebuild = await connection.fetchrow(REBUILD)
    return Status(
        now=await connection.fetchval(NOW),
        replica=None if (replica := await connection.fetchrow(REPLICA)) is None else Replica(*replica),
        relays=[await _relay(connection, row) for row in await connection.fetch(RELAYS.format(schema=schema))],
        dead_letters=await _letters(connection),
        repos=await _repos(connection),
        accounts_being_wiped=await connection.fetchval(WIPING),
        gates_being_judged=await connection.fetchval(JUDGING),
        stuck_wipes=wipes[0]["wipes"] if wipes else 0,
        longest_stuck_wipes=[StuckWipe(*row[:-1]) for row in wipes],
        unconfirmed_deletions=deletions[0]["deletions"] if deletions else 0,
        oldest_deletions=[Deletion(*row[:-1]) for row in deletions],
        handles_to_check=await connection.fetchval(HANDLES),
        fetching=_fetching(await standing.read(connection)),
        publishing=Publishing(*await outbox.standing(connection)),
        rebuild=None if rebuild is None else RebuildStep(*rebuild),
        tables=await _tables(connection),
    )


async def _relay(connection: Connection, stored: Mapping[str, Any]) -> Relay:
    service = stored["service"]
    # Of a stream's server each worker has some partitions, and all hold the lock of their number together.
    parts = service.endswith(WHOLE)
    lock, mode = (service.replace("#0/", "#/"), "ShareLock") if parts else (service, "ExclusiveLock")
    holders = await connection.fetch(HOLDERS, lock_key(lock), mode)
    keepers = await connection.fetch(HOLDERS, keeper_key(service.partition("#")[0]), "ExclusiveLock")
    runs = await connection.fetch(RUNS, service, max(2, len(holders) + 1))
    gaps = await connection.fetch(GAPS, service, GAPS_SHOWN)
    return Relay(
        **stored,
        running=LockHolder(*holders[0]) if holders else None,
        runs=[PastRun(*row[:-1], counts=json.loads(row["counts"])) for row in runs],
        gaps=gaps[0]["gaps"] if gaps else 0,
        last_gaps=[Gap(*row[:-1]) for row in gaps],
        standbys=await connection.fetchval(STANDBYS, standby_key(service)),
        keeper=bool({row["pid"] for row in holders} & {row["pid"] for row in keepers}),
        workers=len(holders),
    )


async def _letters(connection: Connection) -> Letters:
    rows = await connection.fetch(LETTERS, LETTERS_COUNTED)
    counted = sum(row["letters"] for row in rows)
    return Letters(
        by_reason={row["reason"]: row["letters"] for row in rows},
        newest_only=counted if counted == LETTERS_COUNTED else None,
        without_frame=sum(row["frameless"] for row in rows),
        tried_in_vain=await connection.fetchval(STUCK_LETTERS),
        frame_bytes=await connection.fetchval(FRAMES),
        most_frame_bytes=MAX_FRAMES_BYTES,
        most_frames_of_a_did=MAX_LETTERS_OF_A_DID,
    )


async def _repos(connection: Connection) -> Repos:
    by_reason = await connection.fetch(DESYNCHRONISED)
    unproven = await connection.fetchrow(UNPROVEN)
    assert unproven is not None
    return Repos(
        desynchronised={row["reason"]: row["repos"] for row in by_reason},
        desynchronised_since=min((row["since"] for row in by_reason if row["since"] is not None), default=None),
        repairing=await connection.fetchval(REPAIRING),
        unproven=unproven["repos"],
        unproven_since=unproven["since"],
        most_counted=REPOS_COUNTED,
    )


def _fetching(known: Standing) -> Fetching:
    return Fetching(
        left=math.ceil(known.left),
        failed=known.failed,
        done=known.totals.done,
        records_per_second=known.records_per_second,
        seconds_left=eta(known),
        paused=known.paused,
    )


async def _tables(connection: Connection) -> list[Table]:
    samples = {row["name"]: row for row in await connection.fetch(SAMPLES, GROWTH_DAYS)}
    return [
        Table(size.name, size.rows, not size.exact, size.bytes, _growth(size, samples.get(size.name)))
        for size in await measure(connection)
    ]


def _growth(size: Size, sample: Mapping[str, Any] | None) -> Growth | None:
    if sample is None or sample["seconds"] < GROWTH_SECONDS:
        return None
    days = sample["seconds"] / 86_400
    rows, size_in_bytes = size.rows - sample["rows"], size.bytes - sample["bytes"]
    return Growth(round(rows / days), round(size_in_bytes / days), over_seconds=sample["seconds"])
