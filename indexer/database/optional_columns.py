"""Columns that an existing database's tables may lack (`Column.optional`): which are not there, and what was kept for them."""

from collections.abc import Sequence

from indexer.database.sessions import Connection
from indexer.record_type import RecordType

LACKING = """
SELECT w.table_name, w.column_name FROM unnest($2::text[], $3::text[]) AS w (table_name, column_name)
WHERE NOT EXISTS (
  SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
  WHERE c.relnamespace = $1::regnamespace AND c.relname = w.table_name AND a.attname = w.column_name
    AND a.attnum > 0 AND NOT a.attisdropped)
"""
# The application has added the column: what was kept for it moves there.
MOVE = """
WITH moved AS (
  DELETE FROM unified_worker.kept_values WHERE table_name = '{table}' AND column_name = '{column}' RETURNING key, value)
UPDATE {schema}.{table} AS t SET {column} = moved.value::{type} FROM moved WHERE t.{key} = moved.key
"""


async def settle(connection: Connection, schema: str, record_types: Sequence[RecordType]) -> set[tuple[str, str]]:
    """The optional columns that are not there, as (table, column); fills those that have come since the last start."""
    optional = [(kind, column) for kind in record_types for column in kind.columns if column.optional]
    tables, columns = [kind.table for kind, _ in optional], [column.name for _, column in optional]
    lacking = {(row["table_name"], row["column_name"]) for row in await connection.fetch(LACKING, schema, tables, columns)}
    for kind, column in optional:
        if column.needed is not None and (kind.table, column.name) not in lacking:
            names = {"table": kind.table, "key": kind.key, "column": column.name, "type": column.type.split()[0]}
            await connection.execute(MOVE.format(schema=schema, **names))
    return lacking
