"""The steps of a repair, each a call of one function of the database and one transaction (functions/repair.sql)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import libipld

from unified_indexer.database.connection.failures import sqlstate
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.repair import LEASE
from unified_indexer.database.repair import arrays, slices
from unified_indexer.database.repair.arrays import New
from unified_indexer.database.repair.slices import Gone, Part, Put, Refusal, Terms

# What the repo was just before.
MARK = """
SELECT unified_worker.repair_mark($1, $2), coalesce(nullif(r.rev, r.refuted_rev), ''),
  CASE WHEN r.sync = 1 AND NOT (r.filtered OR r.unlooked OR r.blind) THEN r.data_cid END
FROM (SELECT) AS one LEFT JOIN unified_worker.repos AS r ON r.did = $1
"""
# since: from when on it was followed, as far as people are to be told: not before it was wiped. Null: what it has was never
# missed. All but the word is as it was before.
BEGIN = """
SELECT x.did, unified_worker.repair_begin(x.did, x.claim, x.rev, x.data, x.proven, x.records, x.bytes) AS word,
  CASE WHEN p.floor_rev <> '' AND p.why <> 'collection' THEN greatest(b.since, r.wiped_at) END AS since,
  coalesce(r.unlooked, false) AS unlooked
FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[])
    AS x (did, claim, rev, data, proven, records, bytes)
  CROSS JOIN unified_worker.backfill AS b
  LEFT JOIN LATERAL (SELECT r.* FROM unified_worker.repos AS r WHERE r.did = x.did OFFSET 0) AS r ON true
  LEFT JOIN LATERAL (
    SELECT p.* FROM unified_worker.repairs AS p WHERE p.did = x.did AND p.claim = x.claim OFFSET 0) AS p ON true
"""
COMPARE = "SELECT * FROM unified_worker.repair_compare($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
SET = "SELECT * FROM unified_worker.repair_set($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
LOOK = "SELECT unified_worker.repair_look($1, $2)"
WRITE = "SELECT unified_worker.repair_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
REFUSE = "SELECT unified_worker.repair_refuse($1, $2, $3, $4, $5, $6, $7, NULL)"
REFUSE_BY = "SELECT unified_worker.repair_refuse_by($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
SETTLE = "SELECT unified_worker.repair_settle($1, $2, $3, $4)"
LEAVE = "SELECT unified_worker.repair_leave($1, $2, $3, $4, $5, $6)"
# What nobody works at any more begins anew: what this holder had ($1; null: none), and what nobody has said a word of, but for
# what is in hand ($2). What was only to be compared is wanted no more: nobody reads what would come of it.
ABANDONED = """
SELECT count(*) FILTER (WHERE unified_worker.repair_leave(
  x.did, x.claim, CASE WHEN NOT x.check_only THEN 'wanted' END, NULL, interval '0', false))
FROM (
  SELECT did, claim, check_only FROM unified_worker.repairs
  WHERE holder IS NOT NULL AND (holder = $1 OR lease_until < now()) AND did <> ALL ($2::text[]) ORDER BY did) AS x
"""
# Rows that somebody has locked are being worked at: their lease is looked after.
KEEP = f"""
UPDATE unified_worker.repairs AS p SET lease_until = now() + interval '{LEASE}'
FROM (
  SELECT did FROM unified_worker.repairs
  WHERE holder = $1 AND did = ANY ($2::text[]) AND lease_until < now() + interval '{LEASE}' / 2 FOR UPDATE SKIP LOCKED) AS x
WHERE p.did = x.did
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


class Fetched(NamedTuple):
    """A repo that is fetched and whole. `data`: the CID of its tree's root. `proven`: its key signed it. `size`: bytes."""

    claim: Claim
    rev: str
    data: str
    proven: bool
    records: int
    size: int


class Begun(NamedTuple):
    """`since`: from when on the account's records notify others (UTC); None: its repo was not followed before. `unlooked`: a
    repair of before ended without having looked for others' rows. `new`: nothing of the repo was ever written here."""

    word: Word
    since: datetime | None
    unlooked: bool
    new: bool


async def begin(connection: Connection, repos: Sequence[Fetched]) -> list[Begun]:
    """The revs of these repos count from now on. They are in the order of their DIDs, as in all calls for several."""
    columns = zip(*((*one.claim, *one[1:]) for one in repos), strict=True)
    rows = await connection.fetch(BEGIN, *map(list, columns))
    begun = {row["did"]: _begun(row["word"], row["since"], row["unlooked"]) for row in rows}
    return [begun[one.claim.did] for one in repos]


def _begun(word: str, since: datetime | None, unlooked: bool) -> Begun:
    new = word == "new"
    return Begun(Word.OK if new else Word(word), since, unlooked, new)


async def compare(connection: Connection, parts: Sequence[Part]) -> list[Differences]:
    """What of these slices differs from the rows that are there."""
    found = await connection.fetchrow(COMPARE, *arrays.comparison(parts))
    assert found is not None
    gone: dict[str, list[Gone]] = {}
    for kind, uri in zip(found["p_gone_kinds"], found["p_gone"], strict=True):
        gone.setdefault(uri.split("/")[2], []).append(Gone(kind, uri))
    differs = frozenset[int](found["p_places"])
    told: list[Differences] = []
    before = 1
    for part, word in zip(parts, found["p_words"], strict=True):
        terms, records = part.terms, part.piece.records
        others = [one for place, one in enumerate(records, before) if place in differs or isinstance(one, Refusal)]
        before += len(records)
        here = [one for one in gone.get(terms.did, ()) if terms.selection.takes_collection(one.uri.split("/")[3])]
        told.append(_differences(Word(word), others, here, terms))
    return told


def all_of(part: Part) -> Differences:
    """A slice of which nothing can be there."""
    return _differences(Word.OK, part.piece.records, (), part.terms)


def _differences(word: Word, records: Sequence[Put | Refusal], gone: Sequence[Gone], terms: Terms) -> Differences:
    with_rows = [slices.with_row(one, terms) if isinstance(one, Put) and one.row is None else one for one in records]
    refused = [one for one in with_rows if isinstance(one, Refusal)]
    return Differences(word, [one for one in with_rows if isinstance(one, Put)], gone, refused)


async def write_set(connection: Connection, parts: Sequence[Part], records: Sequence[New]) -> tuple[list[Word], frozenset[int]]:
    """Write records that are new, of some slices; return a word for each of these, and the places of the records that must be
    written on their own. Of those that look at others' rows, `look` must follow."""
    found = await connection.fetchrow(SET, *arrays.setting(parts, records))
    assert found is not None
    return [Word(word) for word in found["p_words"]], frozenset(place - 1 for place in found["p_left"])


async def look(connection: Connection, puts: Sequence[Put]) -> None:
    """Look for what others' rows have to do with these records. They were committed, and so was all that others had begun."""
    await connection.execute(LOOK, [put.kind for put in puts], [put.uri for put in puts])


async def write(connection: Connection, claim: Claim, rev: str, changes: Sequence[Put | Gone], terms: Terms) -> Word:
    """Write these changes, all or none."""
    return Word(await connection.fetchval(WRITE, *claim, rev, *arrays.writing(changes, terms)))


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


class Done(NamedTuple):
    """A repo of which everything is in. `filtered`: records were left out by COLLECTIONS. `host`: the id of the host that gave
    it out."""

    claim: Claim
    filtered: bool
    host: int | None


async def settle(connection: Connection, repos: Sequence[Done]) -> list[Word]:
    """They are done. They are in the order of their DIDs. Durable on return."""
    columns = zip(*((*one.claim, one.filtered, one.host) for one in repos), strict=True)
    return [Word(word) for word in await connection.fetchval(SETTLE, *map(list, columns))]


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
    return await connection.fetchval(ABANDONED, holder, [])


async def keep(connection: Connection, holder: str, dids: Sequence[str]) -> None:
    """Say a word of what this holder has in hand, so that no other takes it for abandoned."""
    await connection.execute(KEEP, holder, dids)


async def expire(connection: Connection, in_hand: Sequence[str]) -> int:
    """Start again what nobody has said a word of for long, but for what is in hand here; return how many."""
    return await connection.fetchval(ABANDONED, None, in_hand)
