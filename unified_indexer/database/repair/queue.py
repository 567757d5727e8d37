"""Which repos are to be repaired: `unified_worker.repairs`, a row each until it is done."""

from collections.abc import Sequence
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.repair import BACKFILL, LEASE
from unified_indexer.database.repair.steps import Claim
from unified_indexer.shares import WHOLE, Share

# Who asks again gets what is nearer: an operator's wish comes before a backfill, and ends a wait.
WANT = """
INSERT INTO unified_worker.repairs AS p (did, why, priority, check_only) SELECT did, $2, $3, $4 FROM unnest($1::text[]) AS did
ON CONFLICT (did) DO UPDATE SET priority = least(p.priority, excluded.priority),
  check_only = p.check_only AND excluded.check_only,
  why = CASE WHEN excluded.priority < p.priority THEN excluded.why ELSE p.why END,
  state = CASE WHEN p.holder IS NULL THEN 'wanted' ELSE p.state END,
  retry_at = CASE WHEN excluded.priority < p.priority OR excluded.priority = 0 THEN now() ELSE p.retry_at END
RETURNING did
"""
# Those that lack something, in turn. One that was repaired just now waits: no relay is to make us fetch without an end.
# One that its host did not give out is asked for again after a day (its retry_at is when that was): not found may be a fault.
MISSED = """
WITH found AS MATERIALIZED (
  SELECT r.did, coalesce(r.synced_at + CASE r.sync_reason WHEN 'legacy_commit' THEN interval '1 day' ELSE interval '1 hour' END,
    now()) AS at
  FROM unified_worker.repos AS r WHERE r.sync = 2 AND r.active AND NOT r.wiping AND r.did > $1 ORDER BY r.did LIMIT $2),
wanted AS (
  INSERT INTO unified_worker.repairs (did, why, priority, retry_at) SELECT did, 'missed', 10, at FROM found
  ON CONFLICT (did) DO NOTHING),
again AS (
  UPDATE unified_worker.repairs AS p SET state = 'wanted', retry_at = now() FROM found AS f
  WHERE p.did = f.did AND p.state = 'unavailable' AND p.retry_at < now() - interval '1 day')
SELECT max(did) AS last, count(*) AS found FROM found
"""
# The hosts that have some, a look-up each.
HOSTS = """
WITH RECURSIVE found AS (
  (SELECT host FROM unified_worker.repairs WHERE state IN ('wanted', 'failed') AND host IS NOT NULL ORDER BY host LIMIT 1)
  UNION ALL
  SELECT (SELECT p.host FROM unified_worker.repairs AS p WHERE p.state IN ('wanted', 'failed') AND p.host > f.host
    ORDER BY p.host LIMIT 1)
  FROM found AS f WHERE f.host IS NOT NULL)
SELECT h.id, h.url FROM found AS f JOIN unified_worker.hosts AS h ON h.id = f.host
"""
CLAIM = f"""
UPDATE unified_worker.repairs AS p SET state = 'fetching', claim = p.claim + 1, holder = $1, reason = NULL,
  lease_until = now() + interval '{LEASE}'
FROM (
  SELECT did FROM unified_worker.repairs
  WHERE state IN ('wanted', 'failed') AND retry_at <= now() AND {{which}}
    AND NOT EXISTS (SELECT FROM unified_worker.backfill WHERE paused)
  ORDER BY priority, retry_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS x
WHERE p.did = x.did
RETURNING p.did, p.claim, p.why, p.check_only, p.failures, p.host
"""
OWN = "hash % $3 = $4 AND NOT check_only"
CLAIM_BY_DOCUMENT = CLAIM.format(which=f"host IS NULL AND {OWN}")
CLAIM_AT_HOST = CLAIM.format(which=f"host = $5 AND {OWN}")
CLAIM_ONE = CLAIM.format(which="did = $3")

ASKED, MISSING, CHOSEN, NETWORK = 0, 10, BACKFILL, 30
"""Priorities: the lowest comes first. From CHOSEN on, a repo that is not to be had is forgotten."""


LACKING = """
SELECT did FROM unified_worker.repos WHERE sync = 2 AND active AND NOT wiping AND did > $1 ORDER BY did LIMIT $2
"""


HOST = """
WITH added AS (INSERT INTO unified_worker.hosts (url) VALUES ($1) ON CONFLICT (url) DO NOTHING RETURNING id)
SELECT id FROM added UNION ALL SELECT id FROM unified_worker.hosts WHERE url = $1 COLLATE "C"
"""
# At once, whatever was tried before.
HURRY = """
INSERT INTO unified_worker.repairs (did, why, priority)
SELECT did, 'asked', 0 FROM unified_worker.repos WHERE sync = 2 AND active AND NOT wiping
ON CONFLICT (did) DO UPDATE SET state = 'wanted', priority = 0, retry_at = now(), check_only = false
WHERE repairs.holder IS NULL
"""
NOT_CHECKED = "DELETE FROM unified_worker.repairs WHERE did = $1 AND check_only AND holder IS NULL"


class Claimed(NamedTuple):
    """A repo that is to be repaired now. `host`: the id of the host that listed it; None: its DID document says where it is."""

    did: str
    number: int
    why: str
    check_only: bool
    failures: int
    host: int | None

    @property
    def claim(self) -> Claim:
        """Whose it is."""
        return Claim(self.did, self.number)


async def want(connection: Connection, dids: Sequence[str], why: str, priority: int, *, check_only: bool = False) -> int:
    """Ask for the repair of these repos; return how many there are now."""
    return len(await connection.fetch(WANT, sorted(set(dids)), why, priority, check_only))


async def want_missed(connection: Connection, after: str, most: int) -> str:
    """Ask for the next repos in which something is missing; return the last of them, '' at the end."""
    row = await connection.fetchrow(MISSED, after, most)
    return row["last"] if row is not None and row["found"] == most else ""


async def hurry(connection: Connection) -> int:
    """Ask for the repair of all repos in which something is missing; return how many there are."""
    return int((await connection.execute(HURRY)).split()[-1])


async def lacking(connection: Connection, after: str, most: int) -> list[str]:
    """The next repos in which something is missing, in order."""
    return [row["did"] for row in await connection.fetch(LACKING, after, most)]


async def claim(connection: Connection, holder: str, most: int, share: Share = WHOLE) -> list[Claimed]:
    """Take some of the share's whose time has come, and whose DID documents say where they are."""
    rows = await connection.fetch(CLAIM_BY_DOCUMENT, holder, most, share.of, share.number - 1)
    return [Claimed(*row) for row in rows]


async def claim_at(connection: Connection, holder: str, most: int, host: int, share: Share = WHOLE) -> list[Claimed]:
    """Take some of the share's that this host listed."""
    rows = await connection.fetch(CLAIM_AT_HOST, holder, most, share.of, share.number - 1, host)
    return [Claimed(*row) for row in rows]


async def claim_one(connection: Connection, holder: str, did: str) -> Claimed | None:
    """Take this one; None if another has it."""
    row = await connection.fetchrow(CLAIM_ONE, holder, 1, did)
    return None if row is None else Claimed(*row)


async def take_one(connection: Connection, holder: str, did: str, why: str, *, check_only: bool) -> Claimed | None:
    """Ask for this one and take it; None if another has it, or all fetching is paused.

    One that is only to be compared leaves no row then: workers take none such, and it would keep the repo from being repaired.
    """
    async with connection.transaction():
        await want(connection, [did], why, ASKED, check_only=check_only)
        claimed = await claim_one(connection, holder, did)
        if claimed is None and check_only:
            await connection.execute(NOT_CHECKED, did)
    return claimed


async def hosts(connection: Connection) -> dict[int, str]:
    """The hosts of which repos are wanted: their origins by id."""
    return {row["id"]: row["url"] for row in await connection.fetch(HOSTS)}


async def host_id(connection: Connection, url: str) -> int:
    """The id of the host with this origin, which is noted if it is new."""
    found = await connection.fetchval(HOST, url)
    return found if found is not None else await connection.fetchval(HOST, url)  # another session noted it at the same moment
