"""The functions that repair a repo (repair*.sql), and how a record is compared with its row.

Where the table has the CID, that is compared. Otherwise it is each column that the record alone fills: what is equal in all of
them is right, whatever else its record says.
"""

import re
from collections.abc import Sequence

from unified_indexer.database.functions import sets
from unified_indexer.database.functions.rebuild_steps import REBUILDING
from unified_indexer.database.functions.sql_files import statements
from unified_indexer.database.functions.write_branches import RecordTypeSql
from unified_indexer.database.write.batch import KIND_REFUSED
from unified_indexer.records.base.columns import Column
from unified_indexer.records.base.record_type import RecordType

MOST_TOUCHED = 10_000  # paths of a repo that are noted while it is fetched; beyond, the fetch begins anew
BACKFILL = 20  # the priority of what a backfill wants, and nothing misses
LEASE = "15 minutes"  # of a claim; a fetch takes 10 at most

OF_RECORD = {
    "v_subject": "s.subject",
    "v_subject_cid": "s.subject_cid",
    "v_created_at": "s.created_at",
    "v_rest": "s.rest",
}
NAME = re.compile(r"\b[pv]_[a-z_]+")
CALL = re.compile(r"\b([a-z_.]+)\(")

COMPARED = """\
  IF {put} = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = {put}),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        {rows}{waiting} OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR ({same}) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill({delete}::smallint, ARRAY[cardinality(v_gone)]);
  END IF;"""
ROWS = "SELECT {record_uri} AS record_uri, t.* FROM {table} AS t WHERE {condition}"
# What waits for its unique key is compared as the row that it would be.
WAITING = """
      UNION ALL SELECT d.uri, t.* FROM unified_worker.duplicate_records AS d,
        jsonb_populate_record(NULL::{table}, d.record) AS t
      WHERE d.uri >= x.first AND d.uri < x.last AND d.collection = '{collection}'"""


def by_cid(record_type: RecordType) -> bool:
    """Whether the type's table has the records' CIDs, so that nothing else needs to be compared."""
    return any(column.value == "v_cid" for column in record_type.columns)


def compared(text: RecordTypeSql) -> str:
    """The branch that compares the records of one type."""
    record_type, names = text.type, text.names
    if by_cid(record_type):
        same = "t.cid = s.cid"
    else:
        present = [_same(column, f"t.{column.name}") for column in text.columns if _is_the_record_s(column)]
        kept = [_same(column, f"unified_worker.{record_type.table}_{column.name}(t.{record_type.key})") for column in text.kept]
        same = " AND ".join((*present, *kept))
    found = (ROWS.format(**names, record_uri=record_type.record_uri, condition=one) for one in _ranges(record_type))
    waiting = WAITING.format(**names) if record_type.unique else ""
    return COMPARED.format(**names, rows="\n        UNION ALL ".join(found), waiting=waiting, same=same)


def _ranges(record_type: RecordType) -> list[str]:
    """The conditions by which the author's rows of a slice are found, each row by one: by the key where that is in the order of
    bytes. One plan serves for all ranges, so each condition names the index by itself."""
    within = f'({record_type.record_uri}) COLLATE "C" >= x.first AND ({record_type.record_uri}) COLLATE "C" < x.last'
    if record_type.author is None:
        if record_type.key == "uri":
            return [within]
        # The key is another record's of the account.
        first, last = (f"'at://' || x.did || '{after}'" for after in "/0")
        return [
            f"v_sorted AND t.{record_type.key} >= {first} AND t.{record_type.key} < {last} AND {within}",
            f"NOT v_sorted AND {within}",
        ]
    mine = f"t.{record_type.author} = x.did"
    if record_type.key == "uri":
        return [f"(v_sorted OR {mine}) AND {within}"]
    return [f"{mine} AND {within}" + (f" AND ({record_type.filled})" if record_type.row_stays else "")]


def _is_the_record_s(column: Column) -> bool:
    names = set(NAME.findall(column.value))
    return bool(names) and names <= OF_RECORD.keys() and set(CALL.findall(column.value)) <= {"coalesce"}


def _same(column: Column, stored: str) -> str:
    """The condition that the stored value is what the record says."""
    said = NAME.sub(lambda name: OF_RECORD[name[0]], column.value).replace("{{", "{").replace("}}", "}")
    same = f"{stored}::{column.type.split()[0]} IS NOT DISTINCT FROM {said}"
    return f"(s.created_at IS NULL OR {same})" if column.value == "v_created_at" else same


def functions(schema: str, texts: Sequence[RecordTypeSql]) -> list[str]:
    """The functions, for record tables in `schema`."""
    return [
        *statements("repair", schema=schema, most_touched=MOST_TOUCHED, backfill=BACKFILL, lease=LEASE),
        *statements("repair_compare", refused=KIND_REFUSED, compared="\n".join(compared(text) for text in texts)),
        *statements(
            "repair_write",
            rebuilding=REBUILDING,
            ahead="\n".join(text.ahead() for text in texts if text.ahead()),
            arms="\n".join([*(text.put() for text in texts), *(text.delete() for text in texts)]),
        ),
        *sets.functions(schema, texts),
    ]
