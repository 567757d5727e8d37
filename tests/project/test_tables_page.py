"""The diagrams of docs/tables.md are the tables as they are: names, keys, and which column names a row of which table.

The first is held against the record types and derived tables, the second against the worker's own schema in a server. Whoever
adds a type sees in the failure which lines the diagram lacks.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from testing.database_side import Worker
from testing.documents import blocks, read
from unified_indexer.database.schema.tables import FIREHOSE_CURSOR
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.derived_tables import DERIVED_TABLES

RECORDS, BOOKKEEPING, _ = blocks(read("docs/tables.md"), "mermaid")
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
OWN_KEYS = """
SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, NULL) AS type
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'unified_worker'::regnamespace AND i.indisprimary AND a.attnum = ANY (i.indkey)
"""
OWN_COLUMNS = """
SELECT c.relname || '.' || a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'unified_worker'::regnamespace AND c.relkind = 'r'
"""


class Table(NamedTuple):
    """What code says of a table: types by column, the keys, and the author's column."""

    name: str
    types: dict[str, str]
    primary: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    author: str | None


class Diagram(NamedTuple):
    """`attributes`: (table, 'type column keys'). `relations`: the lines as they stand."""

    tables: set[str]
    attributes: set[tuple[str, str]]
    relations: set[str]


def parsed(text: str) -> Diagram:
    """A diagram's text; every line must be understood, and none stand twice."""
    tables: list[str] = []
    attributes: list[tuple[str, str]] = []
    relations: list[str] = []
    first, *lines = text.splitlines()
    assert first == "erDiagram"
    for line in lines:
        if found := re.fullmatch(r"  (\w+) \{", line):
            tables.append(found[1])
        elif found := re.fullmatch(r"    (\w+ \w+ (?:[PUF]K)(?:, [UF]K)*)", line):
            attributes.append((tables[-1], found[1]))
        elif re.fullmatch(r"  \w+ (?:\|o|\|\|)--o[|{] \w+ : \w+", line):
            relations.append(line.strip())
        else:
            assert line == "  }", line
    diagram = Diagram(set(tables), set(attributes), set(relations))
    assert tuple(map(len, diagram)) == (len(tables), len(attributes), len(relations)), "something stands twice"
    return diagram


def primary_of(types: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(name for name, kind in types if kind.endswith("PRIMARY KEY"))


def tables() -> list[Table]:
    """Every table of the application that the worker uses, as the code that makes them says."""
    found: list[Table] = []
    for kind in RECORD_TYPES:
        types = {column.name: column.type for column in kind.columns}
        unique = (kind.unique,) if kind.unique else ()
        found.append(Table(kind.table, types, primary_of(types.items()), unique, kind.author))
    for derived in DERIVED_TABLES:
        types = dict(derived.columns)
        types |= {name: kind for name, _, kind in (other.partition(" ") for other in derived.others)}
        primary = derived.primary or primary_of(types.items())
        found.append(Table(derived.table, types, primary, tuple(key for key in derived.unique if key != primary), None))
    cursor = dict(re.findall(r"^  (\w+) (.*?),?$", FIREHOSE_CURSOR, re.MULTILINE))
    found.append(Table("firehose_cursor", cursor, primary_of(cursor.items()), (("service",),), None))
    return found


def target(table: Table, column: str) -> str | None:
    """The table of which this column names a row, if it is of one."""
    if (table.name, column) in NOWHERE:
        return None
    ending = max((end for end in TARGETS if re.search(rf"(^|_){end}$", column)), key=len, default=None)
    return ending and TARGETS[ending]


def drawn(table: Table) -> tuple[set[tuple[str, str]], set[str]]:
    """The attributes and relations that the diagram has of a table: the keys, and the columns that lead to another table."""
    attributes: set[tuple[str, str]] = set()
    relations: set[str] = set()
    for column, kind in table.types.items():
        to = target(table, column)
        keys = ["PK"] * (column in table.primary) + ["FK"] * (to is not None)
        keys += ["UK"] * any(column in key for key in table.unique)
        if keys:
            attributes.add((table.name, f"{kind.split()[0]} {column} {', '.join(keys)}"))
        if to is not None:
            alone = (column,) in (table.primary, *table.unique)
            many, sure = "|" if alone else "{", "|" if column == table.author else "o"
            relations.add(f"{to} |{sure}--o{many} {table.name} : {column}")
    return attributes, relations


def test_the_diagram_has_every_table_key_and_relation() -> None:
    wanted = [drawn(table) for table in tables()]
    diagram = parsed(RECORDS)
    assert diagram.tables == {table.name for table in tables()}
    assert diagram.attributes == set[tuple[str, str]]().union(*(attributes for attributes, _ in wanted))
    assert diagram.relations == set[str]().union(*(relations for _, relations in wanted))


async def test_the_second_diagram_is_the_worker_s_own_schema(worker: Worker) -> None:
    keys = {(row["table"], f"{row['type']} {row['column']}") for row in await worker.connection.fetch(OWN_KEYS)}
    columns = set(await worker.column(OWN_COLUMNS))
    diagram = parsed(BOOKKEEPING)
    assert {
        (table, attribute.rpartition(" PK")[0].replace("timestamptz", "timestamp with time zone"))
        for table, attribute in diagram.attributes
        if " PK" in attribute
    } == keys
    assert diagram.tables == {table for table, _ in keys}
    assert {f"{table}.{attribute.split()[1]}" for table, attribute in diagram.attributes} <= columns
    for relation in diagram.relations:
        parent, _, child, _, column = relation.split()
        assert {parent, child} <= diagram.tables
        assert any(table == child and re.search(rf" {column} .*FK", attribute) for table, attribute in diagram.attributes)
    for table, attribute in diagram.attributes:
        assert not attribute.endswith("FK") or any(r.endswith(f" {table} : {attribute.split()[1]}") for r in diagram.relations)
