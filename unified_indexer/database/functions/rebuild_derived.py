"""Statements of a rebuild, made from what effects declare (`expected`): insert missing rows, correct wrong ones, delete those
without a record. Right rows are not touched.

Texts are templates: {schema}, {rows} a chunk's rows, {range} the condition on the alias t by which they are found.
"""

from collections.abc import Iterable, Sequence

from unified_indexer.database.functions.expected import Expected, expected, reasons
from unified_indexer.records.base.derived_tables import COUNTS
from unified_indexer.records.base.effects import TIMES
from unified_indexer.records.base.record_type import RecordType

# What notified an account before it was wiped is not to do so again, and nothing notifies one that is deleted. What came with a
# whole repo notified then whom it was to notify.
TOLD_NO_MORE = """x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))"""


def correct(
    table: str, query: str, key: Sequence[str], compared: Sequence[str], kept: Sequence[str] = (), unless: str = "false"
) -> str:
    """The statement that inserts the missing rows of `query`, and corrects those that differ.

    `kept`: columns that only a missing row is given. `unless`: a condition on a row x that is not to be inserted.
    """
    columns = (*key, *compared, *kept)
    times = TIMES[table]
    updates = [f"{name} = excluded.{name}" for name in compared] + [
        "updated_at = now()" for name in times if name == "updated_at"
    ]
    old, new = (", ".join(f"{alias}.{name}" for name in compared) for alias in "ox")
    return f"""INSERT INTO {{schema}}.{table} ({", ".join((*columns, *times))})
    SELECT {", ".join((*(f"x.{name}" for name in columns), *("now()" for _ in times)))}
    FROM ({query}) AS x LEFT JOIN {{schema}}.{table} AS o ON {" AND ".join(f"o.{name} = x.{name}" for name in key)}
    WHERE CASE WHEN o.{key[0]} IS NULL THEN NOT ({unless}) ELSE ({old}) IS DISTINCT FROM ({new}) END
    ON CONFLICT ({", ".join(key)}) DO UPDATE SET {", ".join(updates)}"""


def corrections(record_type: RecordType) -> tuple[str, ...]:
    """The statements for the derived rows of a chunk's records of this type, without the counts. Quotes come before the
    gates, because gates judge them."""
    quotes: list[str] = []
    others: list[str] = []
    for one in expected([record_type]):
        if one.derived.table != "post_aggregations":
            (quotes if one.derived.table == "quotes" else others).append(_correction(one))
    effects = record_type.effects
    said = (*(one.first for one in effects), *quotes, *(one.judged for one in effects), *others)
    return tuple(statement for statement in said if statement)


def _correction(one: Expected) -> str:
    key = one.derived.key
    compared = [name for name in one.derived.values if name not in (*key, *one.kept)]
    unless = TOLD_NO_MORE if one.derived.table == "notifications" else "false"
    return correct(one.derived.table, one.query(), key, compared, one.kept, unless)


def lost(table: str, key: str, record_types: Sequence[RecordType]) -> str:
    """The statement for derived rows without a record, or with another account in it. It needs one look-up per row: by the
    collection of the record whose URI begins the key."""
    by_type: dict[str, list[str]] = {}
    for one in expected(record_types, table):
        record = f"split_part(w.{key}, '#', 1)"
        same = [*one.derived.key, *(["recipient_did"] if table == "notifications" else [])]
        by_type.setdefault(one.type.collection, []).append(
            f"""EXISTS (SELECT FROM ({one.of_record(record)}) AS x
        WHERE {" AND ".join(f"x.{name} = w.{name}" for name in same)})"""
        )
    arms = "\n      ".join(f"WHEN '{name}' THEN {' OR '.join(backed)}" for name, backed in by_type.items())
    ours = ""
    if table == "notifications":  # other reasons are the application's own; 'unverified' is of a record that is gone
        ours = f" AND w.reason IN ({', '.join(reasons(record_types))}) AND w.uri LIKE '%#notification%'"
    return f"""DELETE FROM {{schema}}.{table} AS d USING {{rows}} AS w WHERE d.{key} = w.{key}{ours}
    AND (CASE split_part(w.{key}, '/', 4) {arms} END) IS NOT TRUE"""


def wrong_states(record_types: Sequence[RecordType]) -> str:
    """The statement for the viewer states of a chunk that no record supports."""
    columns = _by_column(expected(record_types, "post_viewer_states"))
    values = ", ".join(
        f"coalesce({', '.join(_state(column, one) for one in found)}) AS {column}" for column, found in columns.items()
    )
    old, new = (", ".join(f"{alias}.{column}" for column in columns) for alias in "sx")
    return f"""UPDATE {{schema}}.post_viewer_states AS s
    SET {", ".join(f"{column} = x.{column}" for column in columns)}, updated_at = now()
    FROM (SELECT k.post_uri, k.viewer_did, {values} FROM {{rows}} AS k) AS x
    WHERE s.post_uri = x.post_uri AND s.viewer_did = x.viewer_did AND ({old}) IS DISTINCT FROM ({new})"""


def _state(column: str, one: Expected) -> str:
    query = one.query(f"{{schema}}.{one.type.table}")
    return f"""(SELECT y.{column} FROM ({query}) AS y
      WHERE y.post_uri = k.post_uri AND y.viewer_did = k.viewer_did LIMIT 1)"""


def _by_column(found: Iterable[Expected]) -> dict[str, list[Expected]]:
    """By the one column that each says beyond its key."""
    columns: dict[str, list[Expected]] = {}
    for one in found:
        columns.setdefault(next(name for name in one.derived.values if name not in one.derived.key), []).append(one)
    return columns


def counted(record_types: Sequence[RecordType]) -> list[tuple[str, str]]:
    """What each count counts: (table, the expression over its row t that gives the URI)."""
    return [(_source(one), one.value(one.derived.values["post_uri"])) for one in expected(record_types, "post_aggregations")]


def counts(record_types: Sequence[RecordType]) -> str:
    """The statement for all counts of the URIs in the chunk's range, including those that no row refers to any more."""
    sources = [f"SELECT s.post_uri, {', '.join(f'0 AS {count}' for count in COUNTS)} FROM {{schema}}.post_aggregations AS s"]
    for column, found in _by_column(expected(record_types, "post_aggregations")).items():
        ones = ", ".join(str(int(count == column)) for count in COUNTS)
        sources += (
            f"SELECT s.post_uri, {ones} FROM ({one.query(f'{{schema}}.{_source(one)}')}) AS s (post_uri)" for one in found
        )
    separator = "\n      UNION ALL "
    return correct(
        "post_aggregations",
        f"""SELECT t.post_uri, {", ".join(f"sum(t.{count}) AS {count}" for count in COUNTS)} FROM (
      {separator.join(sources)}) AS t
      WHERE {{range}} GROUP BY t.post_uri""",
        ("post_uri",),
        COUNTS,
    )


def _source(one: Expected) -> str:
    return one.derived.of or one.type.table
