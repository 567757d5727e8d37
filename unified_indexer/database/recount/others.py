"""Derived rows of record types without a recount of their own here: what their effects declare (`expected`).

So a new type's derived rows are no differences, and a missing one is found. The types of RECOUNTED are counted independently.
"""

from collections.abc import Sequence

from unified_indexer.database.functions.expected import Expected, expected, reasons
from unified_indexer.database.recount.compare import Scope, Source
from unified_indexer.records import RECORD_TYPES

RECOUNTED = {
    "app.bsky.actor.profile",
    "app.bsky.feed.like",
    "app.bsky.feed.post",
    "app.bsky.feed.repost",
    "app.bsky.graph.follow",
    "app.bsky.graph.verification",
}


class Others:
    """What these types declare of one derived table, for record tables in `schema`."""

    def __init__(self, schema: str, table: str) -> None:
        self._schema = schema
        self.types = [record_type for record_type in RECORD_TYPES if record_type.collection not in RECOUNTED]
        self.said = list(expected(self.types, table))
        self.reasons = [reason.strip("'") for reason in reasons(self.types)]

    def rows(self, scope: Scope, values: str, *key: str) -> list[str]:
        """Queries of these values, expressions over a row x. `key`: the columns of x that a sample knows; none: its record."""
        return [self._rows(one, scope, values, key) for one in self.said]

    def sources(self, *key: str) -> list[Source]:
        """Where a sample's keys come from: the records, or the values of these columns, which are the row's key."""
        return [self._source(one, key) for one in self.said]

    def unknown(self, column: str) -> list[str]:
        """The collections whose tables do not tell this column."""
        return [one.type.collection for one in self.said if column in one.kept]

    def value(self, column: str, row: str) -> str:
        """The expression for this column of a row of the derived table, NULL where the record's own table does not tell it."""
        unknown = ", ".join(f"'{collection}'" for collection in self.unknown(column))
        return (
            f"CASE WHEN split_part({row}.uri, '/', 4) NOT IN ({unknown}) THEN {row}.{column} END"
            if unknown
            else f"{row}.{column}"
        )

    def _source(self, one: Expected, key: Sequence[str]) -> Source:
        table = f"{self._schema}.{one.type.table}"
        if not key:
            return Source(table, one.type.record_uri)
        values = " || ' ' || ".join(one.value(one.derived.values[name]) for name in key)
        if not one.derived.source:
            return Source(table, values, one.value(one.derived.when))
        joined = one.value(one.derived.source).replace("{schema}", self._schema)  # one of its rows is enough
        return Source(table, f"(SELECT {values} FROM (SELECT t.*) AS t {joined} LIMIT 1)")

    def _rows(self, one: Expected, scope: Scope, values: str, key: Sequence[str]) -> str:
        record = "true" if key else scope.only(one.type.record_uri)
        query = one.query(f"{{schema}}.{one.type.table}", record).replace("{schema}", self._schema)
        return f"SELECT {values} FROM ({query}) AS x WHERE {scope.only(*(f'x.{name}' for name in key)) if key else 'true'}"
