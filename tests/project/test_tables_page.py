"""The diagrams of docs/tables.md are the tables as they are: names, keys, and which column names a row of which table.

The first is what the program prints of the record types and derived tables; the second is held against the worker's own schema
in a server.
"""

import re
from typing import NamedTuple

from testing.database_side import Worker
from testing.documents import blocks, read
from unified_indexer.database.schema.printed import diagram

RECORDS, BOOKKEEPING, _ = blocks(read("docs/tables.md"), "mermaid")
OWN_KEYS = """
SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, NULL) AS type
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'unified_worker'::regnamespace AND i.indisprimary AND a.attnum = ANY (i.indkey)
"""
OWN_COLUMNS = """
SELECT c.relname || '.' || a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'unified_worker'::regnamespace AND c.relkind = 'r'
"""


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


def test_the_diagram_has_every_table_key_and_relation() -> None:
    """`unified_worker.py schema --diagram` prints it: whoever adds a type takes it from there, and reads the difference."""
    assert parsed(RECORDS)
    assert diagram() == RECORDS.rstrip()


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
