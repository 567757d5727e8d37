"""Prepare a database at start: the worker's own bookkeeping, the functions, and the application's tables if there are none."""

import hashlib
import logging
import re
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions import install, installed, optional_columns
from unified_indexer.database.schema import compatibility, finite_times, tables, views
from unified_indexer.database.schema.advice import advice, warnings
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.errors import OperatorError
from unified_indexer.records.base.record_type import RecordType

log = logging.getLogger(__name__)

# Two workers (of two relays) may start at once on one database; the steps below must not interleave.
MIGRATION_LOCK = int.from_bytes(hashlib.sha256(b"unified_worker:migrations").digest()[:8], "big") >> 1

# Not IF NOT EXISTS, which asks for the right to create even where there is nothing to do.
OWN_SCHEMA = "CREATE SCHEMA unified_worker"
OWN_VERSION = """
CREATE TABLE IF NOT EXISTS unified_worker.schema_version (
  version int PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT now(),
  tables_by text NOT NULL CHECK (tables_by IN ('worker', 'application')),
  record_schema text NOT NULL
);
COMMENT ON COLUMN unified_worker.schema_version.tables_by IS
  'Who created the record tables: the worker, or an application before it.';
"""
VERSION = """
SELECT max(version) AS version, min(tables_by) AS tables_by, min(record_schema) AS record_schema
FROM unified_worker.schema_version
"""
OWN_VERSION_EXISTS = "SELECT to_regclass('unified_worker.schema_version') IS NOT NULL"
OWN_SCHEMA_EXISTS = "SELECT to_regnamespace('unified_worker') IS NOT NULL"
MAY_CREATE = "SELECT has_database_privilege(current_database(), 'CREATE')"
MAY_CREATE_TABLES = "SELECT has_schema_privilege($1::regnamespace, 'CREATE')"
PRESENT = """
SELECT relname FROM pg_catalog.pg_class
WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') AND relname = ANY($2)
"""
PARTS = """
SELECT DISTINCT (SELECT count(*) FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid) AS number
FROM pg_catalog.pg_class AS c WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY ($2)
"""
CURRENT_SCHEMA = "SELECT quote_ident(current_schema())"
SERVER = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"

NOT_OWNER = "the database user may not prepare the schema ({}): let the owner of unified_worker start the worker"

DOLLAR_QUOTE = re.compile(r"\$\w+\$")  # the functions' texts are between such
OLDEST_SERVER = 15_00_00
DERIVED_SINCE = 4  # the schema version from which on derived rows mean what they do now: older ones are rebuilt


async def prepare(connection: Connection, record_types: Sequence[RecordType], partitions: int = 0) -> str:
    """Make the database ready for `record_types`; return the schema of their tables. `partitions`: how many the tables that
    can be divided must have (0: as they are, and whole where they are new).

    In one transaction: a worker killed in it leaves nothing half made. OperatorError names every fault that it found.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        schema, faults = await preconditions(connection)
        if faults:
            raise OperatorError(faults)
        try:
            before = await _own_schema(connection, schema, record_types, partitions)
        except asyncpg.InsufficientPrivilegeError as error:
            raise OperatorError([NOT_OWNER.format(error)]) from None
        lacking = await optional_columns.settle(connection, schema, record_types)
        await installed.install(connection, install.functions(schema, record_types, lacking))
        mended = 0 < before.version < finite_times.SINCE and await _mend_times(connection, schema, record_types)
        older = 0 < before.version < DERIVED_SINCE and before.tables_by == "worker"
        if mended or (older and await _any_rows(connection, schema, record_types)):
            await connection.execute("SELECT unified_worker.begin_rebuild()")  # the worker sees to it, beside the stream
        await views.install(connection, schema, record_types)
        found = await warnings(connection)
        if before.tables_by == "application":
            found += await advice(connection, schema, record_types)
    if 0 < before.version < len(MIGRATIONS):
        log.info("The database was at schema version %s, and is at %s now", before.version, len(MIGRATIONS))
    for warning in found:
        log.warning("%s", warning)
    return schema


async def prepared(connection: Connection) -> str:
    """The schema of the record tables, in a database that a worker of this version has prepared; changes nothing."""
    row = await connection.fetchrow(VERSION) if await connection.fetchval(OWN_VERSION_EXISTS) else None
    if row is None or row["version"] is None:
        raise OperatorError(["no worker has prepared this database yet: start the worker on it first, or correct DATABASE_URL"])
    version: int = row["version"]
    if version != len(MIGRATIONS):
        remedy = "start the worker once, which upgrades it" if version < len(MIGRATIONS) else "use a newer one"
        raise OperatorError([f"the database is at schema version {version}, this one knows {len(MIGRATIONS)}: {remedy}"])
    return row["record_schema"]


async def preconditions(connection: Connection) -> tuple[str, list[str]]:
    """The schema that the search_path leads to (empty: none), and what no start can do without. It only reads."""
    version, encoding = await connection.fetchrow(SERVER) or (0, "")
    schema: str | None = await connection.fetchval(CURRENT_SCHEMA)
    faults: list[str] = []
    if version < OLDEST_SERVER:
        faults.append(f"the server is PostgreSQL {version // 10000}: 15 or newer is needed")
    if encoding != "UTF8":
        faults.append(f"the database's encoding is {encoding}: create one with ENCODING 'UTF8'")
    if schema is None:
        faults.append(
            "the user's search_path names no schema that exists and that the user may use: CREATE SCHEMA public, "
            "GRANT USAGE ON SCHEMA … TO …, or ALTER ROLE … SET search_path"
        )
    elif DOLLAR_QUOTE.search(schema):
        faults.append(f"the search_path leads to {schema}, whose name would end the text of a function: rename it")
    if not await connection.fetchval(OWN_SCHEMA_EXISTS):
        if not await connection.fetchval(MAY_CREATE):
            faults.append(
                "the user may not create the schema unified_worker: CREATE SCHEMA unified_worker AUTHORIZATION …, "
                "or GRANT CREATE ON DATABASE … TO …"
            )
    elif not await connection.fetchval(MAY_CREATE_TABLES, "unified_worker"):
        faults.append("the schema unified_worker is closed to the user: ALTER SCHEMA unified_worker OWNER TO …")
    return schema or "", faults


def _other_partitions(wanted: int, there: int) -> str:
    has = f"has tables with {there} partitions" if there else "has tables without partitions"
    return (
        f"--partitions {wanted}: the database {has}, and that is chosen at the first start on an empty one: leave the option "
        "out, or start on an empty database"
    )


async def _mend_times(connection: Connection, schema: str, record_types: Sequence[RecordType]) -> bool:
    """Makes infinite times finite; returns whether there were any."""
    done = [await connection.execute(statement) for statement in finite_times.mending(schema, record_types)]
    return any(not status.endswith(" 0") for status in done)


async def _any_rows(connection: Connection, schema: str, record_types: Sequence[RecordType]) -> bool:
    tables = (f"EXISTS (SELECT FROM {schema}.{record_type.table})" for record_type in record_types)
    return await connection.fetchval(f"SELECT {' OR '.join(tables)}")


class Before(NamedTuple):
    """The database as a start finds it: the version of the bookkeeping (0: none), who created the tables, or will, and which of
    them are there."""

    version: int
    tables_by: str
    present: set[str]

    def lacks_tables(self, record_types: Sequence[RecordType]) -> bool:
        """Whether a start makes tables."""
        return self.tables_by == "worker" and len(self.present) < len(tables.names(record_types))


async def standing(connection: Connection, schema: str, record_types: Sequence[RecordType]) -> Before:
    """How the database is. It only reads. Raises OperatorError where a worker of this version can't start on it."""
    row = await connection.fetchrow(VERSION) if await connection.fetchval(OWN_VERSION_EXISTS) else None
    version, tables_by, recorded = (row["version"] or 0, row["tables_by"], row["record_schema"]) if row else (0, None, None)
    if version > len(MIGRATIONS):
        raise OperatorError(
            [f"the database is at schema version {version}, this one knows {len(MIGRATIONS)}: start a newer one"]
        )
    if recorded not in (None, schema):  # the functions are one set a database: another worker's rows would go there too
        raise OperatorError(
            [f"the search_path leads to {schema}, but the worker's tables are in {recorded}: ALTER ROLE … SET search_path"]
        )
    present = {found["relname"] for found in await connection.fetch(PRESENT, schema, tables.names(record_types))}
    before = Before(version, tables_by or ("application" if present else "worker"), present)
    if before.lacks_tables(record_types) and not await connection.fetchval(MAY_CREATE_TABLES, schema):
        raise OperatorError([f"the user may not create tables in {schema}: GRANT CREATE ON SCHEMA {schema} TO …"])
    return before


async def _own_schema(connection: Connection, schema: str, record_types: Sequence[RecordType], partitions: int) -> Before:
    if not await connection.fetchval(OWN_SCHEMA_EXISTS):
        await connection.execute(OWN_SCHEMA)
    await connection.execute(OWN_VERSION)
    before = await standing(connection, schema, record_types)
    version, tables_by, present = before
    # Only where something is new: CREATE INDEX IF NOT EXISTS locks a table against writers before it looks.
    if before.lacks_tables(record_types) or (tables_by == "worker" and version < len(MIGRATIONS)):
        await connection.execute(";\n".join(tables.create(schema, record_types, 0 if present else partitions)))
        present = set(tables.names(record_types))
    if partitions:
        parts = set(await connection.fetch(PARTS, schema, [kind.table for kind in record_types if kind.divisible]))
        if parts != {(partitions,)}:
            raise OperatorError([_other_partitions(partitions, max(parts)["number"])])
    if faults := await compatibility.faults(connection, schema, compatibility.needs(record_types), present):
        raise OperatorError(faults)
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        await connection.execute(step)
        await connection.execute(
            "INSERT INTO unified_worker.schema_version (version, tables_by, record_schema) VALUES ($1, $2, $3)",
            number,
            tables_by,
            schema,
        )
    return before
