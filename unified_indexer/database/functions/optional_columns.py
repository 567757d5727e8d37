"""Columns that an existing database's tables may lack (`Column.optional`): which are not there, and what was kept for them."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.functions.sql_files import statements
from unified_indexer.records.base.columns import Column
from unified_indexer.records.base.record_type import RecordType

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

# What a row says in a column that its table may lack (`Column.needed`), kept elsewhere where it does.
PRESENT = "SELECT coalesce((SELECT t.{column} FROM {table} AS t WHERE t.{key} = p_key), {needed})"
KEPT = """SELECT coalesce((SELECT k.value::{type} FROM unified_worker.kept_values AS k
    WHERE k.table_name = '{name}' AND k.key = p_key AND k.column_name = '{column}'), {needed})"""
KEEP = """
DELETE FROM unified_worker.kept_values AS k
WHERE k.table_name = '{name}' AND k.key = {key_value} AND k.column_name = '{column}';
INSERT INTO unified_worker.kept_values (table_name, key, column_name, value)
SELECT '{name}', {key_value}, '{column}', x.value::text FROM (SELECT {value}) AS x (value)
WHERE x.value IS DISTINCT FROM {needed};"""
KEEP_NO_MORE = """
IF p_new IS NULL THEN
  DELETE FROM unified_worker.kept_values AS k WHERE k.table_name = '{name}' AND k.key = r.{key};
END IF;"""


def keep(kept: Iterable[Column], names: Mapping[str, str]) -> str:
    """The statements that note what a record says in columns that its table lacks, where that is needed. `names`: as the arms
    fill them in."""
    texts = [
        KEEP.format(**names, column=column.name, value=column.value.format(schema=names["schema"]), needed=column.needed)
        for column in kept
    ]
    return "".join(texts).replace("\n", "\n          ")


def value_of(column: Column, kept: Collection[Column], names: Mapping[str, str]) -> list[str]:
    """The function that gives a needed column's value, wherever it is."""
    inner = {**names, "column": column.name, "type": column.type.split()[0], "needed": column.needed}
    return statements("value_of", **inner, value=(KEPT if column in kept else PRESENT).format(**inner))


async def settle(connection: Connection, schema: str, record_types: Sequence[RecordType]) -> set[tuple[str, str]]:
    """The missing optional columns, as (table, column). Fills those that were added since the last start."""
    optional = [(kind, column) for kind in record_types for column in kind.columns if column.optional]
    tables, columns = [kind.table for kind, _ in optional], [column.name for _, column in optional]
    lacking = {(row["table_name"], row["column_name"]) for row in await connection.fetch(LACKING, schema, tables, columns)}
    for kind, column in optional:
        if column.needed is not None and (kind.table, column.name) not in lacking:
            names = {"table": kind.table, "key": kind.key, "column": column.name, "type": column.type.split()[0]}
            await connection.execute(MOVE.format(schema=schema, **names))
    return lacking
