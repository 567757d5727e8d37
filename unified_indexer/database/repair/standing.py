"""How far all fetching is, for people and programs: what is left, and how fast it went of late."""

from typing import Any, NamedTuple

from asyncpg import Record

from unified_indexer.database.connection.sessions import Connection

OF_LATE = 10  # minutes

NOTE = """
WITH total AS (
  UPDATE unified_worker.backfill
  SET repos = repos + $1, records = records + $2, bytes = bytes + $3, failed = failed + $4, unavailable = unavailable + $5),
old AS (DELETE FROM unified_worker.backfill_minutes WHERE minute < now() - interval '1 day')
INSERT INTO unified_worker.backfill_minutes AS m (minute, repos, records, bytes, failed, unavailable)
VALUES (date_trunc('minute', now()), $1, $2, $3, $4, $5)
ON CONFLICT (minute) DO UPDATE SET repos = m.repos + $1, records = m.records + $2, bytes = m.bytes + $3,
  failed = m.failed + $4, unavailable = m.unavailable + $5
"""
TOTALS = "SELECT repos, records, bytes, unavailable, failed FROM unified_worker.backfill"
# The minutes in which something was done, of which the last is not over.
LATE = f"""
SELECT coalesce(sum(m.repos), 0)::bigint, coalesce(sum(m.records), 0)::bigint,
  coalesce(sum(least(60, extract(epoch FROM now() - m.minute))), 0)::float
FROM unified_worker.backfill_minutes AS m WHERE m.minute > now() - interval '{OF_LATE} minutes'
"""
STATES = """
SELECT count(*) FILTER (WHERE state = 'wanted'), count(*) FILTER (WHERE state = 'wanted' AND retry_at <= now()),
  count(*) FILTER (WHERE state IN ('fetching', 'writing')), count(*) FILTER (WHERE state = 'failed'),
  count(*) FILTER (WHERE state = 'unavailable')
FROM unified_worker.repairs
"""
JOBS = """
SELECT count(*) FILTER (WHERE ended_at IS NULL AND NOT paused AND error IS NULL),
  count(*) FILTER (WHERE ended_at IS NULL AND NOT paused AND error IS NOT NULL),
  count(*) FILTER (WHERE ended_at IS NULL AND paused),
  (SELECT count(*) FROM unified_worker.listings AS l JOIN unified_worker.backfill_jobs AS o ON o.id = l.job
   WHERE l.ended_at IS NULL AND o.ended_at IS NULL),
  (SELECT paused FROM unified_worker.backfill)
FROM unified_worker.backfill_jobs
"""
# What is not found yet: as many as the relay says, of which the same part is wanted as of those that were found. By host
# because accounts differ: the first servers' have fifty times as many records as others'. `longest`: repos of one host.
LEFT = """
WITH wanted AS (
  SELECT job, host, count(*) AS repos FROM unified_worker.repairs
  WHERE state IN ('wanted', 'fetching', 'writing') GROUP BY job, host),
open AS (
  SELECT j.id, j.wanted, j.found FROM unified_worker.backfill_jobs AS j
  WHERE j.ended_at IS NULL OR EXISTS (SELECT FROM wanted AS w WHERE w.job = j.id)),
hidden AS (
  SELECT l.host, h.accounts IS NULL AS unknown, greatest(h.accounts - l.found, 0)
    * CASE WHEN j.found > 0 THEN j.wanted::float / j.found ELSE 1 END AS repos
  FROM unified_worker.listings AS l JOIN unified_worker.hosts AS h ON h.id = l.host
  JOIN unified_worker.backfill_jobs AS j ON j.id = l.job
  WHERE l.ended_at IS NULL AND j.ended_at IS NULL AND j.kind IN ('network', 'hosts')),
of_host AS (
  SELECT x.host, sum(x.repos) AS repos FROM (
    SELECT host, repos FROM wanted UNION ALL SELECT host, coalesce(repos, 0) FROM hidden) AS x GROUP BY x.host)
SELECT coalesce(sum(o.repos), 0)::float,
  coalesce(sum(o.repos * coalesce(h.records_done::float / nullif(h.repos_done, 0), $1)), 0)::float,
  coalesce(max(o.repos) FILTER (WHERE o.host IS NOT NULL), 0)::float,
  (SELECT coalesce(sum(j.wanted), 0)::float FROM open AS j),
  (SELECT coalesce(sum(w.repos), 0)::float FROM wanted AS w WHERE w.job IN (SELECT id FROM open)),
  (SELECT count(*) FROM hidden WHERE unknown)
FROM of_host AS o LEFT JOIN unified_worker.hosts AS h ON h.id = o.host
"""


class Done(NamedTuple):
    """What came of repos: complete ones, their records, bytes; how many are not given out, and attempts that failed."""

    done: int = 0
    records: int = 0
    bytes: int = 0
    unavailable: int = 0
    failed: int = 0


class Standing(NamedTuple):
    """`wanted`: repos that wait, `due` those of them that are not to be tried later; `under_way`; `failed`: tried once a day;
    `unavailable`. `reading`, `waiting`, `paused_jobs`: jobs, and `lists` that they read. `paused`: an operator stopped all.

    `left`: repos that are to be fetched, also those not found yet, as far as is known (`unsized`: lists of unknown length);
    `left_records`: theirs, by what each host's repos had; `longest`: repos of one host. `asked`: repos of unfinished
    jobs; `asked_left` of them are not fetched. `repos`, `records` were done in `seconds` of late.
    """

    wanted: int
    due: int
    under_way: int
    failed: int
    unavailable: int
    reading: int
    waiting: int
    paused_jobs: int
    lists: int
    paused: bool
    left: float
    left_records: float
    longest: float
    asked: float
    asked_left: float
    unsized: int
    repos: int
    records: int
    seconds: float
    totals: Done

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.wanted or self.under_way or self.reading or self.waiting or self.paused_jobs)

    @property
    def repos_per_second(self) -> float:
        """Of late."""
        return self.repos / self.seconds if self.seconds else 0.0

    @property
    def records_per_second(self) -> float:
        """Of late."""
        return self.records / self.seconds if self.seconds else 0.0


async def note(connection: Connection, done: Done) -> None:
    """Add what was done since the last time."""
    await connection.execute(NOTE, done.done, done.records, done.bytes, done.failed, done.unavailable)


async def read(connection: Connection) -> Standing:
    """How far it is."""
    late = _values(await connection.fetchrow(LATE))
    totals = Done(*_values(await connection.fetchrow(TOTALS)))
    by_repo = late[1] / late[0] if late[0] else totals.records / totals.done if totals.done else 0.0
    states = _values(await connection.fetchrow(STATES))
    jobs = _values(await connection.fetchrow(JOBS))
    left = _values(await connection.fetchrow(LEFT, by_repo))
    return Standing._make((*states, *jobs, *left, *late, totals))


def _values(row: Record | None) -> tuple[Any, ...]:
    assert row is not None
    return tuple(row)
