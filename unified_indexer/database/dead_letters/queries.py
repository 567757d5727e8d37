"""The operator's queries on dead letters: list, show, choose and drop them."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.dead_letters.retry import Kept
from unified_indexer.database.functions.rebuild_steps import REBUILDING

CHOSEN = "($1::text IS NULL OR l.reason = $1) AND ($2::text IS NULL OR l.did = $2)"
LETTER = """
SELECT l.id, l.seq, l.did, l.rev, l.path, l.reason, l.detail, l.first_seen, l.last_seen, l.attempts, l.awaited, l.frame_sha256,
  length(f.frame) AS frame_bytes
FROM unified_worker.dead_letters AS l LEFT JOIN unified_worker.dead_frames AS f ON f.sha256 = l.frame_sha256
"""
SUMMARY = f"""
SELECT l.reason, count(*) AS letters, count(*) - count(l.frame_sha256) AS without_frame, min(l.first_seen) AS first_seen,
  max(l.last_seen) AS last_seen
FROM unified_worker.dead_letters AS l WHERE {CHOSEN} GROUP BY l.reason ORDER BY count(*) DESC, l.reason
"""
NEWEST = f"{LETTER} WHERE {CHOSEN} ORDER BY l.id DESC LIMIT $3"
ONE = f"{LETTER} WHERE l.id = $1"
FRAME = "SELECT frame FROM unified_worker.dead_frames WHERE sha256 = $1"
LAST = "SELECT coalesce(max(id), 0) FROM unified_worker.dead_letters"
PAGE = f"""
SELECT l.id, l.did, l.rev, l.reason, l.frame_sha256 FROM unified_worker.dead_letters AS l
WHERE {CHOSEN} AND l.frame_sha256 IS NOT NULL AND l.id > $3 AND l.id <= $4 ORDER BY l.id LIMIT $5
"""
PAGE_SIZE = 500
# Those who keep a letter hold its repo's row (letters without a DID: the lock that every commit shares), so none is kept with a
# frame that goes just now.
IDS = "SELECT l.id FROM unified_worker.dead_letters AS l WHERE l.reason = $1 AND l.id > $2 ORDER BY l.id LIMIT $3"
WITHOUT_DID = "SELECT id FROM unified_worker.dead_letters WHERE id = ANY ($1) AND did = ''"
WAIT = f"SELECT pg_advisory_xact_lock({REBUILDING})"
LOCK = """
SELECT FROM unified_worker.repos WHERE did IN (SELECT did FROM unified_worker.dead_letters WHERE id = ANY ($1))
ORDER BY did FOR UPDATE
"""
DROP = "DELETE FROM unified_worker.dead_letters WHERE id = ANY ($1) RETURNING frame_sha256"
DROP_FRAMES = """
DELETE FROM unified_worker.dead_frames AS f WHERE f.sha256 = ANY ($1) AND NOT EXISTS (
  SELECT FROM unified_worker.dead_letters AS l WHERE l.frame_sha256 = f.sha256)
RETURNING length(f.frame) AS bytes
"""


class Choice(NamedTuple):
    """Which letters: of this reason, of this account; None means any."""

    reason: str | None = None
    did: str | None = None


class Letter(NamedTuple):
    """A row of dead_letters. `frame_bytes` is None if the frame was dropped."""

    id: int
    seq: int | None
    did: str
    rev: str
    path: str
    reason: str
    detail: str
    first_seen: datetime
    last_seen: datetime
    attempts: int
    awaited: list[str] | None
    frame_sha256: bytes | None
    frame_bytes: int | None


class ReasonCount(NamedTuple):
    """How many letters a reason has."""

    reason: str
    letters: int
    without_frame: int
    first_seen: datetime
    last_seen: datetime


class Dropped(NamedTuple):
    """What was deleted: letters, and the frames that no other letter needs."""

    letters: int
    frames: int
    bytes: int


async def summary(connection: Connection, choice: Choice) -> list[ReasonCount]:
    """The letters by reason, largest count first."""
    return [ReasonCount(*row) for row in await connection.fetch(SUMMARY, *choice)]


async def newest(connection: Connection, choice: Choice, most: int) -> list[Letter]:
    """The newest letters, at most `most`, newest first."""
    return [Letter(*row) for row in await connection.fetch(NEWEST, *choice, most)]


async def one(connection: Connection, letter: int) -> Letter | None:
    """The letter with this id."""
    row = await connection.fetchrow(ONE, letter)
    return None if row is None else Letter(*row)


async def frame_of(connection: Connection, letter: Letter) -> bytes | None:
    """The letter's frame, None if it was dropped."""
    return await connection.fetchval(FRAME, letter.frame_sha256)


async def frames(connection: Connection, choice: Choice) -> AsyncGenerator[tuple[Kept, list[int]]]:
    """Each frame that letters were kept with, oldest first, and the ids of those that are found with it at once. A frame may
    come again where its letters are many. Letters that are kept meanwhile do not come."""
    after, last = 0, await connection.fetchval(LAST)
    while rows := await connection.fetch(PAGE, *choice, after, last, PAGE_SIZE):
        found: dict[Kept, list[int]] = {}
        for row in rows:
            found.setdefault(Kept(row["did"], row["rev"], row["reason"], row["frame_sha256"]), []).append(row["id"])
        for kept, ids in found.items():
            yield kept, ids
        after = rows[-1]["id"]


async def ids_of(connection: Connection, reason: str) -> AsyncGenerator[list[int]]:
    """The ids of all letters of a reason, some at a time."""
    after = 0
    while rows := await connection.fetch(IDS, reason, after, PAGE_SIZE):
        yield [row["id"] for row in rows]
        after = rows[-1]["id"]


async def drop(connection: Connection, letters: list[int]) -> Dropped:
    """Delete these letters, as far as they exist."""
    of_nobody = {row["id"] for row in await connection.fetch(WITHOUT_DID, letters)}
    gone = [
        await _drop(connection, lock, ids)
        for lock, ids in ((WAIT, list(of_nobody)), (LOCK, [letter for letter in letters if letter not in of_nobody]))
        if ids
    ]
    return Dropped(*(sum(numbers) for numbers in zip(*gone, strict=True))) if gone else Dropped(0, 0, 0)


async def _drop(connection: Connection, lock: str, letters: list[int]) -> Dropped:
    async with connection.transaction():
        await connection.execute(lock, *([letters] if "$1" in lock else []))
        named = [row["frame_sha256"] for row in await connection.fetch(DROP, letters)]
        sizes = [row["bytes"] for row in await connection.fetch(DROP_FRAMES, named)]
    return Dropped(len(named), len(sizes), sum(sizes))
