"""Apply a kept frame again with the current code: past the rev guard, but holding the repo's row, and only while its letters
are open, because a later operation on the same path closes them.

Letters of one frame that were kept for one reason are taken together, in one transaction: a commit that was refused as a whole
comes in as a whole. A letter that names no path of its frame stands for all of it. Which paths were written since is then not
told by letters, so the commit is applied only if its repo has seen none that is newer; from then on letters of its own name its
operations.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import NamedTuple

import asyncpg

from unified_indexer.database.connection.failures import Remedy, remedy, sqlstate
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.rebuild_steps import REBUILDING
from unified_indexer.database.write.apply import apply_one
from unified_indexer.database.write.batch import MAX_PATH_BYTES, build
from unified_indexer.database.write.parameters import Mode
from unified_indexer.protocol.commits import Clock
from unified_indexer.protocol.events import Account, Commit, Event, Identity, Sync, Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.selection import Selection

# When it was first seen stands in for the stream's time and for our clock.
FRAME = """
SELECT frame, (SELECT min(first_seen) FROM unified_worker.dead_letters WHERE frame_sha256 = $1) AS seen
FROM unified_worker.dead_frames WHERE sha256 = $1
"""
# In the order of `apply_commit`, so that the two don't wait for each other.
SHARE = f"SELECT pg_advisory_xact_lock_shared({REBUILDING})"
REPO = "SELECT rev, active AND NOT wiping AS takes FROM unified_worker.repos WHERE did = $1 FOR UPDATE"
SEEN = """
INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES ($1, '', true)
ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held
"""
OPEN = """
SELECT id, path FROM unified_worker.dead_letters WHERE did = $1 AND rev = $2 AND reason = $3 AND frame_sha256 = $4 ORDER BY id
"""
STAYED = "SELECT id, reason FROM unified_worker.dead_letters WHERE id = ANY ($1)"
# What was kept as a whole is kept by its paths.
SPREAD = """
INSERT INTO unified_worker.dead_letters (did, rev, path, seq, reason, detail, frame_sha256, first_seen, attempts)
SELECT $2, $3, named, l.seq, l.reason, l.detail, l.frame_sha256, l.first_seen, l.attempts
FROM unified_worker.dead_letters AS l, unnest($4::text[]) AS named WHERE l.id = $1
ON CONFLICT (did, path, rev) DO NOTHING
"""
CLOSE = "SELECT unified_worker.close_letters($1, $2)"
FILTERED = "UPDATE unified_worker.repos SET filtered = true WHERE did = $1 AND NOT filtered"
# Of no relay: so its time decides whether it is newer than what that account's last message said.
MESSAGE = "SELECT unified_worker.apply_message('', $1, $2, $3, $4, true)"
STILL = """
UPDATE unified_worker.dead_letters SET attempts = attempts + 1, last_seen = now(), reason = $2, detail = left($3, 2000),
  awaited = NULL
WHERE id = ANY ($1)
"""
# Before the next attempt: longer each time, an hour at last.
WAIT = "now() + least(2 ^ least(l.attempts, 12), 3600) * interval '1 second'"
# The account's own row in users may be what is missing: the application deleted it. What waits for another row than before got
# on by that: it is tried as soon as that row is there.
COUNT_ATTEMPT = f"""
WITH refusal AS MATERIALIZED (SELECT * FROM unified_worker.refusal($5, $7, $8, $9, $10)),
repo AS (UPDATE unified_worker.repos SET has_user = false
  WHERE did = $1 AND has_user AND (SELECT reason FROM refusal) = 'foreign_key')
UPDATE unified_worker.dead_letters AS l SET attempts = l.attempts + 1, last_seen = now(), reason = r.reason,
  detail = left($6, 2000), awaited = r.awaited,
  retry_at = CASE WHEN r.awaited IS NULL OR r.awaited = l.awaited THEN {WAIT} END
FROM refusal AS r
WHERE l.did = $1 AND l.rev = $2 AND l.reason = $3 AND l.frame_sha256 = $4 RETURNING l.id, l.reason
"""
# What failed in a way that says nothing of the letter.
POSTPONE = f"""
UPDATE unified_worker.dead_letters AS l SET attempts = l.attempts + 1, last_seen = now(), retry_at = {WAIT}
WHERE l.did = $1 AND l.rev = $2 AND l.reason = $3 AND l.frame_sha256 = $4
"""


Judging = Callable[[Commit | Sync], Commit | Sync | Unusable]


class Kept(NamedTuple):
    """The letters of one frame that were kept for one reason; those of an operation, of a commit, or of a message."""

    did: str
    rev: str
    reason: str
    sha256: bytes


class Fate(Enum):
    """What became of a letter: it is gone, it has one attempt more, or nothing was tried."""

    APPLIED = "applied"
    REFUSED = "still refused"
    SKIPPED = "skipped"


class Verdict(NamedTuple):
    """`why`: the reason that a letter has now, or why it was skipped; empty for one that is gone."""

    fate: Fate
    why: str = ""


APPLIED = Verdict(Fate.APPLIED)
OPTED_OUT = Verdict(Fate.SKIPPED, "the account forbids it to be indexed")
LEFT_OUT = Verdict(Fate.SKIPPED, "COLLECTIONS leaves the collection out")
INACTIVE = Verdict(Fate.SKIPPED, "the account is not active, or is being wiped")
SUPERSEDED = Verdict(Fate.SKIPPED, "newer commits of the repo were applied: what this one wrote may be outdated")
NOT_NAMED = Verdict(Fate.SKIPPED, "its frame names no such operation")
IGNORED = Verdict(Fate.SKIPPED, "such a message is ignored now")


async def retry(connection: Connection, kept: Kept, selection: Selection, judged: Judging | None = None) -> dict[int, Verdict]:
    """Apply what the letters' frame says; return a verdict per letter. A letter without one was closed meanwhile.

    `judged` proves a commit, or refuses it; without it the frame was proven before it was kept, or nobody asks for proofs.
    Errors of the database that may pass are raised, and nothing is changed.
    """
    row = await connection.fetchrow(FRAME, kept.sha256)
    if row is None:
        return {}
    event = decode(row["frame"], lambda: Clock(row["seen"], row["seen"]), claims=judged is not None)
    if judged is not None and isinstance(event, Commit | Sync):
        event = judged(event)
    try:
        async with connection.transaction():
            await connection.execute(SHARE)
            return await _apply(connection, kept, event, selection)
    except asyncpg.PostgresError as error:
        if remedy(error) is not Remedy.DATA:
            raise
        place = [getattr(error, name, None) for name in ("schema_name", "table_name", "constraint_name", "detail")]
        rows = await connection.fetch(COUNT_ATTEMPT, *kept, sqlstate(error), str(error), *place)
        return {row["id"]: Verdict(Fate.REFUSED, row["reason"]) for row in rows}


async def postpone(connection: Connection, kept: Kept) -> None:
    """Count an attempt of these letters, and let them wait for the next one."""
    await connection.execute(POSTPONE, *kept)


async def _apply(connection: Connection, kept: Kept, event: Event, selection: Selection) -> dict[int, Verdict]:
    match event:
        case Commit() if selection.takes_account(event.repo) and not event.too_big:
            return await _commit(connection, kept, event, selection)
        case Sync() | Account() | Identity():
            return await _message(connection, kept, event)
        case _:
            letters = [row["id"] for row in await connection.fetch(OPEN, *kept)]
    match event:
        case Commit(too_big=True):
            return await _still(connection, letters, "too_big", "the commit came without its blocks")
        case Unusable() if selection.takes_account(kept.did):
            return await _still(connection, letters, event.reason, event.detail)
        case Commit() | Unusable():
            return dict.fromkeys(letters, OPTED_OUT)
        case _:
            return dict.fromkeys(letters, IGNORED)


async def _still(connection: Connection, letters: list[int], reason: str, detail: str) -> dict[int, Verdict]:
    await connection.execute(STILL, letters, reason, detail)
    return dict.fromkeys(letters, Verdict(Fate.REFUSED, reason))


async def _message(connection: Connection, kept: Kept, event: Sync | Account | Identity) -> dict[int, Verdict]:
    """What is said of an account. Where something newer stands, there is nothing left to do."""
    batch = build([event])
    if isinstance(event, Sync):
        await apply_one(connection, Mode.LIVE, batch)
    else:
        await connection.execute(MESSAGE, event.did, event.seq, event.time, batch.rest[0])
    letters = await connection.fetch(OPEN, *kept)
    for letter in letters:
        await connection.execute(CLOSE, kept.did, letter["path"])
    return {letter["id"]: APPLIED for letter in letters}


async def _commit(connection: Connection, kept: Kept, event: Commit, selection: Selection) -> dict[int, Verdict]:
    """The open operations of a commit; those that are still unusable count an attempt."""
    repo = await connection.fetchrow(REPO, event.repo)
    if repo is None:
        await connection.execute(SEEN, event.repo)
        repo = await connection.fetchrow(REPO, event.repo)
    assert repo is not None
    letters = {row["id"]: row["path"] for row in await connection.fetch(OPEN, *kept)}
    if not repo["takes"]:
        return dict.fromkeys(letters, INACTIVE)
    named = _paths(event)
    verdicts, chosen, whole = _sorted(letters, named, kept, event, repo["rev"], selection)
    if whole is not None:
        chosen = {path for path in named if _taken(path, selection)}
        await connection.execute(SEEN, event.repo)
        await connection.execute(SPREAD, whole, event.repo, event.rev, list(chosen))
        await connection.execute(CLOSE, kept.did, letters[whole])
    if chosen or whole is not None:
        if event.rev > repo["rev"]:  # refused as a whole: what is wrong with it where the repo stands was not asked yet
            await apply_one(connection, Mode.LIVE, build([event._replace(ops=(), refused=())], with_frames=True))
        refused = await _write(connection, event, chosen if whole is None else set(named), selection)
        if whole is not None:
            verdicts[whole] = Verdict(Fate.REFUSED, refused[0]) if refused else APPLIED
    stayed = {row["id"]: row["reason"] for row in await connection.fetch(STAYED, list(letters))}
    for letter in letters.keys() - verdicts.keys():
        verdicts[letter] = Verdict(Fate.REFUSED, stayed[letter]) if letter in stayed else APPLIED
    return verdicts


def _sorted(
    letters: Mapping[int, str], named: Sequence[str], kept: Kept, event: Commit, rev: str, selection: Selection
) -> tuple[dict[int, Verdict], set[str], int | None]:
    """The letters of which nothing is to be tried, the paths of which something is, and the letter of the whole commit."""
    verdicts: dict[int, Verdict] = {}
    chosen: set[str] = set()
    whole: int | None = None
    newer = event.rev > rev
    for letter, path in letters.items():
        if path == kept.sha256.hex() and (newer or path not in named):
            whole = letter if newer else whole
            if not newer:
                verdicts[letter] = SUPERSEDED
        elif path not in named:
            verdicts[letter] = NOT_NAMED
        elif not _taken(path, selection):
            verdicts[letter] = LEFT_OUT
        else:
            chosen.add(path)
    return verdicts, chosen, whole


async def _write(connection: Connection, event: Commit, paths: set[str], selection: Selection) -> list[str]:
    """Applies the operations on these paths; returns the reasons of those that are still refused."""
    ops = tuple(op for op in event.ops if f"{op.collection}/{op.rkey}" in paths)
    refused = tuple(op for op in event.refused if _name(op.path, event.frame) in paths)
    batch = build([event._replace(ops=ops, refused=refused)], selection=selection, with_frames=True)
    await apply_one(connection, Mode.RETRY, batch)
    if batch.filtered[0]:
        await connection.execute(FILTERED, event.repo)
    return [reason for _, reason in batch.refused]


def _paths(event: Commit) -> list[str]:
    """By what paths letters name a commit's operations."""
    usable = [f"{op.collection}/{op.rkey}" for op in event.ops]
    return [*usable, *(_name(op.path, event.frame) for op in event.refused)]


def _name(path: str, frame: bytes) -> str:
    """As `Batch.refuse` names an operation."""
    if len(path.encode()) > MAX_PATH_BYTES:
        return sha256(path.encode()).hexdigest()
    return path or sha256(frame).hexdigest()


def _taken(path: str, selection: Selection) -> bool:
    return "/" not in path or selection.takes_collection(path.partition("/")[0])
