"""What `status --did` finds for one account; each query is by key, and bounded."""

from dataclasses import replace

import asyncpg

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.states import State
from unified_indexer.database.status.results import AccountStatus, LastLetter, Repo
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType

MOST_COUNTED = 100_000  # rows of a table
PATIENCE = "2s"  # a table: an application's may lack the index
LETTERS_SHOWN = 5

REPO = """
SELECT rev, seq, active, status, account_at, handle, handle_at, handle_verified, handle_checked_at,
  sync, sync_reason, sync_at, filtered, inductive, unproven_at, held, wiping, wiped_at, updated_at,
  (SELECT s.error FROM unified_worker.stuck_wipes AS s WHERE s.did = r.did) AS wipe_error,
  (SELECT coalesce(d.error, '') FROM unified_worker.deletions AS d WHERE d.did = r.did) AS deletion_error,
  r.synced_at, p.state, p.reason, p.retry_at
FROM unified_worker.repos AS r LEFT JOIN unified_worker.repairs AS p USING (did) WHERE r.did = $1
"""
COUNT = "SELECT count(*) FROM (SELECT FROM {schema}.{table} WHERE {mine} LIMIT {most}) AS t"
BY_AUTHOR = "{author} = $1"
# '0' is the character after '/'.
BY_KEY = "{key} COLLATE \"C\" >= 'at://' || $1::text || '/' AND {key} COLLATE \"C\" < 'at://' || $1::text || '0'"
WAITING = f"SELECT count(*) FROM (SELECT FROM unified_worker.duplicate_records WHERE {BY_KEY.format(key='uri')} LIMIT $2) AS t"
LETTERS = """
SELECT reason, count(*) AS letters FROM (SELECT reason FROM unified_worker.dead_letters WHERE did = $1 LIMIT $2) AS t
GROUP BY reason ORDER BY letters DESC, reason
"""
LAST_LETTERS = """
SELECT path, rev, reason, detail, attempts, last_seen FROM unified_worker.dead_letters WHERE did = $1
ORDER BY last_seen DESC, id DESC LIMIT $2
"""


async def account_status(connection: Connection, schema: str, did: str) -> AccountStatus:
    """The account's repo, its rows by table, its dead letters and waiting duplicates."""
    repo = await connection.fetchrow(REPO, did)
    rows: dict[str, int | None] = {}
    for record_type in RECORD_TYPES:
        rows[record_type.table] = await _count(connection, schema, record_type, did)
    return AccountStatus(
        did=did,
        repo=None if repo is None else replace(Repo(*repo), sync=State(repo["sync"]).name.lower()),
        rows=rows,
        most_counted=MOST_COUNTED,
        waiting_duplicates=await connection.fetchval(WAITING, did, MOST_COUNTED + 1),
        dead_letters={row["reason"]: row["letters"] for row in await connection.fetch(LETTERS, did, MOST_COUNTED + 1)},
        last_dead_letters=[LastLetter(*row) for row in await connection.fetch(LAST_LETTERS, did, LETTERS_SHOWN)],
    )


async def _count(connection: Connection, schema: str, record_type: RecordType, did: str) -> int | None:
    author, key = record_type.author, record_type.key
    mine = BY_KEY.format(key=key) if author is None else BY_AUTHOR.format(author=author)
    query = COUNT.format(schema=schema, table=record_type.table, mine=mine, most=MOST_COUNTED + 1)
    try:
        async with connection.transaction():  # a savepoint: what takes too long ends alone
            await connection.execute(f"SET LOCAL statement_timeout = '{PATIENCE}'")
            return await connection.fetchval(query, did)
    except asyncpg.QueryCanceledError:
        return None
