"""The database's side of an audit: random repos, and whether one has moved since."""

import secrets
from datetime import datetime
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection

LETTERS = "abcdefghijklmnopqrstuvwxyz234567"  # of a did:plc
WEB_ONE_IN = 20  # probes among the did:web accounts

NEAR = 32  # repos of which one is drawn: the first alone would be drawn as often as the gap before it is wide

# From a random place on, the next ones: some pages of the key's index, however many rows there are.
NEXT = """
SELECT did, rev FROM unified_worker.repos WHERE did > $1 AND active AND rev <> '' ORDER BY did LIMIT $2
"""
# A commit that was refused did come.
MISSING = """
SELECT true FROM unified_worker.repos WHERE did = $1 AND active AND rev < $2 AND refused_rev IS DISTINCT FROM $2
"""
UPTO = "SELECT max(last_event_time::timestamptz) FROM {schema}.firehose_cursor"


class Held(NamedTuple):
    """An active repo, and the rev up to which it is here."""

    did: str
    rev: str


def random_did() -> str:
    """A DID that nobody has, evenly among all."""
    method, letters = ("web", LETTERS[:26]) if secrets.randbelow(WEB_ONE_IN) == 0 else ("plc", LETTERS)
    return f"did:{method}:{''.join(secrets.choice(letters) for _ in range(24))}"


async def random_repo(connection: Connection) -> Held | None:
    """One of the active repos; None if there is none."""
    rows = await connection.fetch(NEXT, random_did(), NEAR)
    if len(rows) < NEAR:  # behind the last one comes the first
        rows += await connection.fetch(NEXT, "", NEAR)
    return Held(*secrets.choice(rows)) if rows else None


async def is_missing(connection: Connection, did: str, rev: str) -> bool:
    """Whether a commit of this rev has still not come."""
    return await connection.fetchval(MISSING, did, rev) is True


async def written_upto(connection: Connection, schema: str) -> datetime | None:
    """The stream's time up to which everything is written, of the relay that is ahead; None if that is not known."""
    return await connection.fetchval(UPTO.format(schema=schema))
