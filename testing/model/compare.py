"""The database against the model, in words."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from testing.model.expected import Expected
from testing.model.names import UNDETERMINED, Row

SHOWN = 20  # differences listed for each table
JSON_COLUMNS = {
    "langs", "embed", "facets", "tags", "via", "profile_record", "pinned_post", "feeds", "policies", "allow_list_uris",
    "embedding_rules", "record", "self_labels", "hidden_replies", "detached_embedding_uris",
}  # fmt: skip
OPTIONAL = {"self_labels", "hidden_replies", "detached_embedding_uris", "allow_followers"}
"""Columns that an application's tables need not have."""
PRESENT = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped"
BETWEEN = '{key} COLLATE "C" >= $1::text AND {key} COLLATE "C" < $2::text'
KEYS = {
    "users": ("did",),
    "unified_worker.repos": ("did",),
    "thread_gates": ("post_uri",),
    "post_gates": ("post_uri",),
    "post_aggregations": ("post_uri",),
    "post_viewer_states": ("post_uri", "viewer_did"),
    "thread_contexts": ("post_uri",),
}
"""The primary keys that are not `uri`."""


class Expecting(Protocol):
    """What has expectations: a Model, or a part of one."""

    def expected(self) -> Expected: ...


class Within(NamedTuple):
    """The keys from `first` to before `end`, which are compared without the scheme of URIs."""

    first: str = ""
    end: str = chr(0x10FFFF)

    def has(self, key: str) -> bool:
        """Whether a key is one of these."""
        return self.first <= key.removeprefix("at://") < self.end

    def keys(self, table: str) -> tuple[str, str]:
        """The same of this table's keys as they stand there."""
        if KEYS.get(table, ("uri",))[0] == "did":
            return self.first, self.end
        first, end = (f"at://{key}" if key not in EVERYTHING else key for key in self)
        return first, end


EVERYTHING = Within()
Excused = Callable[[str], bool]


def nothing(_line: str) -> bool:
    """Excuses no difference."""
    return False


async def compare(model: Expecting, connection: Any, within: Within = EVERYTHING, excused: Excused = nothing) -> list[str]:
    """The differences between the database and the model, in words, at most 20 a table; none when they agree.

    `connection` is asyncpg's. What the model can't know is left out: indexed_at, updated_at, users.created_at, search_vector,
    the application's own created_at of counts and states; and what the order between repos decides (`Expected.left_out`).
    `excused`: which differences, by their lines, are none for the caller.
    """
    expected = model.expected()
    differences: list[str] = []
    for table, rows in expected.rows.items():
        keys = KEYS.get(table, ("uri",))
        present = {row["attname"] for row in await connection.fetch(PRESENT, table)}
        wanted = [name for name in (next(iter(rows.values())) if rows else keys) if name in present or name not in OPTIONAL]
        query = f"SELECT {', '.join(wanted)} FROM {table} WHERE {BETWEEN.format(key=keys[0])}"
        found = {" ".join(row[key] for key in keys): row for row in await connection.fetch(query, *within.keys(table))}
        optional = expected.optional.get(table, set())
        told = _table_differences(table, rows, found, optional)
        differences += _shortened(table, [line for line in told if not excused(line)])
    table = "unified_worker.duplicate_records"
    query = f"SELECT uri FROM {table} WHERE {BETWEEN.format(key='uri')}"
    held = {row["uri"] for row in await connection.fetch(query, *within.keys(table))}
    waiting = [f"duplicate_records: {uri} should wait" for uri in sorted(expected.waiting - held)]
    waiting += [f"duplicate_records: {uri} should not wait" for uri in sorted(held - expected.waiting)]
    return differences + _shortened("duplicate_records", waiting)


def _table_differences(table: str, expected: dict[str, Row], found: dict[str, Any], optional: set[str]) -> list[str]:
    differences = [f"{table}: {key} is missing" for key in sorted(expected.keys() - found.keys() - optional)]
    differences += [f"{table}: {key} should not be there" for key in sorted(found.keys() - expected.keys())]
    for key in sorted(expected.keys() & found.keys()):
        differences += (f"{table}: {key}: {difference}" for difference in _row_differences(expected[key], found[key]))
    return differences


def _row_differences(expected: Row, found: Any) -> Iterator[str]:
    for column, value in expected.items():
        if column in OPTIONAL and column not in found.keys():  # noqa: SIM118 a record of asyncpg looks among its values
            continue
        actual = found[column]
        if actual == value or value is UNDETERMINED:
            continue
        actual = _plain(column, actual)
        if actual != value:
            yield f"{column} is {actual!r:.200}, should be {value!r:.200}"


def _plain(column: str, value: Any) -> Any:
    """A value from the database as the model writes it, whatever the column's type."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if column in JSON_COLUMNS and isinstance(value, str):
        return json.loads(value)
    return value


def _shortened(table: str, differences: list[str]) -> list[str]:
    if len(differences) <= SHOWN:
        return differences
    return [*differences[:SHOWN], f"{table}: and {len(differences) - SHOWN} more"]
