"""What PUBLISH is still to say: read in the order of each repo, and deleted when the stream has it.

Ids are given while a repo's row is held, so those of one repo are in the order of its changes. Over all repos a smaller id may
appear after a larger one. So ids that are missing between others are asked for again, in the statement that reads on: else what
follows in the same repo could be read first. Whoever has such an id had a transaction id when it was missed, and `flush` takes
a later one. When no transaction before that one runs any more, and the id is still not there, it never comes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from unified_indexer.database.connection.sessions import Connection

BELOW = 1_000  # ids below the first one that are looked for: what is that far below was published long ago

NEXT = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest, o.*
FROM (SELECT) AS always LEFT JOIN LATERAL (
    SELECT {columns} FROM unified_worker.outbox WHERE id = ANY ($1)
    UNION ALL
    (SELECT {columns} FROM unified_worker.outbox WHERE id > $2 ORDER BY id LIMIT $3)
  ) AS o ON true ORDER BY o.id
""".format(columns="id, what, did, rev, seq, kinds, uris, cids, active, status")
UPTO = "UPDATE unified_worker.published SET upto = greatest(upto, $1), at = now()"
DELETE = "DELETE FROM unified_worker.outbox WHERE id = ANY ($1)"
STANDING = """
SELECT greatest(0, coalesce((SELECT max(id) FROM unified_worker.outbox), 0) - upto), at FROM unified_worker.published
"""
# Not pg_snapshot_xmax: that is the highest completed one plus 1, and transactions above it may run.
OWN = "SELECT pg_current_xact_id()::text::bigint"
DURABLE = "SELECT set_config('synchronous_commit', $1, true)"


class Row(NamedTuple):
    """What one transaction changed (the columns of unified_worker.outbox)."""

    id: int
    what: str
    did: str
    rev: str
    seq: int | None
    kinds: Sequence[int] | None
    uris: Sequence[str | None] | None
    cids: Sequence[str | None] | None
    active: bool | None
    status: str | None


class Place:
    """How far the outbox was read, and which ids may still come below that."""

    def __init__(self) -> None:
        self.after = 0
        self._missing: dict[int, int] = {}  # by id: it is given up when all transactions before this one have ended

    @property
    def awaited(self) -> set[int]:
        """Ids that may still come late."""
        return set(self._missing)

    async def next(self, connection: Connection, most: int) -> list[Row]:
        """At most `most` rows, and what came late: in the order of each repo. The place stays until `passed`."""
        found = await connection.fetch(NEXT, list(self._missing), self.after, most)
        oldest = found[0]["oldest"]
        rows = [Row(*tuple(one)[1:]) for one in found if one["id"] is not None]
        there = {row.id for row in rows}
        self._missing = {one: before for one, before in self._missing.items() if one in there or oldest < before}
        return rows

    def passed(self, rows: Sequence[Row], before: int) -> None:
        """These rows, which were read last, are published. `before`: what the `flush` after that reading returned."""
        first = self.after + 1 if self.after else rows[0].id - BELOW
        self._missing |= dict.fromkeys(range(max(1, first), rows[-1].id), before)
        for row in rows:
            self._missing.pop(row.id, None)
        self.after = max(self.after, rows[-1].id)


async def flush(connection: Connection, upto: int, *, durable: bool) -> int:
    """Note that all up to this id is published. On return everything that this session has read is on disk too.

    Returns its transaction's id: above that of whoever has an id of the outbox that this session missed.
    """
    async with connection.transaction():
        await connection.execute(DURABLE, "on" if durable else "off")
        await connection.execute(UPTO, upto)
        return await connection.fetchval(OWN)


async def delete(connection: Connection, ids: Sequence[int], upto: int) -> None:
    """The stream has these, and has written them to its disk. `upto`: all up to this id is published."""
    await connection.execute(DELETE, ids)
    await connection.execute(UPTO, upto)


class Standing(NamedTuple):
    """About how many are not published, and when the last ones were; None: never."""

    waiting: int
    at: datetime | None


async def standing(connection: Connection) -> Standing:
    """How far publishing is."""
    row = await connection.fetchrow(STANDING)
    assert row is not None
    return Standing(*row)
