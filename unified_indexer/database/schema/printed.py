"""What a start makes in an empty database, as text: SQL to read, and a diagram of the record tables. Touches no database."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from unified_indexer.database.functions.install import functions
from unified_indexer.database.schema import tables, views
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import OWN_SCHEMA, OWN_VERSION
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.derived_tables import DERIVED_TABLES

SCHEMA = "public"
COLLATION = 'pg_catalog."C"'  # that of the keys of tables of our own
VERSION = "INSERT INTO unified_worker.schema_version (version, tables_by, record_schema) VALUES ({}, 'worker', '{}')"
ADAPTS_OLDER = "\nDO "  # how a statement begins that changes nothing in a table just made

# Where a column of a name leads, by its longest ending here.
TARGETS = {
    "did": "users",
    **dict.fromkeys(("post_uri", "parent_uri", "root_uri", "quoted_uri"), "posts"),
    "list_uri": "lists",
    "like_uri": "likes",
    "repost_uri": "reposts",
}
# An account's own key, and a service's DID.
NOWHERE = {("users", "did"), ("feed_generators", "did")}


class Table(NamedTuple):
    """What code says of a table: types by column, the keys, and the author's column."""

    name: str
    types: dict[str, str]
    primary: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    author: str | None


def ddl(*, with_functions: bool) -> str:
    """The statements of a first start, for record tables in the schema `public`: run by psql, they make what a start makes.

    `with_functions`: the functions, procedures and views too.
    """
    statements = [OWN_SCHEMA, OWN_VERSION]
    statements += [made for made in tables.create(SCHEMA, RECORD_TYPES) if not made.startswith(ADAPTS_OLDER)]
    for number, step in enumerate(MIGRATIONS, 1):
        statements += [step, VERSION.format(number, SCHEMA)]
    if with_functions:
        statements += [*functions(SCHEMA, RECORD_TYPES), views.OPEN, *views.statements(SCHEMA, COLLATION, RECORD_TYPES)]
        statements.append(views.SHOW)
    return "\n\n".join(f"{statement.strip().removesuffix(';')};" for statement in statements)


def diagram() -> str:
    """A Mermaid diagram of the record tables: their keys, and the columns that name a row of another table."""
    attributes: list[str] = []
    relations: list[str] = []
    for table in _tables():
        attributes.append(f"  {table.name} {{")
        for column, kind in table.types.items():
            to = _target(table, column)
            keys = ["PK"] * (column in table.primary) + ["FK"] * (to is not None)
            keys += ["UK"] * any(column in key for key in table.unique)
            if keys:
                attributes.append(f"    {kind.split()[0]} {column} {', '.join(keys)}")
            if to is not None:
                alone = (column,) in (table.primary, *table.unique)
                many, sure = "|" if alone else "{", "|" if column == table.author else "o"
                relations.append(f"  {to} |{sure}--o{many} {table.name} : {column}")
        attributes.append("  }")
    return "\n".join(("erDiagram", *attributes, *relations))


def _tables() -> list[Table]:
    """Every table of the application that the worker uses, as the code that makes them says."""
    found: list[Table] = []
    for kind in RECORD_TYPES:
        types = {column.name: column.type for column in kind.columns}
        unique = (kind.unique,) if kind.unique else ()
        found.append(Table(kind.table, types, _primary_of(types.items()), unique, kind.author))
    for derived in DERIVED_TABLES:
        types = dict(derived.columns)
        types |= {name: kind for name, _, kind in (other.partition(" ") for other in derived.others)}
        primary = derived.primary or _primary_of(types.items())
        found.append(Table(derived.table, types, primary, tuple(key for key in derived.unique if key != primary), None))
    cursor = dict(re.findall(r"^  (\w+) (.*?),?$", tables.FIREHOSE_CURSOR, re.MULTILINE))
    found.append(Table(tables.CURSOR_TABLE, cursor, _primary_of(cursor.items()), (("service",),), None))
    return found


def _primary_of(types: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(name for name, kind in types if kind.endswith("PRIMARY KEY"))


def _target(table: Table, column: str) -> str | None:
    """The table of which this column names a row, if it is of one."""
    if (table.name, column) in NOWHERE:
        return None
    ending = max((end for end in TARGETS if re.search(rf"(^|_){end}$", column)), key=len, default=None)
    return ending and TARGETS[ending]
