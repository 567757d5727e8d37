"""The functions that write a repo's records as sets, and look for others' rows afterwards (repair_set.sql, repair_look.sql).

What follows from a set is what effects declare as data (`Derived`), as in a rebuild. What is counted is counted for all types
together, in the order of the URIs: so two sets never wait for each other. What an effect looks for in others' rows
(`Effect.looks`) is done by its own statements, record by record, of the few that find something.
"""

import re
from collections.abc import Iterable, Sequence

from unified_indexer.database.functions.expected import VARIABLE, Expected
from unified_indexer.database.functions.rebuild_steps import REBUILDING, SETS
from unified_indexer.database.functions.sql_files import statements
from unified_indexer.database.functions.write_branches import RecordTypeSql, array
from unified_indexer.records.base.columns import Column
from unified_indexer.records.base.derived_tables import COUNTS
from unified_indexer.records.base.record_type import RecordType

NAME = re.compile(r"\b[pv]_[a-z_]+")
# What the names of a column's value are over a record s of a set.
OF_SET = {
    "p_did": "p_did[s.of]",
    "p_rev": "p_rev[s.of]",
    "p_seq": "NULL::bigint",
    "p_at": "s.came",
    "v_uri": "s.uri",
    "v_cid": "s.cid",
    "v_subject": "s.subject",
    "v_subject_cid": "s.subject_cid",
    "v_created_at": "s.created_at",
    "v_rest": "s.rest",
}

WRITTEN = """\
  IF {put} = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = {put} AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO {table} AS t ({columns}) SELECT {values} FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING {returned}),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri){effects}
    SELECT ARRAY(SELECT t.uri FROM t){counts} INTO v_new{into};
    v_done := v_done || v_new;
  END IF;"""
EFFECT = """,
    {name} AS (
      INSERT INTO {schema}.{table} AS d ({columns}) SELECT {values}
      FROM t {source} WHERE {when} ORDER BY {key}
      ON CONFLICT ({key}) {otherwise}{returning})"""
FOUND = """\
  IF {put} = ANY (p_kind) THEN
    v_uris := ARRAY(SELECT o.uri FROM unnest(p_kind, p_uri) AS o (kind, uri) WHERE o.kind = {put});
    {hits} := ARRAY(SELECT t.uri FROM {table} AS t WHERE t.uri = ANY (v_uris) AND ({looks}) ORDER BY t.uri);
    v_meets := v_meets || ARRAY(SELECT unnest({meets}) FROM {table} AS t WHERE t.uri = ANY ({hits}));
  END IF;"""
LOOKED = """\
  FOREACH v_uri IN ARRAY {hits} LOOP
    DECLARE
      r {table};
    BEGIN
      SELECT t.* INTO r FROM {table} AS t WHERE t.uri = v_uri;
      CONTINUE WHEN NOT FOUND;{work}
    END;
  END LOOP;"""
COUNTED = """\
  INSERT INTO {schema}.post_aggregations AS a (post_uri, {columns}, created_at, updated_at)
  SELECT c.uri, {sums}, now(), now() FROM (
    {sources}) AS c
  GROUP BY c.uri ORDER BY c.uri COLLATE "C"
  ON CONFLICT (post_uri) DO UPDATE SET {updates}, updated_at = now();"""


def in_sets(record_type: RecordType) -> bool:
    """Whether new records of the type can be written as sets: all that follows from them is declared, and nothing of it, nor of
    their columns, must be looked up in others' rows before they are there."""
    return (
        record_type.key == "uri"
        and not (record_type.row_stays or record_type.timed or record_type.rivals or record_type.shared)
        and all(_is_said(column) for column in record_type.columns)
        and all(column.needed is None for column in record_type.columns)
        and all(not one.written and (one.derived or one.looks or not one.added) for one in record_type.effects)
    )


def looks(record_type: RecordType) -> bool:
    """Whether others' rows are looked for once such a record is written."""
    return any(effect.looks for effect in record_type.effects)


def functions(schema: str, texts: Sequence[RecordTypeSql]) -> list[str]:
    """The functions, for record tables in `schema`."""
    written = [text for text in texts if in_sets(text.type)]
    looking = [text for text in written if looks(text.type)]
    columns = [name for name in COUNTS if any(name in one.derived.values for text in written for one in _derived(text))]
    return [
        *statements(
            "repair_set",
            sets=SETS,
            counts=" ".join(f"v_{name} text[] := '{{}}';" for name in columns),
            written="\n".join(_written(schema, text) for text in written),
            counted=_counted(schema, columns),
        ),
        *statements(
            "repair_look",
            rebuilding=REBUILDING,
            hits=" ".join(f"{_hits(text)} text[] := '{{}}';" for text in looking),
            found="\n".join(_found(schema, text) for text in looking),
            looked="\n".join(_looked(text) for text in looking),
        ),
    ]


def _is_said(column: Column) -> bool:
    """Whether the column's value at first is what the record says."""
    value = column.first or column.value
    return "SELECT" not in value and set(NAME.findall(value)) <= OF_SET.keys()


def _derived(text: RecordTypeSql) -> Iterable[Expected]:
    """What a set of the type's records brings about at once. A judged record that notifies is never in a set."""
    for effect in text.type.effects:
        for derived in effect.derived if effect.in_set is None else effect.in_set:
            if derived.table != "notifications" or not text.type.returning:
                yield Expected(text.type, derived, {"v_cid": "t.said_cid"})


def _written(schema: str, text: RecordTypeSql) -> str:
    values = [NAME.sub(lambda name: OF_SET[name[0]], (one.first or one.value).format(schema=schema)) for one in text.columns]
    effects, counts = "", dict[str, list[str]]()
    made: dict[str, str] = {}
    asked_for = {one.derived.of for one in _derived(text)}
    for number, one in enumerate(_derived(text)):
        if one.derived.table == "post_aggregations":
            column = next(name for name in one.derived.values if name != "post_uri")
            rows = made[one.derived.of] if one.derived.of else "t"
            query = f"SELECT {one.value(one.derived.values['post_uri'])} FROM {rows} AS t WHERE {one.value(one.derived.when)}"
            counts.setdefault(column, []).append(f"ARRAY({query})")
        else:
            made[one.derived.table] = name = f"made_{number}"
            effects += _effect(name, one, " RETURNING d.*" if one.derived.table in asked_for else "")
    return WRITTEN.format(
        **text.names | {"columns": ", ".join(column.name for column in text.columns), "values": ", ".join(values)},
        returned=", ".join(f"t.{column.name}" for column in text.columns if not column.ahead),
        effects=effects.replace("{schema}", schema),
        counts="".join(f", v_{name} || {' || '.join(found)}" for name, found in counts.items()),
        into="".join(f", v_{name}" for name in counts),
    )


def _effect(name: str, one: Expected, returning: str) -> str:
    derived = one.derived
    said = {column: one.value(value) for column, value in derived.values.items()} | dict.fromkeys(one.times, "now()")
    compared = [column for column in derived.values if column not in derived.key]
    when = one.value(derived.when)
    return EFFECT.format(
        name=name,
        schema="{schema}",
        table=derived.table,
        columns=", ".join(said),
        values=", ".join(f"{value} AS {column}" for column, value in said.items()),
        source=one.value(derived.source),
        when=f"NOT t.said_quiet AND {when}" if derived.table == "notifications" else when,
        key=", ".join(derived.key),
        returning=returning,
        otherwise=f"DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in compared)}"
        if compared
        else "DO NOTHING",
    )


def _counted(schema: str, columns: Sequence[str]) -> str:
    sources = [
        f"SELECT u AS uri, {', '.join(f'{int(name == counted)} AS {name}' for name in columns)} FROM unnest(v_{counted}) AS u"
        for counted in columns
    ]
    if not columns:
        return ""
    return COUNTED.format(
        schema=schema,
        columns=", ".join(columns),
        sums=", ".join(f"sum(c.{name})" for name in columns),
        sources="\n    UNION ALL ".join(sources),
        updates=", ".join(f"{name} = a.{name} + excluded.{name}" for name in columns),
    )


def _hits(text: RecordTypeSql) -> str:
    return f"v_{text.type.table}"


def _found(schema: str, text: RecordTypeSql) -> str:
    """The branch that finds the type's records that have to do with others' rows."""
    of_row = {column.name: f"t.{column.name}" for column in text.columns}
    conditions = [effect.looks.format(schema=schema, **of_row) for effect in text.type.effects if effect.looks]
    return FOUND.format(
        **text.names,
        hits=_hits(text),
        looks=" OR ".join(VARIABLE.sub(lambda name: {"v_uri": "t.uri"}.get(name[0], name[0]), one) for one in conditions),
        meets=array(place.format(schema=schema) for place in text.type.meets),
    )


def _looked(text: RecordTypeSql) -> str:
    return LOOKED.format(**text.names, hits=_hits(text), work=text.look())
