"""What commands ask for and show of backfills: jobs, and how far they are."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.repair import standing
from unified_indexer.database.repair.listings import MOST_ROWS, OPEN_REPOS, WANT
from unified_indexer.database.repair.queue import CHOSEN
from unified_indexer.database.repair.standing import Standing

DIDS = "dids"  # the kind of a job whose repos were named one by one: no list is read for it
ADD_DIDS = """
INSERT INTO unified_worker.backfill_jobs (kind, argument, phase, ended_at) VALUES ('dids', $1, 'repos', now()) RETURNING id
"""
ROOM = f"SELECT $1 - count(*) FROM ({OPEN_REPOS} LIMIT $1) AS x"
JOBS = """
SELECT j.id, j.kind, coalesce(j.argument, ''), j.phase, j.paused, j.found, j.wanted, j.started_at, j.ended_at, j.error,
  (SELECT count(*) FROM unified_worker.listings AS l WHERE l.job = j.id) AS lists,
  (SELECT count(*) FROM unified_worker.listings AS l WHERE l.job = j.id AND l.ended_at IS NOT NULL) AS read,
  coalesce(r.left, 0) AS left, coalesce(r.failed, 0) AS failed
FROM unified_worker.backfill_jobs AS j
LEFT JOIN (
  SELECT job, count(*) FILTER (WHERE state <> 'failed') AS left, count(*) FILTER (WHERE state = 'failed') AS failed
  FROM unified_worker.repairs GROUP BY job) AS r ON r.job = j.id
ORDER BY j.ended_at IS NOT NULL, j.id DESC LIMIT $1
"""
REPAIRS = """
SELECT why, state, coalesce(CASE WHEN state IN ('failed', 'unavailable') THEN reason END, ''), count(*)
FROM unified_worker.repairs GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 20
"""
ERRORS = """
SELECT l.error, count(*), min(h.url) FROM unified_worker.listings AS l JOIN unified_worker.hosts AS h ON h.id = l.host
JOIN unified_worker.backfill_jobs AS j ON j.id = l.job
WHERE l.error IS NOT NULL AND (j.ended_at IS NULL OR j.ended_at > now() - interval '1 day')
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20
"""
PAUSED = "SELECT paused FROM unified_worker.backfill"
PAUSE_ALL = "UPDATE unified_worker.backfill SET paused = $1"
PAUSE = "UPDATE unified_worker.backfill_jobs SET paused = $2 WHERE id = $1 AND ended_at IS NULL RETURNING id"
CANCEL = """
UPDATE unified_worker.backfill_jobs SET ended_at = coalesce(ended_at, now()), error = 'cancelled' WHERE id = $1 RETURNING id
"""
# What a worker has in hand it finishes.
FORGET = "DELETE FROM unified_worker.repairs WHERE job = $1 AND holder IS NULL"


class JobState(NamedTuple):
    """A job. `lists`: how many are read for it, and `read` of them to their end; `left`: repos that are still to be
    fetched; `failed`: repos that are only tried once a day."""

    id: int
    kind: str
    argument: str
    phase: str
    paused: bool
    found: int
    wanted: int
    started_at: datetime
    ended_at: datetime | None
    error: str | None
    lists: int
    read: int
    left: int
    failed: int


class Count(NamedTuple):
    """How many repos are to be fetched, in this state."""

    why: str
    state: str
    reason: str
    repos: int


class ListError(NamedTuple):
    """How many lists have this error; `url` is the server of one."""

    error: str
    lists: int
    url: str


class Overview(NamedTuple):
    """All that there is to know of backfills."""

    paused: bool
    jobs: list[JobState]
    repairs: list[Count]
    errors: list[ListError]
    standing: Standing


async def add_dids(connection: Connection, argument: str) -> int:
    """A job for repos that are named one by one with `want_dids`; its id."""
    return await connection.fetchval(ADD_DIDS, argument)


async def room(connection: Connection) -> int:
    """How many more repos may be wanted."""
    return await connection.fetchval(ROOM, MOST_ROWS)


async def want_dids(connection: Connection, job: int, dids: Sequence[str]) -> int:
    """Ask for these repos, no DID twice, at once, but not for those that are complete; how many they are.

    Those that wait for another job are this one's then; they count if they come sooner now.
    """
    why, priority, revs = "chosen", CHOSEN, [""] * len(dids)
    return await connection.fetchval(WANT, dids, revs, why, priority, None, job, "", None, len(dids), True)


async def overview(connection: Connection, jobs: int) -> Overview:
    """The newest jobs, at most this number, those first that are not at their end; and what is to be fetched."""
    return Overview(
        await connection.fetchval(PAUSED),
        [JobState(*row) for row in await connection.fetch(JOBS, jobs)],
        [Count(*row) for row in await connection.fetch(REPAIRS)],
        [ListError(*row) for row in await connection.fetch(ERRORS)],
        await standing.read(connection),
    )


async def pause(connection: Connection, job: int | None, paused: bool) -> bool:
    """Pause or resume a job, or all fetching; whether there is such a job."""
    if job is None:
        await connection.execute(PAUSE_ALL, paused)
        return True
    return await connection.fetchval(PAUSE, job, paused) is not None


async def cancel(connection: Connection, job: int) -> int | None:
    """End a job, and want nothing of it any more; how many repos are not fetched. None: there is no such job."""
    async with connection.transaction():
        if await connection.fetchval(CANCEL, job) is None:
            return None
        return int((await connection.execute(FORGET, job)).rpartition(" ")[2])
