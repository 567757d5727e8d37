"""What waits for its account's key: the newest commit block of a repo, and letters. Settled a row at a time."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from unified_indexer.database.connection.failures import is_everybodys
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.dead_letters.retry import SUPERSEDED, Judging, Kept, postpone, retry
from unified_indexer.log.handler import warn_limited
from unified_indexer.protocol.failures import Failure
from unified_indexer.selection import Selection

log = logging.getLogger(__name__)

AT_ONCE = 250  # accounts
WAITING = (Failure.NO_IDENTITY, Failure.UNPROVEN)  # why letters wait for a key

REPOS = "SELECT did FROM unified_worker.repos WHERE unproven IS NOT NULL AND did > $1 ORDER BY did LIMIT $2"
OF_LETTERS = """
SELECT DISTINCT did FROM unified_worker.dead_letters
WHERE reason = ANY ($3) AND frame_sha256 IS NOT NULL AND did > $1 ORDER BY did LIMIT $2
"""
COUNT = "SELECT count(*) AS repos, min(unproven_at) AS since FROM unified_worker.repos WHERE unproven IS NOT NULL"
BLOCKS = "SELECT did, unproven FROM unified_worker.repos WHERE did = ANY ($1) AND unproven IS NOT NULL"
# What was applied meanwhile has a block of its own, or has proven all before it.
PROVEN = "SELECT unified_worker.settle_proven($1, $2)"
FORGED = "SELECT unified_worker.settle_forged($1, $2, $3)"
LETTERS = """
SELECT did, rev, reason, frame_sha256 FROM unified_worker.dead_letters
WHERE did = ANY ($1) AND (reason = 'unproven' OR reason = 'no_identity' AND did <> ALL ($2)) AND frame_sha256 IS NOT NULL
GROUP BY did, rev, reason, frame_sha256 ORDER BY did, rev COLLATE "C", min(id)
"""
# An operator sees why, and may still have it tried.
TOO_LATE = """
UPDATE unified_worker.dead_letters SET reason = 'superseded', detail = $5, last_seen = now()
WHERE did = $1 AND rev = $2 AND reason = $3 AND frame_sha256 = $4 AND path = encode(frame_sha256, 'hex')
"""


class Unproven(NamedTuple):
    """How many repos wait, and since when (UTC) the first of them does."""

    repos: int
    since: datetime | None


async def count(connection: Connection) -> Unproven:
    """The repos that wait."""
    row = await connection.fetchrow(COUNT)
    return Unproven(0, None) if row is None else Unproven(*row)


async def accounts(connection: Connection, after: str) -> list[str]:
    """The next accounts whose repos wait, in order."""
    return [row["did"] for row in await connection.fetch(REPOS, after, AT_ONCE)]


async def accounts_of_letters(connection: Connection, after: str, reasons: Sequence[Failure] = WAITING) -> list[str]:
    """The next accounts whose letters wait, in order; for one of these reasons."""
    return [row["did"] for row in await connection.fetch(OF_LETTERS, after, AT_ONCE, reasons)]


async def blocks(connection: Connection, dids: Sequence[str]) -> dict[str, bytes]:
    """The newest commit block of each of these repos that waits."""
    return {row["did"]: row["unproven"] for row in await connection.fetch(BLOCKS, dids)}


async def prove(connection: Connection, did: str, block: bytes) -> None:
    """All that was applied up to this block is the account's."""
    await connection.execute(PROVEN, did, block)


async def refute(connection: Connection, did: str, block: bytes, reason: str) -> None:
    """It is not the account's, for this reason: the repo is to be repaired."""
    await connection.execute(FORGED, did, block, reason)


async def retry_letters(
    connection: Connection, dids: Sequence[str], nobodys: Sequence[str], selection: Selection, judged: Judging
) -> None:
    """Apply the letters of these accounts that are proven now, each account's by rev; an error is its letter's alone.

    `nobodys`: those of them that have no identity: what is kept for that reason is not tried. Nor is again what came too late.
    """
    for row in await connection.fetch(LETTERS, dids, nobodys):
        kept = Kept(*row)
        try:
            if SUPERSEDED in (await retry(connection, kept, selection, judged)).values():
                await connection.execute(TOO_LATE, *kept, SUPERSEDED.why)
        except asyncpg.PostgresError as error:
            if is_everybodys(error):
                raise
            await postpone(connection, kept)
            warn_limited(log, "unproven letter", "Cannot apply commit %s of %s (%s)", kept.rev, kept.did, error)
