"""The sizes of tables, without reading them: rows by estimate, bytes by the server's count; one sample per day is kept."""

import asyncio
import logging
from typing import NamedTuple

import asyncpg

from unified_indexer.database.connection.failures import DATABASE_ERRORS, is_everybodys
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema import tables
from unified_indexer.log.handler import warn_limited
from unified_indexer.records import RECORD_TYPES

log = logging.getLogger(__name__)

INTERVAL = 3600.0  # seconds between two looks at whether today's sample is taken
KEPT_DAYS = 90
COUNTED_BLOCKS = 1_000  # a table that has no more (8 MB) is counted

SCHEMA = "SELECT min(record_schema) FROM unified_worker.schema_version"
OWN = "SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'unified_worker'::regnamespace AND relkind = 'r' ORDER BY 1"
# A partitioned table's parts hold its rows.
PARTS = """
SELECT t.name, l.oid::regclass::text AS part, c.reltuples::float8 AS tuples, c.relpages AS pages,
  coalesce(pg_relation_size(l.oid) / current_setting('block_size')::int, 0) AS blocks,
  coalesce(pg_total_relation_size(l.oid), 0) AS bytes
FROM unnest($1::text[], $2::text[]) AS t (name, place)
CROSS JOIN LATERAL (
  SELECT to_regclass(t.place)::oid UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(t.place)) WHERE isleaf
) AS l (oid)
JOIN pg_catalog.pg_class AS c ON c.oid = l.oid AND c.relkind = 'r'
"""
COUNT = "SELECT count(*) FROM {part} WHERE ctid < '({blocks},0)'::tid"
TAKEN = "SELECT EXISTS (SELECT FROM unified_worker.sizes WHERE day = (now() AT TIME ZONE 'UTC')::date)"
TAKE = """
WITH old AS (DELETE FROM unified_worker.sizes WHERE day < (now() AT TIME ZONE 'UTC')::date - $4::int)
INSERT INTO unified_worker.sizes (name, day, taken_at, rows, bytes)
SELECT name, (now() AT TIME ZONE 'UTC')::date, now(), rows, bytes
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS t (name, rows, bytes)
ON CONFLICT DO NOTHING
"""


class Size(NamedTuple):
    """A table: its rows, counted (`exact`) or estimated, and its bytes, indexes included."""

    name: str
    rows: int
    exact: bool
    bytes: int


async def measure(connection: Connection) -> list[Size]:
    """Measure the application's tables that the worker uses, by name, then the worker's own, as `unified_worker.…`."""
    schema: str = await connection.fetchval(SCHEMA)
    places = {name: f"{schema}.{name}" for name in tables.names(RECORD_TYPES)}
    places |= {place: place for place in [f"unified_worker.{row['relname']}" for row in await connection.fetch(OWN)]}
    found: dict[str, Size] = {}
    for part in await connection.fetch(PARTS, list(places), list(places.values())):
        name, blocks = part["name"], part["blocks"]
        exact = blocks <= COUNTED_BLOCKS
        if not exact and part["tuples"] > 0 and part["pages"] > 0:
            rows = int(part["tuples"] / part["pages"] * blocks)  # as the planner does
        else:  # small, or never analyzed: the first blocks speak for the others
            counted = await _count(connection, part["part"])
            rows = max(int(part["tuples"]), 0) if counted is None else counted
            if counted is None:
                exact = False
            elif not exact:
                rows = int(counted * (blocks / COUNTED_BLOCKS))
        before = found.get(name, Size(name, 0, True, 0))
        found[name] = Size(name, before.rows + rows, before.exact and exact, before.bytes + part["bytes"])
    return [found[name] for name in places if name in found]


async def _count(connection: Connection, part: str) -> int | None:
    """The rows of a table's first blocks; None where it refuses to be read: that says nothing of the others."""
    try:
        async with connection.transaction():  # of its own, so that an error ends no more than itself
            return await connection.fetchval(COUNT.format(part=part, blocks=COUNTED_BLOCKS))
    except asyncpg.PostgresError as error:
        if is_everybodys(error) or isinstance(error, asyncpg.QueryCanceledError):
            raise
        warn_limited(log, "size", "Cannot count the rows of %s (%s): using the server's estimate", part, error)
        return None


class Sizes:
    """Takes one sample per day, for as long as the worker runs."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def keep_sampling(self) -> None:
        """Look every hour whether today's sample is there, until cancelled."""
        while True:
            try:
                async with self._pool.connection() as connection:
                    await self.sample(connection)
            except DATABASE_ERRORS as error:
                warn_limited(log, "sizes", "Could not store today's sample of the table sizes (%s)", error)
            await asyncio.sleep(INTERVAL)

    async def sample(self, connection: Connection) -> None:
        """Take today's sample, unless it is there."""
        if await connection.fetchval(TAKEN):
            return
        sizes = await measure(connection)
        columns = ([size.name for size in sizes], [size.rows for size in sizes], [size.bytes for size in sizes])
        await connection.execute(TAKE, *columns, KEPT_DAYS)
