"""Warnings at start about a database that works but could be better: missing indexes, rights that are too wide."""

from collections.abc import Sequence

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.records.base.record_type import RecordType

# Looks-up that no index of the application's serves: by another's gate, and when an account is deleted.
WANTED = (("quotes", "quoted_uri"), ("notifications", "recipient_did"), ("notifications", 'uri COLLATE "C"'))
LACKS = """
SELECT NOT EXISTS (
  SELECT FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
  LEFT JOIN pg_catalog.pg_collation AS c ON c.oid = i.indcollation[0]
  WHERE i.indrelid = $1::regclass AND i.indisvalid AND i.indpred IS NULL AND a.attname = split_part($2, ' ', 1)
    AND ($2 NOT LIKE '% COLLATE "C"' OR c.collname = 'C'))
"""
# A serial's sequence ends where its own type does, whatever the column's has become.
SHORT_SERIAL = """
SELECT string_agg(statement, '; ') FROM (
  SELECT format('ALTER TABLE %s ALTER COLUMN id TYPE bigint', attrelid::regclass) FROM pg_catalog.pg_attribute
  WHERE attrelid = $1::regclass AND attname = 'id' AND atttypid = 'int4'::regtype
  UNION ALL
  SELECT format('ALTER SEQUENCE %s AS bigint', seqrelid::regclass) FROM pg_catalog.pg_sequence
  WHERE seqrelid = pg_get_serial_sequence($1::text, 'id')::regclass AND seqtypid = 'int4'::regtype
) AS s (statement)
"""
# Of the schemas in which names that are not qualified are looked for: those where anybody may put some.
OPEN_SCHEMAS = """
SELECT quote_ident(n.nspname) AS name FROM pg_catalog.pg_namespace AS n, aclexplode(n.nspacl) AS a
WHERE n.nspname = ANY (current_schemas(false)) AND a.grantee = 0 AND a.privilege_type = 'CREATE'
"""

OPEN = (
    "Anybody may create functions and operators in the schema %s, which is in the user's search_path: one that fits better "
    "than PostgreSQL's own would run with the worker's rights: REVOKE CREATE ON SCHEMA %s FROM PUBLIC"
)
INDEXES = (
    "This database lacks indexes; without them the worker reads whole tables when an account is deleted or a post gets a "
    "gate: %s"
)
SERIAL = (
    "notifications.id is a 4-byte serial: it is used up after 2,147,483,647 notifications, in months at the public relay's "
    "rate, and then each commit with a notification is refused: %s"
)


async def warnings(connection: Connection) -> list[str]:
    """What the operator of any database should know, one warning each."""
    return [OPEN % (row["name"], row["name"]) for row in await connection.fetch(OPEN_SCHEMAS)]


async def advice(connection: Connection, schema: str, record_types: Sequence[RecordType]) -> list[str]:
    """What the operator of an existing database should know, one warning each."""
    # The rows of a deleted account are found by its column, or by the beginning of their key.
    wanted = [(record_type.table, record_type.author or f'{record_type.key} COLLATE "C"') for record_type in record_types]
    missing = [
        f"CREATE INDEX CONCURRENTLY ON {schema}.{table} ({key});"
        for table, key in (*wanted, *WANTED)
        if await connection.fetchval(LACKS, f"{schema}.{table}", key)
    ]
    found = [INDEXES % " ".join(missing)] if missing else []
    if (statements := await connection.fetchval(SHORT_SERIAL, f"{schema}.notifications")) is not None:
        found.append(SERIAL % statements)
    return found
