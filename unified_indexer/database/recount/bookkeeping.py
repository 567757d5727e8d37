"""Recount the worker's own bookkeeping, and who owns a unique key, for a check; each kind as `compare` needs it."""

from collections.abc import Sequence

from unified_indexer.database.recount.accounts import deletions, handles
from unified_indexer.database.recount.compare import Kind, Scope, Source
from unified_indexer.database.recount.rows import said
from unified_indexer.database.schema.finite_times import infinite, mending, times
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType

THERE = said(there="true")
USER_AGAIN = "UPDATE unified_worker.repos SET has_user = false WHERE did = '…' (its next commit writes the row in users)"
KEYS = "SELECT k AS key FROM unnest($1::text[]) AS k"


def authors(schema: str) -> Kind:
    """Every account that has written a record in a table has a row in `users`."""
    written = [
        (
            f"{schema}.{record_type.table}",
            f"t.{record_type.author}" if record_type.author else f"split_part(t.{record_type.key}, '/', 3)",
        )
        for record_type in RECORD_TYPES
        if not record_type.row_stays
    ]

    def should(scope: Scope) -> str:
        every = " UNION ".join(f"SELECT {author} AS key FROM {table} AS t" for table, author in written)
        return f"SELECT a.key, {THERE}, false AS optional FROM ({KEYS if scope.sampled else every}) AS a WHERE a.key <> ''"

    return Kind(
        name="users",
        should=should,
        has=lambda _: f"SELECT u.did AS key, {THERE} FROM {schema}.users AS u WHERE u.did IN (SELECT key FROM should)",
        remedy=USER_AGAIN,
        sources=tuple(Source(table, author) for table, author in written),
    )


def has_user(schema: str) -> Kind:
    """Every repo that is marked as having a row in `users` has one."""
    return Kind(
        name="repos.has_user",
        should=lambda scope: (
            f"""SELECT r.did AS key, {THERE}, false AS optional FROM unified_worker.repos AS r
    WHERE r.has_user AND {scope.only("r.did")}"""
        ),
        has=lambda _: f"SELECT u.did AS key, {THERE} FROM {schema}.users AS u WHERE u.did IN (SELECT key FROM should)",
        remedy=USER_AGAIN,
        sources=(Source("unified_worker.repos", "t.did", "t.has_user"),),
    )


def held(shared: Sequence[str]) -> Kind:
    """A repo with a dead letter or a waiting record is marked. Where accounts compete (`shared`), nothing relies on it."""
    mine = " AND ".join(["true", *(f"t.collection <> '{collection}'" for collection in shared)])
    author = "split_part(t.uri, '/', 3)"

    def should(scope: Scope) -> str:
        every = f"""SELECT t.did AS key FROM unified_worker.dead_letters AS t WHERE t.did <> '' AND NOT t.forged
      UNION SELECT {author} FROM unified_worker.duplicate_records AS t WHERE {mine}"""
        return f"SELECT a.key, {THERE}, false AS optional FROM ({KEYS if scope.sampled else every}) AS a"

    return Kind(
        name="repos.held",
        should=should,
        has=lambda _: (
            f"""SELECT r.did AS key, {THERE} FROM unified_worker.repos AS r
    WHERE r.held AND r.did IN (SELECT key FROM should)"""
        ),
        remedy="UPDATE unified_worker.repos SET held = true WHERE did = '…'",
        sources=(
            Source("unified_worker.dead_letters", "t.did", "t.did <> '' AND NOT t.forged"),
            Source("unified_worker.duplicate_records", author, mine),
        ),
    )


def states() -> Kind:
    """A repo in which something is missing says what; one whose newest commit waits for its key says since when."""
    said_so = said(
        state="r.sync::text",
        reason="(r.sync_reason IS NOT NULL)::text",
        waits="(r.unproven_at IS NOT NULL)::text",
    )
    right = said(
        state="CASE WHEN r.sync BETWEEN 0 AND 3 THEN r.sync::text END",
        reason="(r.sync >= 2)::text",
        waits="(r.unproven IS NOT NULL)::text",
    )
    return Kind(
        name="repos.sync",
        should=lambda scope: (
            f"""SELECT r.did AS key, {right}, false AS optional FROM unified_worker.repos AS r WHERE {scope.only("r.did")}"""
        ),
        has=lambda _: f"SELECT r.did AS key, {said_so} FROM unified_worker.repos AS r WHERE r.did IN (SELECT key FROM should)",
        remedy="UPDATE unified_worker.repos SET sync = 2, sync_reason = 'unknown', unproven = NULL, unproven_at = NULL "
        "WHERE did = '…' (it is repaired then)",
        sources=(Source("unified_worker.repos", "t.did"),),
    )


def holders(schema: str, record_type: RecordType) -> Kind:
    """Of the records with one unique key, the oldest is active, then the one with the smallest URI; where accounts compete,
    the one whose commit came first. No waiting record is in the table too."""
    order = 'x.came_at, x.created_at, x.uri COLLATE "C"'
    came = "'epoch'::timestamptz"
    if record_type.rivals:
        came = "coalesce((SELECT c.at FROM unified_worker.commit_times AS c WHERE c.uri = t.uri), 'epoch')"
    table, collection = f"{schema}.{record_type.table}", record_type.collection
    matches = " AND ".join(f"t.{name} = k.key[{place}]" for place, name in enumerate(record_type.unique, 1))

    def keys(scope: Scope) -> str:
        return f"""SELECT DISTINCT d.key FROM unified_worker.duplicate_records AS d
      WHERE d.collection = '{collection}' AND {scope.only("d.uri")}"""

    def should(scope: Scope) -> str:
        return f"""SELECT x.key::text AS key,
      {said(holder=f"(array_agg(x.uri ORDER BY {order}))[1]", twice="0")}, false AS optional FROM (
      SELECT d.key, d.uri, d.came_at, d.created_at
      FROM unified_worker.duplicate_records AS d JOIN ({keys(scope)}) AS k ON k.key = d.key
      WHERE d.collection = '{collection}'
      UNION ALL SELECT k.key, t.uri, {came}, t.created_at::timestamptz
      FROM ({keys(scope)}) AS k JOIN {table} AS t ON {matches}) AS x
    GROUP BY x.key"""

    def has(scope: Scope) -> str:
        twice = f"""(SELECT count(*) FROM unified_worker.duplicate_records AS d JOIN {table} AS o ON o.uri = d.uri
      WHERE d.collection = '{collection}' AND d.key = k.key)"""
        return f"""SELECT k.key::text AS key, {said(holder="t.uri", twice=twice)}
    FROM ({keys(scope)}) AS k LEFT JOIN {table} AS t ON {matches}"""

    return Kind(
        name=f"duplicates of {record_type.table}",
        should=should,
        has=has,
        remedy=f"SELECT unified_worker.settle_{record_type.table}('{{key}}')",
        sources=(Source("unified_worker.duplicate_records", "t.uri", f"t.collection = '{collection}'"),),
    )


def dead_frames() -> Kind:
    """Every frame that letters name exists, and every existing frame is named."""
    return Kind(
        name="dead_frames",
        should=lambda scope: (
            f"""SELECT DISTINCT encode(l.frame_sha256, 'hex') AS key, {THERE}, false AS optional
    FROM unified_worker.dead_letters AS l WHERE l.frame_sha256 IS NOT NULL AND {_frames("l.frame_sha256", scope)}"""
        ),
        has=lambda scope: (
            f"""SELECT encode(f.sha256, 'hex') AS key, {THERE} FROM unified_worker.dead_frames AS f
    WHERE {_frames("f.sha256", scope)}"""
        ),
        remedy="a frame that no letter names: DELETE FROM unified_worker.dead_frames WHERE sha256 = decode('…', 'hex')",
        sources=(
            Source("unified_worker.dead_letters", "encode(t.frame_sha256, 'hex')"),
            Source("unified_worker.dead_frames", "encode(t.sha256, 'hex')"),
        ),
    )


def _frames(column: str, scope: Scope) -> str:
    return f"{column} IN (SELECT decode(k, 'hex') FROM unnest($1::text[]) AS k)" if scope.sampled else "true"


def dead_frames_size() -> Kind:
    """The stored total size of frames, which limits them, is right."""
    total = "SELECT coalesce(sum(length(frame)), 0) FROM unified_worker.dead_frames"
    return Kind(
        name="dead_frames_size",
        should=lambda _: f"SELECT 'bytes' AS key, {said(bytes=f'({total})')}, false AS optional",
        has=lambda _: f"SELECT 'bytes' AS key, {said(bytes='s.bytes')} FROM unified_worker.dead_frames_size AS s",
        remedy=f"UPDATE unified_worker.dead_frames_size SET bytes = ({total})",
    )


def cursors(schema: str) -> Kind:
    """A stored cursor is a seq."""
    seq = "c.cursor IS NULL OR c.cursor ~ '^[0-9]{1,19}$'"
    return Kind(
        name="firehose_cursor",
        should=lambda _: (
            f"""SELECT c.service AS key, {said(cursor="c.cursor", is_seq="true")}, false AS optional
    FROM {schema}.firehose_cursor AS c"""
        ),
        has=lambda _: f"SELECT c.service AS key, {said(cursor='c.cursor', is_seq=seq)} FROM {schema}.firehose_cursor AS c",
        remedy="start the worker with --reset-cursor",
    )


def finite(schema: str, record_type: RecordType) -> Kind:
    """No time is infinite: drivers of readers fail on such a row."""
    key = f"t.{record_type.key}"
    return Kind(
        name=f"{record_type.table} (times)",
        should=lambda _: f"SELECT NULL::text AS key, {THERE}, false AS optional WHERE false",
        has=lambda scope: (
            f"""SELECT {key} AS key, {THERE} FROM {schema}.{record_type.table} AS t
    WHERE ({infinite(record_type)}) AND {scope.only(key)}"""
        ),
        remedy=next(statement for statement in mending(schema, [record_type])),
        sources=(Source(f"{schema}.{record_type.table}", key),),
    )


def books(schema: str) -> list[Kind]:
    """All kinds of this file."""
    return [
        authors(schema),
        *(holders(schema, record_type) for record_type in RECORD_TYPES if record_type.unique),
        *(finite(schema, record_type) for record_type in RECORD_TYPES if times(record_type)),
        has_user(schema),
        handles(schema),
        deletions(),
        held([record_type.collection for record_type in RECORD_TYPES if record_type.shared]),
        states(),
        dead_frames(),
        dead_frames_size(),
        cursors(schema),
    ]
