"""Check whether an existing database has everything that the worker writes to. All faults at once, each with its remedy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
from asyncpg import Record

from unified_indexer.database.connection.failures import Remedy, remedy
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema.tables import BY_AUTHOR, CURSOR_COLUMNS, CURSOR_TABLE
from unified_indexer.records.base.derived_tables import COUNTS, DERIVED_TABLES, FLAGS
from unified_indexer.records.base.record_type import RecordType

COLUMNS = """
SELECT a.attname AS name, a.attgenerated <> '' AS generated,
  a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needed, a.attnotnull AS required
FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""
UNIQUE_INDEXES = """
SELECT ARRAY(SELECT a.attname::text FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid = i.indrelid AND a.attnum = k ORDER BY a.attname) AS columns
FROM pg_catalog.pg_index AS i
WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND i.indimmediate
  AND i.indpred IS NULL AND i.indexprs IS NULL
"""
MISSING_RIGHTS = "SELECT r FROM unnest($2::text[]) AS r WHERE NOT has_table_privilege($1::regclass, r)"
# A serial column fills itself from a sequence, in the name of who inserts.
CLOSED_SEQUENCES = """
SELECT s.oid::regclass::text AS sequence FROM pg_catalog.pg_depend AS owned
JOIN pg_catalog.pg_class AS s ON s.oid = owned.objid
WHERE owned.classid = 'pg_catalog.pg_class'::regclass AND owned.refobjid = $1::regclass AND owned.deptype = 'a'
  AND CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') END
"""
# A policy that lets all rows through will do. What others hide would be taken for absent: silently wrong.
ROWS_HIDDEN = """
SELECT row_security_active(c.oid) AND (
  NOT coalesce(bool_or(p.polpermissive AND p.polcmd::text IN ('*', $2) AND pg_get_expr(p.polqual, c.oid) = 'true'
    AND coalesce(pg_get_expr(p.polwithcheck, c.oid), 'true') = 'true'), false)
  OR coalesce(bool_or(NOT p.polpermissive), false))
FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_policy AS p ON p.polrelid = c.oid AND EXISTS (
  SELECT FROM unnest(p.polroles) AS r WHERE CASE r WHEN 0 THEN true ELSE pg_has_role(r, 'USAGE') END)
WHERE c.oid = $1::regclass GROUP BY c.oid
"""

# What a crash leaves of a table, how it is cut into parts, and what its updates are replicated by.
KIND = """
SELECT c.relpersistence = 'u' AS unlogged, pg_get_partkeydef(c.oid) AS parts,
  (c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)))
  AND EXISTS (SELECT FROM pg_catalog.pg_publication_tables AS t JOIN pg_catalog.pg_publication AS p ON p.pubname = t.pubname
    WHERE t.schemaname = n.nspname AND t.tablename = c.relname AND (p.pubupdate OR p.pubdelete)) AS nameless
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass
"""
# Accounts without a handle share 'handle.invalid', and a handle moves from one account to another.
UNIQUE_HANDLES = """
SELECT i.indexrelid::regclass::text AS index FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indnkeyatts = 1 AND a.attname = 'handle'
"""

WRITING = ("SELECT", "INSERT", "UPDATE", "DELETE")
FIRST_SIGHT = frozenset({"did", "handle"})  # of users: what is known of an account before its profile


@dataclass(frozen=True, slots=True)
class Needs:
    """What the worker needs of one table: its columns (with the types that it gives them) and its unique keys."""

    table: str
    columns: dict[str, str]
    given: frozenset[str]  # of them, those that every new row is given; the others must do with their default
    unique: tuple[tuple[str, ...], ...]
    optional: frozenset[str] = frozenset()  # columns that it may lack
    nulls: frozenset[str] = frozenset()  # of these, those that get null where a record does not say
    rights: tuple[str, ...] = WRITING
    author: str | None = None  # the column by which it may be divided


def needs(record_types: Sequence[RecordType]) -> list[Needs]:
    """The needs of every table that the worker writes."""
    found = [Needs(CURSOR_TABLE, CURSOR_COLUMNS, frozenset(CURSOR_COLUMNS), (("service",),))]
    for record_type in record_types:
        columns = {column.name: column.type.split()[0] for column in record_type.columns}
        keys = ((record_type.key,), *((record_type.unique,) if record_type.unique else ()))
        given = FIRST_SIGHT if record_type.row_stays else frozenset(columns)
        rights = WRITING[:-1] if record_type.row_stays else WRITING
        optional = frozenset(column.name for column in record_type.columns if column.optional)
        nulls = frozenset(column.name for column in record_type.columns if column.optional and "NOT NULL" not in column.type)
        author = record_type.author if record_type.divisible else None
        found.append(Needs(record_type.table, columns, given, keys, optional, nulls, rights, author))
    for derived in DERIVED_TABLES:
        columns = {name: kind.split()[0] for name, kind in derived.columns.items()}
        given = frozenset(derived.columns) - {*COUNTS, "bookmark_count", *FLAGS}
        rights = ("SELECT",) if derived.read_only else WRITING
        found.append(Needs(derived.table, columns, given, derived.unique, rights=rights))
    return found


async def faults(connection: Connection, schema: str, needed: Iterable[Needs], present: set[str]) -> list[str]:
    """What is missing in the tables of `schema`, one line per fault; `present` are the tables that exist."""
    found: list[str] = []
    for need in needed:
        if need.table in present:
            found += await _table_faults(connection, f"{schema}.{need.table}", need)
        else:
            columns = ", ".join(name for name in need.columns if name not in need.optional)
            found.append(
                f"table {schema}.{need.table} is missing: create it, with the columns {columns}, or start on an empty database"
            )
    return found


async def _table_faults(connection: Connection, table: str, need: Needs) -> list[str]:
    found: list[str] = []
    columns = {row["name"]: row for row in await connection.fetch(COLUMNS, table)}
    if missing := [f"{name} {need.columns[name]}" for name in need.columns if name not in {*columns, *need.optional}]:
        found.append(
            f"table {table} lacks columns: ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {column}" for column in missing)
        )
    found += await _missing_rights(connection, table, need.rights)
    nature = await connection.fetchrow(KIND, table)
    assert nature is not None
    if nature["unlogged"]:
        found.append(f"table {table} is UNLOGGED: a crash empties it, and rows are lost: ALTER TABLE {table} SET LOGGED")
    if need.rights == ("SELECT",):
        return found
    found += [
        f"column {table}.{name} is NOT NULL without a default, and the worker does not always fill it: give it a default"
        for name, row in columns.items()
        if name not in need.given and row["needed"]
    ]
    found += [
        f"column {table}.{name} is NOT NULL, but gets null from records without it: ALTER COLUMN {name} DROP NOT NULL"
        for name, row in columns.items()
        if name in need.nulls and row["required"]
    ]
    written = {name: kind for name, kind in need.columns.items() if name in columns}
    found += [
        f"column {table}.{name} is generated, but the worker writes it: drop its expression (DROP EXPRESSION)"
        for name in written
        if columns[name]["generated"]
    ]
    plain = {name: kind for name, kind in written.items() if not columns[name]["generated"]}
    found += [
        f"column {table}.{name} does not take a value of type {need.columns[name]} ({error}): change its type"
        for name, error in (await _unassignable(connection, table, plain)).items()
    ]
    found += await _key_faults(connection, table, need, nature)
    found += [
        f"the user may not use the sequence {row['sequence']} of {table}: GRANT USAGE ON SEQUENCE {row['sequence']} TO …"
        for row in await connection.fetch(CLOSED_SEQUENCES, table)
    ]
    return found


async def _key_faults(connection: Connection, table: str, need: Needs, kind: Record) -> list[str]:
    """What its unique keys lack for ON CONFLICT and for replication, and which of them refuse what the worker writes."""
    unique = {frozenset(row["columns"]) for row in await connection.fetch(UNIQUE_INDEXES, table)}
    # A URI has its author in it: where that decides the partition, a key of both allows no more rows than one of the URI.
    by_author = {need.author} if need.author and kind["parts"] == BY_AUTHOR.format(author=need.author) else set[str]()
    found = [_no_unique_index(table, key, kind["parts"]) for key in need.unique if frozenset((*key, *by_author)) not in unique]
    if kind["nameless"]:
        found.append(
            f"table {table} is in a publication and has neither a primary key nor a replica identity, so the server refuses to "
            f"update or delete its rows: ALTER TABLE {table} ADD PRIMARY KEY ({', '.join(need.unique[0])})"
        )
    if need.given == FIRST_SIGHT:
        found += [
            f"{row['index']} allows a handle once in {table}, but all accounts without one have 'handle.invalid', and handles "
            f"move between accounts: DROP INDEX {row['index']} (or the constraint), and index handle without UNIQUE"
            for row in await connection.fetch(UNIQUE_HANDLES, table)
        ]
    return found


def _no_unique_index(table: str, key: Sequence[str], parts: str | None) -> str:
    columns = ", ".join(key)
    if parts is None:
        return f"table {table} has no unique index on ({columns}): CREATE UNIQUE INDEX ON {table} ({columns})"
    return (
        f"table {table} is partitioned by {parts} and has no unique index on ({columns}), which a partitioned table can only "
        f"have if these columns decide the partition: use a plain table, or one that is partitioned by HASH ({key[0]})"
    )


async def _missing_rights(connection: Connection, table: str, needed: Sequence[str]) -> list[str]:
    found: list[str] = []
    if rights := [row["r"] for row in await connection.fetch(MISSING_RIGHTS, table, needed)]:
        found.append(f"the user has no right to {', '.join(rights)} on {table}: GRANT {', '.join(rights)} ON {table} TO …")
    if await connection.fetchval(ROWS_HIDDEN, table, "r" if len(needed) == 1 else "*"):
        found.append(
            f"row-level security may hide rows of {table} from the user, which would then be written again or never: "
            f"CREATE POLICY … ON {table} TO … USING (true), or ALTER ROLE … BYPASSRLS"
        )
    return found


async def _unassignable(connection: Connection, table: str, kinds: Mapping[str, str]) -> dict[str, asyncpg.PostgresError]:
    """Which of these columns could not store a value of its type here, and what the server says of it.

    All are tried at once; only if that fails one by one, because each statement costs a start a round trip.
    """
    if await _refusal(connection, table, kinds) is None:
        return {}
    alone = {name: await _refusal(connection, table, {name: kind}) for name, kind in kinds.items()}
    # A missing right is reported among the rights.
    return {name: e for name, e in alone.items() if e is not None and not isinstance(e, asyncpg.InsufficientPrivilegeError)}


async def _refusal(connection: Connection, table: str, kinds: Mapping[str, str]) -> asyncpg.PostgresError | None:
    """The server's error if values of these types were written to these columns; None where it would store them."""
    values = ", ".join(f"NULL::{kind}" for kind in kinds.values())
    try:
        async with connection.transaction():  # of its own, so that an error ends no more than itself
            await connection.execute(f"EXPLAIN INSERT INTO {table} ({', '.join(kinds)}) SELECT {values} WHERE false")
    except asyncpg.PostgresError as error:
        if remedy(error) is Remedy.RETRY:  # a cancel, a time-out: it says nothing of the columns
            raise
        return error
    return None
