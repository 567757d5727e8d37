"""The tables of the application, for a database that has none yet."""

from collections.abc import Sequence

from indexer.record_type import RecordType

FIREHOSE_CURSOR = """
CREATE TABLE IF NOT EXISTS {schema}.firehose_cursor (
  id serial PRIMARY KEY,
  service text NOT NULL UNIQUE,
  cursor text,
  last_event_time timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now()
)
"""

# What the worker writes of firehose_cursor; `id` fills itself.
CURSOR_TABLE = "firehose_cursor"
CURSOR_COLUMNS = {"service": "text", "cursor": "text", "last_event_time": "timestamptz", "updated_at": "timestamptz"}


def create(schema: str, record_types: Sequence[RecordType]) -> list[str]:
    """The statements that make every table that is not there yet, with its indexes.

    A secondary index on the first column of a unique index would repeat it, so there is none.
    """
    statements = [FIREHOSE_CURSOR.format(schema=schema)]
    for record_type in record_types:
        columns = [f"{column.name} {column.type}" for column in record_type.columns]
        columns += record_type.other_columns
        if record_type.unique:
            columns.append(f"UNIQUE ({', '.join(record_type.unique)})")
        table = f"{schema}.{record_type.table}"
        statements.append(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")
        for number, index in enumerate(record_type.indexes, 1):
            expression = index if index.startswith("USING ") else f"({index})"
            statements.append(f"CREATE INDEX IF NOT EXISTS {record_type.table}_{number}_idx ON {table} {expression}")
    return statements


def names(record_types: Sequence[RecordType]) -> list[str]:
    """Every table of the application that the worker writes."""
    return [CURSOR_TABLE, *(record_type.table for record_type in record_types)]
