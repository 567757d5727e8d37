"""The tables that the tests call an application's are those of the page that lists them, to the last key."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from testing.databases import connected
from unified_indexer.database.connection.sessions import Connection

PAGE = Path(__file__).parents[3] / "../shared/schema.md"
# What the page says of whole families of columns, by the end of the name; a column's own word goes before it.
FAMILIES = {
    "uri": "character varying(512)",
    "did": "character varying(255)",
    "cid": "character varying(255)",
    "at": "timestamp without time zone",
    "time": "timestamp without time zone",
}
# What it says of single columns elsewhere than in their own table: commit_… with the posts, that a reason's subject is a URI.
TOLD_ELSEWHERE = {
    "commit_seq": "character varying(32)",
    "commit_rev": "character varying(64)",
    "reason_subject": "character varying(512)",
}
CATALOG_NAMES = {"varchar": "character varying", "bool": "boolean", "int": "integer", "serial": "integer"}
NOTE = re.compile(r"\s\([^)]*\)")
COLUMN = re.compile(
    r"(?P<names>\w+(?:, \w+)*)(?: (?P<type>[a-z]+(?:\(\d+\))?))??(?P<key> PK)?(?P<required> !)?(?:=(?P<default>\S+))?"
    r"(?P<unique> unique)?"
)


class Column(NamedTuple):
    """A column's type (None where the page leaves it open), whether it is NOT NULL, its default."""

    type: str | None
    required: bool
    default: str | None


class Table(NamedTuple):
    """A table; `more`: the page says that the application has further columns in it. Indexes as 'btree (a, b)'."""

    columns: dict[str, Column]
    primary: set[str]
    unique: set[str]
    indexes: set[str]
    more: bool = False


def tables_of(page: str) -> dict[str, Table]:
    """The tables of the page: `name: columns. Indexes: … U(…). Prose.`, continued on indented lines."""
    tables: dict[str, Table] = {}
    for name, body in re.findall(r"^(\w+)(?: \([^)]*\))?: (.+(?:\n {2}.+)*)", page, re.MULTILINE):
        columns, *sentences = re.split(r"\.(?:\s+|$)", re.sub(r"\s+", " ", body))
        if columns.startswith("as "):
            tables[name] = tables[columns.removeprefix("as ")]
        else:
            tables[name] = table_of(columns)
        for sentence in sentences:
            if match := re.fullmatch(r"Index(?:es)?: (.+)", sentence):
                tables[name].indexes.update(index_of(item) for item in match[1].split("; "))
            elif match := re.fullmatch(r"U(\(.+\))", sentence):
                tables[name].unique.add(f"btree {match[1]}")
    return tables


def table_of(columns: str) -> Table:
    columns, *more = columns.split("; …")
    table = Table({}, set(), set(), set(), bool(more))
    for item in NOTE.sub("", columns).split("; "):
        found = COLUMN.fullmatch(item)
        assert found, f"a column that can't be read: {item}"
        for name in found["names"].split(", "):
            required = bool(found["required"] or found["key"])
            default = "serial" if found["type"] == "serial" else found["default"]
            table.columns[name] = Column(type_of(name, found["type"]), required, default)
            if found["key"]:
                table.primary.add(f"btree ({name})")
            if found["unique"]:
                table.unique.add(f"btree ({name})")
    return table


def type_of(name: str, stated: str | None) -> str | None:
    if stated is None:
        return TOLD_ELSEWHERE.get(name) or FAMILIES.get(name.rpartition("_")[2])
    word, parenthesis, length = stated.partition("(")
    return CATALOG_NAMES.get(word, word) + parenthesis + length


def index_of(item: str) -> str:
    if item.endswith(" gin"):
        return f"gin ({item.removesuffix(' gin')})"
    return f"btree {item if item.startswith('(') else f'({item})'}"


COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
"""
INDEXES = """
SELECT c.relname, i.indisprimary, i.indisunique, substring(pg_get_indexdef(i.indexrelid) FROM 'USING (.*)')
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace
"""
OTHER_CONSTRAINTS = """
SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype NOT IN ('p', 'u', 'n')
"""


async def tables_in(connection: Connection) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    for table, name, kind, required, default in await connection.fetch(COLUMNS):
        # '[]'::jsonb is the page's '[]', and a serial is an integer that takes its default from a sequence.
        default = default and ("serial" if default.startswith("nextval(") else re.sub(r"::\w+$", "", default))
        tables.setdefault(table, Table({}, set(), set(), set())).columns[name] = Column(kind, required, default)
    for table, primary, unique, definition in await connection.fetch(INDEXES):
        of_its_kind = tables[table].primary if primary else tables[table].unique if unique else tables[table].indexes
        of_its_kind.add(definition.replace(" DESC", " desc"))
    return tables


def as_far_as_told(found: Table, told: Table) -> Table:
    """What was found without that of which the page says nothing: types that it leaves open, columns that it leaves to `…`."""
    columns = {
        name: column._replace(type=None) if name in told.columns and told.columns[name].type is None else column
        for name, column in found.columns.items()
        if name in told.columns or not told.more
    }
    return found._replace(columns=columns, more=told.more)


@pytest.mark.skipif(not PAGE.exists(), reason="the page that lists the tables (../shared/schema.md) is not here")
async def test_the_application_s_tables_are_those_of_the_page(application: str) -> None:
    told = tables_of(PAGE.read_text(encoding="utf-8"))
    async with connected(application) as connection:
        found = await tables_in(connection)
        assert await connection.fetch(OTHER_CONSTRAINTS) == []
    assert set(found) == set(told)
    for name, table in told.items():
        assert as_far_as_told(found[name], table) == table, name
