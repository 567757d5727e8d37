"""Correct rows with infinite times, which an earlier version wrote for the first and the last instant of the calendar."""

from collections.abc import Iterator, Sequence

from unified_indexer.records.base.record_type import RecordType

SINCE = 4  # the schema version from which on none is written
OWN = (
    "UPDATE unified_worker.repos SET account_at = CASE WHEN isfinite(account_at) THEN account_at END, "
    "handle_at = CASE WHEN isfinite(handle_at) THEN handle_at END WHERE NOT isfinite(account_at) OR NOT isfinite(handle_at)",
    "UPDATE unified_worker.gaps SET after_time = CASE WHEN isfinite(after_time) THEN after_time END, "
    "upto_time = CASE WHEN isfinite(upto_time) THEN upto_time END WHERE NOT isfinite(after_time) OR NOT isfinite(upto_time)",
    "UPDATE unified_worker.duplicate_records SET created_at = now() WHERE NOT isfinite(created_at)",
)
CURSOR = "UPDATE {schema}.firehose_cursor SET last_event_time = NULL WHERE NOT isfinite(last_event_time)"


def times(record_type: RecordType) -> list[str]:
    """The type's columns that hold a time."""
    return [column.name for column in record_type.columns if column.type.startswith("timestamptz")]


def infinite(record_type: RecordType) -> str:
    """The condition on a row t that one of its times is infinite."""
    return " OR ".join(f"NOT isfinite(t.{name})" for name in times(record_type))


def mending(schema: str, record_types: Sequence[RecordType]) -> Iterator[str]:
    """The statements that give such a row the time of its commit, or if that is unknown, the time when it was indexed.

    Each reads its table once. What follows from the rows is then for the rebuild.
    """
    for record_type in record_types:
        names = times(record_type)
        known = [name for name in ("commit_time", "indexed_at") if name in names]
        instead = [f"CASE WHEN isfinite(t.{name}) THEN t.{name} END" for name in known]
        if names:
            updates = ", ".join(
                f"{n} = CASE WHEN isfinite(t.{n}) THEN t.{n} ELSE coalesce({', '.join([*instead, 'now()'])}) END" for n in names
            )
            yield f"UPDATE {schema}.{record_type.table} AS t SET {updates} WHERE {infinite(record_type)}"
    yield CURSOR.format(schema=schema)
    yield from OWN
