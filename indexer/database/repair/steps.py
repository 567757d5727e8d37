"""The steps of a repair, each a call of one function of the database and one transaction (functions/repair.sql)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import libipld

from indexer.database.connection.failures import sqlstate
from indexer.database.connection.sessions import Connection
from indexer.database.repair import slices
from indexer.database.repair.slices import Gone, Put, Refusal, Slice, Terms

# What the repo was just before.
MARK = """
SELECT unified_worker.repair_mark($1, $2), coalesce(nullif(r.rev, r.refuted_rev), ''),
  CASE WHEN r.sync = 1 AND NOT r.filtered THEN r.data_cid END
FROM (SELECT) AS one LEFT JOIN unified_worker.repos AS r ON r.did = $1
"""
BEGIN = "SELECT unified_worker.repair_begin($1, $2, $3, $4, $5, $6, $7)"
COMPARE = "SELECT * FROM unified_worker.repair_compare($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
WRITE = "SELECT unified_worker.repair_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
REFUSE = "SELECT unified_worker.repair_refuse($1, $2, $3, $4, $5, $6, $7, NULL)"
REFUSE_BY = "SELECT unified_worker.repair_refuse_by($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
SETTLE = "SELECT unified_worker.repair_settle($1, $2, $3, $4)"
LEAVE = "SELECT unified_worker.repair_leave($1, $2, $3, $4, $5, $6)"
RESET = "SELECT unified_worker.repair_reset($1)"
# When it was followed from, as far as people are to be told: not before it was wiped. Null: what it has was never missed.
FOLLOWED = """
SELECT CASE WHEN p.floor_rev <> '' AND p.why <> 'collection' THEN greatest(b.since, r.wiped_at) END
FROM unified_worker.repairs AS p JOIN unified_worker.repos AS r USING (did) CROSS JOIN unified_worker.backfill AS b
WHERE p.did = $1 AND p.claim = $2
"""


class Word(StrEnum):
    """What the database says of a step. Only after OK the next step may follow."""

    OK = "ok"
    LOST = "lost"  # another worker has it now, or it begins anew
    WIPING = "wiping"
    INACTIVE = "inactive"
    BEHIND = "behind"  # what was fetched is older than what is there
    SAME = "same"  # nothing can be missing
    AGAIN = "again"  # it must be fetched again


class Claim(NamedTuple):
    """Who repairs which repo: `number` counts those who took it."""

    did: str
    number: int


class Marked(NamedTuple):
    """A repo before it is fetched. `rev`: what is older is of no use; '' if anything is. `data`: the CID of its tree's root, if
    nothing is missing: then a commit with the same brings nothing."""

    word: Word
    rev: str
    data: str | None


class Differences(NamedTuple):
    """What of a slice is to be written: records that are missing or other, with their rows; rows that are to go. `refused`:
    records that can't be written."""

    word: Word
    put: Sequence[Put]
    gone: Sequence[Gone]
    refused: Sequence[Refusal]


async def mark(connection: Connection, claim: Claim) -> Marked:
    """Before the request goes out: what commits touch from now on is noted."""
    row = await connection.fetchrow(MARK, *claim)
    assert row is not None
    return Marked(Word(row[0]), row[1], row[2])


async def begin(connection: Connection, claim: Claim, rev: str, data: str, *, proven: bool, records: int, size: int) -> Word:
    """The repo is fetched and whole: its rev counts from now on. `data`: the CID of its tree's root. `proven`: the account's
    key signed it. `size`: bytes."""
    return Word(await connection.fetchval(BEGIN, *claim, rev, data, proven, records, size))


async def compare(connection: Connection, claim: Claim, rev: str | None, piece: Slice, terms: Terms) -> Differences:
    """What of a slice differs from the rows that are there. `rev`: letters up to it are closed; None: none are."""
    found = await connection.fetchrow(COMPARE, *claim, rev, *slices.comparison(piece, terms))
    assert found is not None
    places: list[int] = found["p_places"]
    refused = [one for one in piece.records if isinstance(one, Refusal)]
    put: list[Put] = []
    for place in places:
        one = piece.records[place - 1]
        if isinstance(one, Put) and one.row is None:
            one = slices.with_row(one, terms)
        if isinstance(one, Put):
            put.append(one)
        else:
            refused.append(one)
    gone = [
        Gone(kind, uri)
        for kind, uri in zip(found["p_gone_kinds"], found["p_gone"], strict=True)
        if terms.selection.takes_collection(uri.split("/")[3])
    ]
    return Differences(Word(found["p_word"]), put, gone, refused)


async def write(connection: Connection, claim: Claim, rev: str, changes: Sequence[Put | Gone], terms: Terms) -> Word:
    """Write these changes, all or none."""
    return Word(await connection.fetchval(WRITE, *claim, rev, *slices.writing(changes, terms)))


async def refuse(connection: Connection, claim: Claim, rev: str, refusal: Refusal) -> Word:
    """Keep a letter of a record that can't be written, unless there is one."""
    detail = refusal.detail.replace("\0", "\ufffd")
    return Word(await connection.fetchval(REFUSE, *claim, rev, refusal.path, refusal.cid, refusal.reason, detail))


async def refuse_by(connection: Connection, claim: Claim, rev: str, change: Put | Gone, error: Exception) -> Word:
    """Keep a letter of a change that the database refused with this error."""
    path = change.uri.split("/", 3)[3]
    cid = libipld.encode_cid(change.cid) if isinstance(change, Put) else None
    place = [getattr(error, name, None) for name in ("schema_name", "table_name", "constraint_name", "detail")]
    return Word(await connection.fetchval(REFUSE_BY, *claim, rev, path, cid, sqlstate(error), str(error), *place))


async def settle(connection: Connection, claim: Claim, *, filtered: bool, host: int | None) -> Word:
    """Everything is in. `filtered`: records were left out by COLLECTIONS. `host`: the id of the host that gave it out."""
    return Word(await connection.fetchval(SETTLE, *claim, filtered, host))


async def followed_since(connection: Connection, claim: Claim) -> datetime | None:
    """From when on the account's records notify others (UTC); None: its repo was not followed before."""
    return await connection.fetchval(FOLLOWED, *claim)


async def leave(
    connection: Connection,
    claim: Claim,
    state: str | None,
    reason: str | None,
    after: timedelta = timedelta(),
    *,
    failed: bool = False,
) -> bool:
    """End it without being done. `state`: what becomes of it, None if it is wanted no more; `after`: until the next attempt.
    False: another has it."""
    return await connection.fetchval(LEAVE, *claim, state, reason, after, failed)


async def reset(connection: Connection, holder: str) -> int:
    """Start again what this holder had under way, and what nobody has said a word of for long; return how many."""
    return await connection.fetchval(RESET, holder)
