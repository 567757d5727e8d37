"""The views for readers, in the schema `unified_views`: the questions that people ask of the tables (docs/queries.md).

Each is a function of one query, which the server puts in the place of its call, so it costs what the query costs. As no
function's text counts as a dependency, an application may alter its tables as if there were no views. A view of the same name
calls the function, where any condition on it should find an index: for that its keys need the collation of the tables' own.
All is read with the reader's own rights, so that anybody may have the views.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from importlib.resources import files

import asyncpg

from unified_indexer.database.connection.failures import Remedy, remedy, sqlstate
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema import tables
from unified_indexer.records.base.record_type import RecordType

log = logging.getLogger(__name__)

FOLDER = files("unified_indexer.database.schema") / "views"
# What another one calls is before it.
NAMES = ("hidden", "active_posts", "profiles", "author_feed", "timeline", "thread", "inbox")

# What may be in the way: the role's rights, what somebody made of the views, a reader whose transaction does not end.
NO_RIGHT, DEPENDED_ON, LOCKED = "42501", "2BP01", "55P03"
REMEDIES = {
    NO_RIGHT: "to have them, CREATE SCHEMA unified_views AUTHORIZATION …, or ALTER SCHEMA unified_views OWNER TO …",
    DEPENDED_ON: "drop what was made of them, start again, and make it again",
}
TRY_AGAIN = "the next start tries again; DROP SCHEMA unified_views CASCADE makes room"

PATIENCE = "SET LOCAL lock_timeout = '2s';"
OPEN = """
DO $$ BEGIN
  IF to_regnamespace('unified_views') IS NULL THEN CREATE SCHEMA unified_views; END IF;
END $$;
GRANT USAGE ON SCHEMA unified_views TO PUBLIC;
"""
CLEAR = """
DO $$
DECLARE v_dropped text;
BEGIN
  FOR v_dropped IN
    SELECT format('VIEW %s', oid::regclass) FROM pg_catalog.pg_class
    WHERE relnamespace = 'unified_views'::regnamespace AND relkind = 'v'
    UNION ALL
    SELECT format('FUNCTION %s', oid::regprocedure) FROM pg_catalog.pg_proc
    WHERE pronamespace = 'unified_views'::regnamespace AND prokind = 'f'
    ORDER BY 1 DESC
  LOOP
    EXECUTE 'DROP ' || v_dropped;
  END LOOP;
END $$;
"""
SHOW = "GRANT SELECT ON ALL TABLES IN SCHEMA unified_views TO PUBLIC;"
KEYS = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.collname) FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_collation AS c ON c.oid = a.attcollation JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
WHERE a.attrelid = to_regclass($1) AND a.attname = 'uri'
"""
# Whatever somebody has changed: by hand, or the type of a time in a table.
PRESENT = """
SELECT md5(coalesce(string_agg(text, '' ORDER BY text COLLATE "C"), '')) FROM (
  SELECT pg_get_functiondef(oid) FROM pg_catalog.pg_proc
  WHERE pronamespace = to_regnamespace('unified_views') AND prokind = 'f'
  UNION ALL
  SELECT relname || pg_get_viewdef(oid) FROM pg_catalog.pg_class
  WHERE relnamespace = to_regnamespace('unified_views') AND relkind = 'v'
  UNION ALL
  SELECT concat_ws(' ', c.relname, a.attname, format_type(a.atttypid, NULL))
  FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
  WHERE c.relnamespace = $1::regnamespace AND c.relname IN ('users', 'posts', 'feed_items', 'notifications')
    AND a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype)
) AS s (text)
"""
DEFAULT = 'pg_catalog."default"'
NOTED = "SELECT obj_description(to_regnamespace('unified_views'), 'pg_namespace')"
NOTE = "COMMENT ON SCHEMA unified_views IS 'The worker replaces what is here: {} {}'"


def statements(schema: str, keys: str, record_types: Sequence[RecordType]) -> list[str]:
    """Every statement that makes the functions and views, for record tables in `schema` whose keys have the collation `keys`.

    Those that need a table without a type, or what needs one, are left out.
    """
    tables_there = set(tables.names(record_types))
    made: dict[str, str] = {}
    for name in NAMES:
        text = FOLDER.joinpath(f"{name}.sql").read_text(encoding="utf-8")
        called = set(re.findall(r"unified_views\.(\w+)", text)) - {name}
        if set(re.findall(r"\{schema\}\.(\w+)", text)) <= tables_there and called <= made.keys():
            made[name] = text.replace("{keys}", keys).replace("{schema}", schema)
    return list(made.values())


async def install(connection: Connection, schema: str, record_types: Sequence[RecordType]) -> None:
    """Make or replace the views where they are not there as they should be. What is in the way is logged: they are no reason
    to stop. Within the caller's transaction."""
    keys: str = await connection.fetchval(KEYS, f"{schema}.posts") or DEFAULT
    text = "\n".join(statements(schema, keys, record_types))
    wanted = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    noted: str = await connection.fetchval(NOTED) or ""
    if noted.endswith(f" {wanted} {await connection.fetchval(PRESENT, schema)}"):
        return
    fault = await _done(connection, f"{OPEN}{CLEAR}{text}{SHOW}")
    if fault is None:
        fault = await _done(connection, NOTE.format(wanted, await connection.fetchval(PRESENT, schema)))
    # What somebody made of these keeps them from being dropped: as far as they stay alike, they can be replaced.
    elif sqlstate(fault) == DEPENDED_ON and await _done(connection, f"{OPEN}{text}{SHOW}") is None:
        return
    if fault is not None:
        level = logging.INFO if sqlstate(fault) == NO_RIGHT else logging.WARNING
        said, cure = " ".join(str(fault).split()), REMEDIES.get(sqlstate(fault), TRY_AGAIN)
        log.log(level, "The views in the schema unified_views are not as they should be (%s): %s", said, cure)


async def _done(connection: Connection, text: str) -> asyncpg.PostgresError | None:
    """Carry out these statements, all or none of them; return what the server says against them."""
    try:
        async with connection.transaction():
            await connection.execute(f"{PATIENCE}{text}")
    except asyncpg.PostgresError as error:
        if remedy(error) is Remedy.RETRY and sqlstate(error) not in (LOCKED, DEPENDED_ON):
            raise
        return error
    return None
