"""What a start would find in the database, read without changing anything: PostgreSQL itself refuses to write meanwhile."""

from collections.abc import Sequence
from typing import NamedTuple

from unified_indexer.config.database_url import redacted
from unified_indexer.database.connection.lock import Held
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.repair import room
from unified_indexer.database.schema import compatibility
from unified_indexer.database.schema.advice import advice, warnings
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import NOT_OWNER, preconditions, standing
from unified_indexer.database.schema.ready import NO_WRITES, reach
from unified_indexer.errors import OperatorError
from unified_indexer.records.base.record_type import RecordType

TIMEOUT = "8s"  # a statement
LOCKED = "5s"  # a table that another session has locked
READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on', pg_is_in_recovery()"
VERSION = "SELECT current_setting('server_version')"
# A start describes this table, which only its owner may.
OWNER = """
SELECT relowner::regrole::text FROM pg_catalog.pg_class
WHERE oid = to_regclass('unified_worker.schema_version') AND NOT pg_has_role(relowner, 'USAGE')
"""
CURSOR = "SELECT cursor FROM {schema}.firehose_cursor WHERE service = $1"
HAS_CURSOR = "SELECT coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false)"


class Looked(NamedTuple):
    """`server`: its version. `state`: what a start would do to the schema, in words. `faults` refuse a start, `warnings` come
    with it. `held`: who has the lock. `cursor`: as it is stored. `directory`: the server's data, where it is on this machine;
    `size`: the database's bytes."""

    server: str
    state: str
    faults: list[str]
    warnings: list[str]
    held: Held | None
    cursor: str | None
    directory: str | None
    size: int


async def look(pool: DatabasePool, record_types: Sequence[RecordType]) -> Looked:
    """Look at the database once. Raises OperatorError if it can't be reached, or takes nobody like us."""
    return await reach(pool, lambda connection: _look(pool, connection, record_types), 0)


async def _look(pool: DatabasePool, connection: Connection, record_types: Sequence[RecordType]) -> Looked:
    closed, standby = await connection.fetchrow(READ_ONLY) or (False, False)
    why = "it is a standby" if standby else "default_transaction_read_only is on"
    faults = [NO_WRITES.format(redacted(pool.url), why)] if closed else []
    async with connection.transaction(readonly=True):
        await connection.execute(f"SET LOCAL statement_timeout = '{TIMEOUT}'; SET LOCAL lock_timeout = '{LOCKED}'")
        server: str = await connection.fetchval(VERSION)
        schema, missing = await preconditions(connection)
        faults += missing
        state, found = "", list[str]()
        if not missing:  # otherwise a start looks no further either
            try:
                state, found = await _schema(connection, schema, record_types)
            except OperatorError as error:
                faults += error.faults
            if (owner := await connection.fetchval(OWNER)) is not None:
                faults.append(NOT_OWNER.format(f"it belongs to {owner}"))
        readable = bool(schema) and await connection.fetchval(HAS_CURSOR, f"{schema}.firehose_cursor")
        return Looked(
            server,
            state,
            faults,
            [*await warnings(connection), *found],
            await pool.lock.look(connection),
            await connection.fetchval(CURSOR.format(schema=schema), pool.service) if readable else None,
            await room.data_directory(connection),
            await room.size(connection),
        )


async def _schema(connection: Connection, schema: str, record_types: Sequence[RecordType]) -> tuple[str, list[str]]:
    """The schema's state, and what is to be warned of. Raises OperatorError with what is wrong in the tables that are there."""
    before = await standing(connection, schema, record_types)
    needed = compatibility.needs(record_types)
    if before.tables_by == "worker":  # what is missing of them is made
        needed = [need for need in needed if need.table in before.present]
    if faults := await compatibility.faults(connection, schema, needed, before.present):
        raise OperatorError(faults)
    whose = "the worker's own tables" if before.tables_by == "worker" else "an application's tables"
    found = await advice(connection, schema, record_types) if before.tables_by == "application" else []
    if not before.present:
        return f"no tables yet: a start makes them in {schema}", found
    if before.version < len(MIGRATIONS):
        return f"{whose} in {schema}, schema version {before.version}: a start brings it to {len(MIGRATIONS)}", found
    return f"{whose} in {schema}, schema version {before.version}", found
