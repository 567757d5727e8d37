"""Compare what should be, recounted from the record tables, with what is there, one kind of rows after the other.

Each kind is looked at in one snapshot, and a commit is one transaction with all that follows from it: so a worker may run
beside. A sample takes random pages of the tables, and of these so many keys; a full look takes everything.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg

from unified_indexer.database.connection.sessions import Connection

EXAMPLES = 5  # of each kind, in full
LEAST_PAGES = 8  # that a sample takes of a table
MADE_BY = "SELECT min(tables_by) FROM unified_worker.schema_version"
SAMPLE_TIMEOUT = "60s"  # for a kind: on an application's database there may be no index for some look-ups

SETTINGS = """
SELECT set_config('work_mem', '64MB', true), set_config('lock_timeout', '0', true), set_config('statement_timeout', $1, true)
"""
# A sample's rows are few, whatever the planner takes them for: found by keys, also in tables of a thousand million.
PLANS = "SELECT set_config(s, $1, true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s"
PAGES = """
SELECT greatest(sum(pg_relation_size(p.relid)) / current_setting('block_size')::int, 1)::float8 AS pages,
  coalesce(sum(c.reltuples) FILTER (WHERE c.reltuples > 0) / sum(c.relpages) FILTER (WHERE c.reltuples > 0), 20) AS rows_a_page
FROM pg_partition_tree($1::regclass) AS p JOIN pg_class AS c ON c.oid = p.relid WHERE p.isleaf
"""
SEED = "SELECT setseed($1)"
KEYS = """
SELECT k.key FROM (
  SELECT {key} AS key FROM {table} AS t TABLESAMPLE SYSTEM ({share}) REPEATABLE ({seed}) WHERE {condition}) AS k
WHERE k.key IS NOT NULL ORDER BY random() LIMIT {most}
"""
# `optional`: that the row is absent is no difference.
COMPARE = """
WITH should AS MATERIALIZED ({should}), compared AS MATERIALIZED (
  SELECT coalesce(s.key, h.key) AS key, h.said AS has, s.said AS should, h.key IS NULL AND s.optional AS absent,
    h.said IS DISTINCT FROM s.said AND NOT (h.key IS NULL AND s.optional) AS differs
  FROM should AS s FULL JOIN ({has}) AS h ON h.key = s.key)
SELECT (SELECT count(*) FROM compared) AS looked, (SELECT count(*) FROM compared WHERE differs) AS differences,
  (SELECT count(*) FROM compared WHERE absent) AS absent,
  ARRAY(SELECT ARRAY[key, has::text, should::text] FROM compared WHERE differs ORDER BY key LIMIT {examples}) AS examples
"""
REBUILDING = "SELECT count(*) FROM unified_worker.rebuild WHERE NOT done"


class Source(NamedTuple):
    """Where a sample's keys come from: the expression `key` over rows t of the table, those of the condition."""

    table: str
    key: str
    condition: str = "true"


class Scope(NamedTuple):
    """What is checked: everything, or a sample's keys, which are the parameter $1."""

    sampled: bool

    def only(self, *columns: str) -> str:
        """The condition on rows whose key is this column; or these two, with a space between them."""
        if not self.sampled:
            return "true"
        if len(columns) == 1:
            return f"{columns[0]} = ANY ($1::text[])"
        parts = ", ".join(f"split_part(k, ' ', {place})" for place in range(1, len(columns) + 1))
        return f"({', '.join(columns)}) IN (SELECT {parts} FROM unnest($1::text[]) AS k)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of rows. `should` and `has` give queries of (key, said): what they ought to say, and what they do; `should`
    also of `optional`. `has` may look at the query `should` by that name. `sources`: none for what is always looked at whole.
    `remedy`: what to do about a difference; None for what follows from records, which a rebuild corrects."""

    name: str
    should: Callable[[Scope], str]
    has: Callable[[Scope], str]
    remedy: str | None = None
    sources: tuple[Source, ...] = ()

    @property
    def derived(self) -> bool:
        """Whether it follows from records; then a rebuild that is not finished leaves differences."""
        return self.remedy is None


class Example(NamedTuple):
    """One difference, as JSON; None means no row."""

    key: str
    has: str | None
    should: str | None


class Found(NamedTuple):
    """The result for one kind. `absent`: missing rows that need not exist. `looked` is None if it took too long."""

    kind: Kind
    looked: int | None
    differences: int
    absent: int
    examples: list[Example]
    seconds: float


class KeySample(NamedTuple):
    """How many keys of each kind, by this seed (0 to 2**31 - 1)."""

    size: int
    seed: int


async def has_application(connection: Connection) -> bool:
    """Whether an application made the record tables, and may delete from them; otherwise the worker made them."""
    return await connection.fetchval(MADE_BY) == "application"


async def is_rebuilding(connection: Connection) -> bool:
    """Whether a rebuild of derived rows is running, or was interrupted."""
    return await connection.fetchval(REBUILDING) > 0


async def compare(connection: Connection, kind: Kind, sample: KeySample | None) -> Found:
    """Compare one kind of rows: a sample, or all of it."""
    began = time.monotonic()
    scope = Scope(sampled=sample is not None and bool(kind.sources))
    query = COMPARE.format(should=kind.should(scope), has=kind.has(scope), examples=EXAMPLES)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(SETTINGS, SAMPLE_TIMEOUT if sample is not None else "0")
            await connection.execute(PLANS, "off" if scope.sampled else "on")
            arguments = [] if sample is None or not kind.sources else [await _keys(connection, kind.sources, sample)]
            row = await connection.fetchrow(query, *arguments)
    except asyncpg.QueryCanceledError:
        return Found(kind, None, 0, 0, [], time.monotonic() - began)
    assert row is not None
    examples = [Example(*example) for example in row["examples"]]
    return Found(kind, row["looked"], row["differences"], row["absent"], examples, time.monotonic() - began)


async def _keys(connection: Connection, sources: Sequence[Source], sample: KeySample) -> list[str]:
    """The keys of a sample; with a fragment's URI that of its record."""
    keys: dict[str, None] = {}
    most = -(-sample.size // len(sources))
    await connection.execute(SEED, sample.seed / 2**31)
    for source in sources:
        pages: Any = await connection.fetchrow(PAGES, source.table)
        wanted = max(most / pages["rows_a_page"], LEAST_PAGES)
        query = KEYS.format(**source._asdict(), share=min(100 * wanted / pages["pages"], 100), seed=sample.seed, most=most)
        for row in await connection.fetch(query):
            keys[row["key"]] = keys[row["key"].partition("#")[0]] = None
    return list(keys)
