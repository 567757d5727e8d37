"""What a repair would write: a repo that was fetched whole, compared with the rows of its account. Nothing is changed."""

from collections.abc import Sequence
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.repair import steps
from unified_indexer.database.repair.slices import Part, Terms, slices
from unified_indexer.database.repair.steps import Claim, Word
from unified_indexer.database.repair.writing import WholeRepo
from unified_indexer.protocol.syntax import tid_time
from unified_indexer.selection import Selection

MOST_NAMED = 10  # differences by name

STANDS = """
SELECT p.floor_rev, ARRAY(SELECT t.path FROM unified_worker.touched AS t WHERE t.did = p.did AND t.rev > $2) AS newer
FROM unified_worker.repairs AS p WHERE p.did = $1
"""


class Checked(NamedTuple):
    """`word`: OK if all was compared. `put`: records that are missing or other; `gone`: rows whose records the repo does not
    have; `named`: some of both, by path."""

    word: Word
    put: int = 0
    gone: int = 0
    same: int = 0
    refused: int = 0
    named: Sequence[str] = ()


async def check(connection: Connection, claim: Claim, repo: WholeRepo, selection: Selection) -> Checked:
    """Compare a repo that was fetched after `steps.mark`. What newer commits touched since then is left out."""
    stands = await connection.fetchrow(STANDS, claim.did, repo.rev)
    if stands is None or repo.rev < stands["floor_rev"]:
        return Checked(Word.LOST if stands is None else Word.BEHIND)
    terms = Terms(claim.did, selection, tid_time(repo.rev), None)
    missing: list[str] = []
    gone: list[str] = []
    refused = records = 0
    for piece in slices(repo.slices(), terms):
        (found,) = await steps.compare(connection, [Part(claim.number, None, piece, terms)])
        if found.word is not Word.OK:
            return Checked(found.word)
        missing += (put.path for put in found.put)
        gone += (row.uri.split("/", 3)[3] for row in found.gone)
        refused += len(found.refused)
        records += len(piece.records)
    stands = await connection.fetchrow(STANDS, claim.did, repo.rev)
    newer = set[str](stands["newer"]) if stands is not None else set[str]()
    put, rest = [path for path in missing if path not in newer], [path for path in gone if path not in newer]
    named = [*(f"+ {path}" for path in put[:MOST_NAMED]), *(f"- {path}" for path in rest[:MOST_NAMED])]
    return Checked(Word.OK, len(put), len(rest), records - refused - len(missing), refused, named)
