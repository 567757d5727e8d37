"""What is kept of identities: the tables `unified_worker.identities` and `hosts`, read and written many rows at a time."""

from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection

MOST_ROWS = 250  # of a statement that writes


class State(IntEnum):
    """`identities.state`."""

    KNOWN = 0
    ASK_AGAIN = 1  # an #identity came since
    NOT_FOUND = 2  # no such DID, or nothing at it that counts as a document
    TOMBSTONED = 3
    NO_KEY = 4


class Row(NamedTuple):
    """One identity. `checked`: seconds since 1970. `key`: as of `protocol.keys.key_bytes`."""

    did: str
    key: bytes | None
    pds: str | None
    checked: int
    state: State


READ = """
SELECT i.did, i.key, h.url, i.checked, i.state FROM unified_worker.identities AS i
LEFT JOIN unified_worker.hosts AS h ON h.id = i.pds WHERE i.did = ANY($1)
"""
# Only new ones, since each attempt takes a number.
ADD_HOSTS = """
INSERT INTO unified_worker.hosts (url)
SELECT DISTINCT n.url FROM unnest($1::text[]) AS n(url)
WHERE n.url IS NOT NULL AND NOT EXISTS (SELECT FROM unified_worker.hosts AS h WHERE h.url = n.url COLLATE "C")
ORDER BY 1 ON CONFLICT (url) DO NOTHING
"""
# In order, so that two writers do not wait for each other in a circle. A DID that never was is not worth a row: anyone can
# make such DIDs up.
WRITE = """
INSERT INTO unified_worker.identities AS i (did, key, pds, checked, state)
SELECT n.did, n.key, h.id, n.checked, n.state
FROM unnest($1::text[], $2::bytea[], $3::text[], $4::int[], $5::smallint[]) AS n(did, key, url, checked, state)
LEFT JOIN unified_worker.hosts AS h ON h.url = n.url COLLATE "C"
WHERE n.state <> 2 OR EXISTS (SELECT FROM unified_worker.identities AS o WHERE o.did = n.did COLLATE "C")
ORDER BY n.did COLLATE "C"
ON CONFLICT (did) DO UPDATE SET key = excluded.key, pds = excluded.pds, checked = excluded.checked, state = excluded.state
WHERE i.checked <= excluded.checked
"""
MARK = """
UPDATE unified_worker.identities SET state = 1
WHERE did IN (SELECT did FROM unified_worker.identities WHERE did = ANY($1) AND state = 0 ORDER BY did FOR UPDATE)
"""

# `checked` of a row is not older than its operation: what the log says later comes later here, too.
FOLLOW = """
INSERT INTO unified_worker.exports AS e (source, position, through, complete) VALUES ($1, $2, $3, $4)
ON CONFLICT (source) DO UPDATE SET position = excluded.position, through = excluded.through,
  complete = e.complete OR excluded.complete
"""
FOLLOWED = "SELECT position, through, complete FROM unified_worker.exports WHERE source = $1"


class Position(NamedTuple):
    """How far the log of a directory, or a file, was read. `through`: seconds since 1970."""

    position: int
    through: int
    complete: bool


async def read(connection: Connection, dids: Collection[str]) -> list[Row]:
    """The rows of these DIDs that there are."""
    found = await connection.fetch(READ, list(dids))
    return [Row(row[0], row[1], row[2], row[3], State(row[4])) for row in found]


async def write(connection: Connection, rows: Sequence[Row]) -> None:
    """Write these rows, of different DIDs; one that is older than what is stored changes nothing."""
    for start in range(0, len(rows), MOST_ROWS):
        dids, keys, urls, checked, states = zip(*rows[start : start + MOST_ROWS], strict=True)
        await connection.execute(ADD_HOSTS, urls)
        await connection.execute(WRITE, dids, keys, urls, checked, states)


async def mark(connection: Connection, dids: Sequence[str]) -> None:
    """Have these DIDs asked for again at their next use."""
    for start in range(0, len(dids), MOST_ROWS):
        await connection.execute(MARK, dids[start : start + MOST_ROWS])


async def read_position(connection: Connection, source: str) -> Position:
    """How far a source was read; nothing of it if it was never read."""
    row = await connection.fetchrow(FOLLOWED, source)
    return Position(0, 0, False) if row is None else Position(*row)


async def write_export(connection: Connection, source: str, rows: Sequence[Row], position: Position) -> None:
    """Write rows of a source together with how far it was read."""
    async with connection.transaction():
        await write(connection, rows)
        await connection.execute(FOLLOW, source, *position)
