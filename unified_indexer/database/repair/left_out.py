"""Repos of which something was left out on purpose, by COLLECTIONS or ACCOUNTS, and is wanted now."""

from collections.abc import Sequence

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.repair.listings import FULL, MOST_ROWS
from unified_indexer.database.repair.queue import CHOSEN

BEFORE = "SELECT collections FROM unified_worker.backfill"
SINCE = "UPDATE unified_worker.backfill SET collections = $1 WHERE collections IS DISTINCT FROM $1"
FILTERED = f"""
WITH found AS MATERIALIZED (
  SELECT did FROM unified_worker.repos WHERE filtered AND active AND NOT wiping AND did > $1 ORDER BY did LIMIT $2),
wanted AS (
  INSERT INTO unified_worker.repairs (did, why, priority)
  SELECT did, 'chosen', {CHOSEN} FROM found ON CONFLICT (did) DO NOTHING)
SELECT max(did) AS last, count(*) AS found FROM found
"""
UNSEEN = f"""
INSERT INTO unified_worker.repairs (did, why, priority)
SELECT n.did, 'chosen', {CHOSEN} FROM unnest($1::text[]) AS n (did)
LEFT JOIN unified_worker.repos AS r ON r.did = n.did COLLATE "C"
WHERE r.did IS NULL OR (r.sync = 0 AND r.active AND NOT r.wiping)
ORDER BY n.did COLLATE "C" ON CONFLICT (did) DO NOTHING
"""

REPOS = "SELECT did, sync = 1 AS whole FROM unified_worker.repos WHERE did > $1 ORDER BY did LIMIT $2"
FORGET = """
UPDATE unified_worker.repos AS r SET sync = 0
FROM (SELECT did FROM unified_worker.repos WHERE did = ANY ($1::text[]) AND sync = 1 ORDER BY did FOR UPDATE) AS x
WHERE r.did = x.did
"""


async def collections(connection: Connection) -> list[str] | None:
    """COLLECTIONS as it was when nothing was left to fetch because of it; None where that was never noted."""
    return await connection.fetchval(BEFORE)


async def note_collections(connection: Connection, patterns: Sequence[str]) -> None:
    """Note that nothing is left to fetch because of COLLECTIONS."""
    await connection.execute(SINCE, list(patterns))


async def is_full(connection: Connection) -> bool:
    """Whether half as many repos are wanted as may be noted at all: the other half is for lists."""
    return await connection.fetchval(FULL, MOST_ROWS // 2)


async def want_filtered(connection: Connection, after: str, most: int) -> str:
    """Ask for the next repos of which something was left out; return the last of them, '' at the end."""
    row = await connection.fetchrow(FILTERED, after, most)
    return row["last"] if row is not None and row["found"] == most else ""


async def want_unseen(connection: Connection, dids: Sequence[str]) -> None:
    """Ask for those of these repos whose history is not known."""
    await connection.execute(UNSEEN, list(dids))


async def whole(connection: Connection, after: str, most: int) -> tuple[list[str], str]:
    """Of the next `most` repos those in which nothing is missing; and the last one looked at, '' at the end."""
    rows = await connection.fetch(REPOS, after, most)
    return [row["did"] for row in rows if row["whole"]], rows[-1]["did"] if len(rows) == most else ""


async def forget(connection: Connection, dids: Sequence[str]) -> None:
    """Note that from now on the history of these repos is not known."""
    await connection.execute(FORGET, list(dids))
