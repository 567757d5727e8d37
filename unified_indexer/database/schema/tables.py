"""The tables of the application, for a database that has none yet."""

from collections.abc import Sequence

from unified_indexer.records.base.derived_tables import DERIVED_TABLES
from unified_indexer.records.base.record_type import RecordType

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


# Its unique constraint becomes the primary key.
PRIMARY_KEY = """
DO $key$
DECLARE
  v_table regclass := '{literal}'; v_unique text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = v_table AND contype = 'p') THEN
    FOR v_unique IN
      SELECT conname FROM pg_catalog.pg_constraint WHERE conrelid = v_table AND contype = 'u'
    LOOP
      EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', v_table, v_unique);
    END LOOP;
    ALTER TABLE {table} ADD PRIMARY KEY ({key});
  END IF;
END $key$
"""


# The key has the author as well, which says in which part the row is, and comes first, as most look for the URI alone.
DIVIDED_KEY = "PRIMARY KEY (uri, {author})"
BY_AUTHOR = "HASH ({author})"
PART = """
CREATE TABLE IF NOT EXISTS {schema}.{table}_{number} PARTITION OF {schema}.{table}
FOR VALUES WITH (MODULUS {of}, REMAINDER {number})
"""


def create(schema: str, record_types: Sequence[RecordType], partitions: int = 0) -> list[str]:
    """The statements that make every missing table, with its indexes, and every column that was added later.

    `partitions`: into how many a new table that can be is divided, by the hash of its author's DID; 0: it is whole.

    A secondary index on the first column of a unique index would repeat it, so there is none. Nor is there one on
    feed_items.type: it has three values.
    """
    statements = [FIREHOSE_CURSOR.format(schema=schema)]
    for record_type in record_types:
        columns = [f"{column.name} {column.type}" for column in record_type.columns if not column.optional]
        columns += record_type.other_columns
        if record_type.unique:
            columns.append(f"UNIQUE ({', '.join(record_type.unique)})")
        if partitions and record_type.divisible:
            columns[0] = columns[0].replace("PRIMARY KEY", "NOT NULL")
            columns.append(DIVIDED_KEY.format(author=record_type.author))
            whole = _table(schema, record_type.table, columns)
            statements.append(f"{whole} PARTITION BY {BY_AUTHOR.format(author=record_type.author)}")
            statements += [
                PART.format(schema=schema, table=record_type.table, number=number, of=partitions)
                for number in range(partitions)
            ]
        else:
            statements.append(_table(schema, record_type.table, columns))
        statements += [  # so that a table of an earlier version becomes what a new one is
            f"ALTER TABLE {schema}.{record_type.table} ADD COLUMN IF NOT EXISTS {column.name} {column.type}"
            for column in record_type.columns
            if column.optional
        ]
        statements += _indexes(schema, record_type.table, record_type.indexes)
    for derived in DERIVED_TABLES:
        columns = [*derived.others, *(f"{name} {kind}" for name, kind in derived.columns.items())]
        columns += [
            f"{'PRIMARY KEY' if key == derived.primary else 'UNIQUE'} ({', '.join(key)})"
            for key in derived.unique
            if not any("PRIMARY KEY" in derived.columns[name] for name in key)
        ]
        statements.append(_table(schema, derived.table, columns) + derived.options)
        if derived.primary:  # so that a table of an earlier version becomes what a new one is
            names = {"table": f"{schema}.{derived.table}", "key": ", ".join(derived.primary)}
            statements.append(PRIMARY_KEY.format(**names, literal=names["table"].replace("'", "''")))
        statements += _indexes(schema, derived.table, derived.indexes)
    return statements


def names(record_types: Sequence[RecordType]) -> list[str]:
    """Every table of the application that the worker uses."""
    return [
        CURSOR_TABLE,
        *(record_type.table for record_type in record_types),
        *(derived.table for derived in DERIVED_TABLES),
    ]


def _table(schema: str, name: str, columns: Sequence[str]) -> str:
    inner = ",\n  ".join(columns)
    return f"CREATE TABLE IF NOT EXISTS {schema}.{name} (\n  {inner}\n)"


def _indexes(schema: str, table: str, indexes: Sequence[str]) -> list[str]:
    return [
        f"CREATE INDEX IF NOT EXISTS {table}_{number}_idx ON {schema}.{table} "
        + (index if index.startswith("USING ") else f"({index})")
        for number, index in enumerate(indexes, 1)
    ]
