"""The derived rows that should exist, as queries over sets of records: made from what effects declare as data (`Derived`).

Texts are templates, as in `rebuild_rows`: {schema}, and {rows}, a query of any of the type's rows: a chunk, a slice, the table.
A column that no record table tells (a CID, a time) is `kept`: a row that is there keeps it, a missing one gets what is known.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from unified_indexer.database.functions.write_branches import quiet
from unified_indexer.records.base.effects import TIMES, Derived, authority
from unified_indexer.records.base.record_type import RecordType

VARIABLE = re.compile(r"\b(v_[a-z_]+|p_did)\b")


class _Columns(dict[str, str]):
    """`{column}` as the field of the row t; `{schema}` stays."""

    def __missing__(self, name: str) -> str:
        return f"t.{name}"


class Expected(NamedTuple):
    """The rows that one effect of a record type declares. `known`: variables of the live statements, where the rows t tell more
    than the type's table."""

    type: RecordType
    derived: Derived
    known: Mapping[str, str] = MappingProxyType({})

    @property
    def times(self) -> tuple[str, ...]:
        """The columns that say when the derived row came."""
        return TIMES[self.derived.table]

    @property
    def kept(self) -> tuple[str, ...]:
        """The columns whose value the type's table does not hold."""
        unknown = {"v_cid", "v_created_at"} - {column.value for column in self.type.columns}
        return tuple(name for name, value in self.derived.values.items() if unknown & set(VARIABLE.findall(value)))

    def value(self, text: str) -> str:
        """A text of the effect, over a row t of the record table."""
        uri = {} if self.derived.of or self._has("uri") else {"uri": self.type.record_uri}
        text = text.format_map(_Columns(schema="{schema}", **uri))
        variables = _variables(self.type) | dict(self.known)
        return VARIABLE.sub(lambda found: variables.get(found[0], found[0]), text)

    def query(self, rows: str = "{rows}", where: str = "true") -> str:
        """The query of the rows that should exist, and when their records came (`came`); of notifications, whether nobody is
        to get one any more (`quiet`). `where`: a further condition on t."""
        came = "t.indexed_at" if self._has("indexed_at") and not self.derived.of else "NULL::timestamptz"
        values = ", ".join(f"{self.value(value)} AS {name}" for name, value in self.derived.values.items())
        if self.derived.table == "notifications":
            values += f", {quiet('t', self.type.record_uri, [column.name for column in self.type.columns])} AS quiet"
        filled = f"({self.type.filled})" if self.type.row_stays else "true"
        return f"""SELECT {values}, {came} AS came FROM {rows} AS t {self.value(self.derived.source)}
      WHERE {self.value(self.derived.when)} AND {filled} AND {where}"""

    def of_record(self, record: str) -> str:
        """The same rows for the record at the URI `record` (an SQL expression): one look-up by the table's key."""
        key = next(column.value for column in self.type.columns if column.name == self.type.key)
        found = re.sub(r"\bp_did\b", authority(record), re.sub(r"\bv_uri\b", record, key))
        where = "true" if self.type.record_uri == "t.uri" else f"{self.type.record_uri} = {record}"
        return self.query(f"{{schema}}.{self.type.table}", f"t.{self.type.key} = {found} AND {where}")

    def _has(self, column: str) -> bool:
        return any(one.name == column for one in self.type.columns)


def expected(record_types: Sequence[RecordType], table: str | None = None) -> Iterator[Expected]:
    """Everything that effects declare of a derived table, or of all."""
    for record_type in record_types:
        for effect in record_type.effects:
            for derived in effect.derived:
                if table in (None, derived.table):
                    yield Expected(record_type, derived)


def reasons(record_types: Sequence[RecordType]) -> list[str]:
    """The reasons of notifications, as SQL literals, each once."""
    return list(dict.fromkeys(one.derived.values["reason"] for one in expected(record_types, "notifications")))


def _variables(record_type: RecordType) -> dict[str, str]:
    """What a variable of the live statements is over a row t: the column that it fills, or that is returned into it."""
    variables = {
        "v_uri": record_type.record_uri,
        "v_cid": "NULL::text",
        "v_created_at": "t.indexed_at",
        "p_did": authority(record_type.record_uri),
    }
    variables |= {column.value: f"t.{column.name}" for column in record_type.columns if VARIABLE.fullmatch(column.value)}
    columns, _, into = record_type.returning.partition(" INTO ")
    names = [f"t.{name.strip().removeprefix('t.')}" for name in columns.split(",")]
    return variables | dict(zip((name.strip() for name in into.split(",")), names, strict=True))
