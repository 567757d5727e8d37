"""What operators asked to have fetched, and the lists that it is found on: `backfill_jobs`, and a row of `listings` a server.

A page's repos are stored with the cursor behind them, in one transaction: a list continues where it was, and nothing is left
out.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection

WINDOW = 5_000  # repos of a server that are wanted at once
MOST_ROWS = 200_000  # repos that wait or are under way, in all
MOST_HOSTS = 20_000  # of a job
PAGE = 2_000  # repos that a page may bring
LEASE = timedelta(minutes=1)

ASK = "INSERT INTO unified_worker.backfill_jobs (kind, argument) VALUES ($1, $2) RETURNING id"
ASK_ONCE = """
INSERT INTO unified_worker.backfill_jobs (kind, argument) SELECT $1, $2
WHERE NOT EXISTS (SELECT FROM unified_worker.backfill_jobs WHERE kind = $1 AND argument = $2)
"""
# The oldest gap that is not asked for: a later look at the lists finds what changed in all gaps that began after it. A message
# that could not be read is no reason to read the lists of the whole network. $1: it is done already.
ASK_OF_GAP = """
INSERT INTO unified_worker.backfill_jobs (kind, argument, ended_at)
SELECT 'gap', g.id::text, CASE WHEN $1 THEN now() END FROM unified_worker.gaps AS g
WHERE g.reason <> 'unreadable' AND g.upto_seq IS NOT NULL AND NOT EXISTS (
  SELECT FROM unified_worker.backfill_jobs AS j JOIN unified_worker.gaps AS o ON o.id::text = j.argument
  WHERE j.kind = 'gap' AND (j.ended_at IS NULL OR j.started_at >= g.noticed_at
    AND coalesce(o.after_time, o.noticed_at) <= coalesce(g.after_time, g.noticed_at)))
ORDER BY coalesce(g.after_time, g.noticed_at) LIMIT 1
RETURNING argument::bigint
"""
HOLD = """
UPDATE unified_worker.backfill_jobs SET holder = $1, lease_until = now() + $2
WHERE kind = ANY($3) AND ended_at IS NULL AND NOT paused AND (holder IS NULL OR holder = $1 OR lease_until < now())
  AND NOT EXISTS (SELECT FROM unified_worker.backfill WHERE paused)
RETURNING id, kind, coalesce(argument, ''), phase, cursor
"""
# Whoever pauses or ends a job ends its pages too: what is under way then changes nothing.
AT_WORK = "SELECT 1 FROM unified_worker.backfill_jobs WHERE id = $1 AND ended_at IS NULL AND NOT paused FOR UPDATE"
PICK = """
SELECT l.job, l.host, h.url, h.accounts, j.kind, coalesce(j.argument, ''), l.cursor, l.failures
FROM unified_worker.backfill_jobs AS j
JOIN unified_worker.listings AS l ON l.job = j.id
JOIN unified_worker.hosts AS h ON h.id = l.host
WHERE j.id = ANY($1) AND j.ended_at IS NULL AND NOT j.paused AND l.ended_at IS NULL AND l.turn_at <= now()
  AND CASE WHEN j.kind IN ('follows', 'collection')
      THEN (SELECT count(*) FROM (SELECT FROM unified_worker.repairs AS r
        WHERE r.host IS NULL AND r.state = 'wanted' LIMIT $3) AS x) < $3
      ELSE (SELECT count(*) FROM (SELECT FROM unified_worker.repairs AS r
        WHERE r.host = l.host AND r.state = 'wanted' LIMIT $3) AS x) < $3 END
ORDER BY l.turn_at, l.host LIMIT $2
"""
# Not those that are tried once a day, or not at all: however many they are, others are fetched meanwhile.
OPEN_REPOS = "SELECT FROM unified_worker.repairs WHERE state IN ('wanted', 'fetching', 'writing')"
FULL = f"SELECT count(*) >= $1 FROM ({OPEN_REPOS} LIMIT $1) AS x"
MOVE = """
UPDATE unified_worker.listings SET cursor = $4, found = found + $5, failures = 0, turn_at = now(), error = $6,
  ended_at = CASE WHEN $7 THEN now() END
WHERE job = $1 AND host = $2 AND cursor IS NOT DISTINCT FROM $3 AND ended_at IS NULL RETURNING 1
"""
# Not those that are complete and no older than they are listed. After a gap: those that have moved on since it began.
# What an older job, or one that comes later in turn, wants too is this job's from now on: it stays when the other is cancelled.
# Who is named ($10) is tried at once, whatever was tried before; nobody of a list is, since lists are read again and again.
# Nothing waits here for rows that a worker has locked.
WANT = """
WITH listed AS MATERIALIZED (
  SELECT n.did COLLATE "C" AS did, n.rev FROM unnest($1::text[], $2::text[]) AS n(did, rev)
  LEFT JOIN unified_worker.repos AS r ON r.did = n.did COLLATE "C"
  WHERE (r.did IS NULL OR (r.active AND NOT r.wiping))
    AND CASE WHEN $7 = '' THEN r.sync IS DISTINCT FROM 1 OR n.rev > r.rev COLLATE "C"
        ELSE n.rev COLLATE "C" >= $7 AND n.rev > coalesce(r.rev, '') COLLATE "C" END),
there AS MATERIALIZED (
  SELECT p.did, p.priority > $4 OR p.state = 'unavailable' AS sooner
  FROM listed AS l JOIN unified_worker.repairs AS p ON p.did = l.did
  WHERE CASE WHEN p.state = 'unavailable' THEN $10 ELSE p.priority > $4 OR (p.priority = $4 AND p.job < $6) END
  FOR UPDATE OF p SKIP LOCKED),
moved AS (
  UPDATE unified_worker.repairs AS p SET why = $3, priority = $4, job = $6,
    state = CASE WHEN $10 AND p.holder IS NULL THEN 'wanted' ELSE p.state END,
    retry_at = CASE WHEN $10 AND p.holder IS NULL THEN now() ELSE p.retry_at END
  FROM there AS t WHERE p.did = t.did RETURNING t.sooner),
added AS (
  INSERT INTO unified_worker.repairs (did, why, priority, host, job, listed_rev)
  SELECT did, $3, $4, $5, $6, nullif(rev, '') FROM listed ORDER BY did ON CONFLICT (did) DO NOTHING RETURNING did),
counted AS (SELECT (SELECT count(*) FROM added) + (SELECT count(*) FROM moved WHERE sooner) AS wanted),
listing AS (
  UPDATE unified_worker.listings SET wanted = listings.wanted + c.wanted FROM counted AS c WHERE job = $6 AND host = $8)
UPDATE unified_worker.backfill_jobs SET found = found + $9, wanted = backfill_jobs.wanted + c.wanted
FROM counted AS c WHERE id = $6 RETURNING c.wanted
"""
FAIL = """
UPDATE unified_worker.listings SET failures = failures + $4, error = $3, turn_at = now() + $5,
  ended_at = CASE WHEN $6 THEN now() END
WHERE job = $1 AND host = $2 AND ended_at IS NULL
"""
ADD_HOSTS = """
INSERT INTO unified_worker.hosts AS h (url, source, accounts)
SELECT n.url, $2, n.accounts FROM unnest($1::text[], $3::bigint[]) AS n(url, accounts) ORDER BY n.url COLLATE "C"
ON CONFLICT (url) DO UPDATE SET accounts = coalesce(excluded.accounts, h.accounts)
WHERE excluded.accounts IS DISTINCT FROM h.accounts
"""
ADD_LISTINGS = """
INSERT INTO unified_worker.listings (job, host)
SELECT $1, h.id FROM unified_worker.hosts AS h WHERE h.url = ANY($2::text[]) ORDER BY h.id
LIMIT greatest(0, $3 - (SELECT count(*) FROM unified_worker.listings WHERE job = $1))
ON CONFLICT DO NOTHING
"""
STEP = "UPDATE unified_worker.backfill_jobs SET phase = $2, cursor = $3, error = NULL WHERE id = $1"
OPEN = "SELECT EXISTS (SELECT FROM unified_worker.listings WHERE job = $1 AND ended_at IS NULL)"
END = "UPDATE unified_worker.backfill_jobs SET ended_at = now(), holder = NULL, error = $2 WHERE id = $1 AND ended_at IS NULL"
TELL = "UPDATE unified_worker.backfill_jobs SET error = $2 WHERE id = $1 AND ended_at IS NULL"
GAP = "SELECT coalesce(after_time, noticed_at) FROM unified_worker.gaps WHERE id = $1"


class Kind(StrEnum):
    """What names the repos of a job, and what its argument is."""

    FOLLOWS = "follows"  # a DID: those whom it follows, and itself
    COLLECTION = "collection"  # an NSID, and the origin of who has the list, if that is not the relay
    HOSTS = "hosts"  # origins of servers
    NETWORK = "network"
    GAP = "gap"  # the id of a gap


class Phase(StrEnum):
    """How far a job is."""

    BEGIN = "begin"
    HOSTS = "hosts"  # the relay's list of servers is being read
    REPOS = "repos"  # lists of repos are being read
    AGAIN = "again"  # the relay's list is read once more: servers may be new


class Job(NamedTuple):
    """Something that was asked for. `cursor`: up to where the relay's list of servers was read."""

    id: int
    kind: Kind
    argument: str
    phase: Phase
    cursor: str | None


class Listing(NamedTuple):
    """A server's list, as it is read for a job."""

    job: int
    host: int
    url: str
    accounts: int | None
    kind: Kind
    argument: str
    cursor: str | None
    failures: int


class Wish(NamedTuple):
    """How the repos of a job are wanted. `since`: a rev; of a gap, those that have moved on since then."""

    why: str
    priority: int
    since: str = ""


async def ask(connection: Connection, kind: Kind, argument: str) -> int:
    """Have a job done; its id."""
    return await connection.fetchval(ASK, kind, argument)


async def ask_once(connection: Connection, kind: Kind, argument: str) -> None:
    """Have a job done, unless the same was asked for before."""
    await connection.execute(ASK_ONCE, kind, argument)


async def ask_of_gap(connection: Connection, *, done: bool) -> int | None:
    """Have the repos found that changed since the oldest gap of which nobody asked; return its number. None while such a job is
    under way, or where there is no gap. `done`: note only that it was asked."""
    return await connection.fetchval(ASK_OF_GAP, done)


async def has_gap(connection: Connection, number: int) -> bool:
    """Whether there is a gap with this number."""
    return await connection.fetchval("SELECT EXISTS (SELECT FROM unified_worker.gaps WHERE id = $1)", number)


async def hold(connection: Connection, holder: str) -> list[Job]:
    """The jobs that are this worker's to do, until the lease ends or is renewed."""
    found = await connection.fetch(HOLD, holder, LEASE, list(Kind))
    return [Job(row[0], Kind(row[1]), row[2], Phase(row[3]), row[4]) for row in found]


async def pick(connection: Connection, jobs: Sequence[int], most: int) -> list[Listing]:
    """Lists whose turn it is: those of servers of which not too many repos are wanted already, the longest waiting first."""
    if await connection.fetchval(FULL, MOST_ROWS - PAGE * most):
        return []
    found = await connection.fetch(PICK, jobs, most, WINDOW - PAGE)
    return [Listing(row[0], row[1], row[2], row[3], Kind(row[4]), row[5], row[6], row[7]) for row in found]


async def store(
    connection: Connection,
    listing: Listing,
    repos: Sequence[tuple[str, str]],
    cursor: str | None,
    end: str | None,
    wish: Wish,
) -> int | None:
    """A page has come, with these DIDs and revs, no DID twice. `end`: a word, where it was the last.

    How many of them are wanted; None, and nothing stored, if the list is not where it was, or its job is at an end.
    """
    async with connection.transaction():
        if await connection.fetchval(AT_WORK, listing.job) is None:
            return None
        if len(repos) > PAGE and await connection.fetchval(FULL, MOST_ROWS - len(repos)):
            return None  # a server that gives more than it was asked for waits until there is room
        error = None if end in (None, "complete") else end
        place = (listing.job, listing.host, listing.cursor)
        if await connection.fetchval(MOVE, *place, cursor, len(repos), error, end is not None) is None:
            return None
        return await want(connection, listing, repos, wish)


async def want(connection: Connection, listing: Listing, repos: Sequence[tuple[str, str]], wish: Wish) -> int:
    """Ask for those of these repos that are not as they are listed."""
    by_host = listing.kind not in (Kind.FOLLOWS, Kind.COLLECTION)
    return await connection.fetchval(
        WANT,
        [did for did, _ in repos],
        [rev for _, rev in repos],
        wish.why,
        wish.priority,
        listing.host if by_host else None,
        listing.job,
        wish.since,
        listing.host,
        len(repos),
        False,
    )


async def fail(connection: Connection, listing: Listing, reason: str, after: timedelta, *, counts: bool, ends: bool) -> None:
    """A page did not come. `counts`: as a failure; `ends`: it is not asked for again."""
    await connection.execute(FAIL, listing.job, listing.host, reason, int(counts), after, ends)


async def add_hosts(
    connection: Connection, job: Job, hosts: Sequence[tuple[str, int | None]], source: str, phase: Phase, cursor: str | None
) -> None:
    """Servers whose lists the job is to read; no origin twice. The job is in `phase` from now on."""
    async with connection.transaction():
        if await connection.fetchval(AT_WORK, job.id) is None:
            return
        urls = [url for url, _ in hosts]
        await connection.execute(ADD_HOSTS, urls, source, [accounts for _, accounts in hosts])
        await connection.execute(ADD_LISTINGS, job.id, urls, MOST_HOSTS)
        await connection.execute(STEP, job.id, phase, cursor)


async def step(connection: Connection, job: Job, phase: Phase) -> None:
    """The job is in this phase from now on."""
    await connection.execute(STEP, job.id, phase, None)


async def is_open(connection: Connection, job: Job) -> bool:
    """Whether there is a list that is not at its end."""
    return await connection.fetchval(OPEN, job.id)


async def end(connection: Connection, job: Job, error: str | None = None) -> None:
    """The job is done, or can't be."""
    await connection.execute(END, job.id, error)


async def tell(connection: Connection, job: Job, error: str) -> None:
    """Why the job waits."""
    await connection.execute(TELL, job.id, error)


async def gap_began(connection: Connection, gap: int) -> datetime | None:
    """When a gap began, in the stream's time; None if there is no such gap."""
    return await connection.fetchval(GAP, gap)
