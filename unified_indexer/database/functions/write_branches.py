"""The SQL of each record type inside the procedure: the branches that put and delete its records, and the functions that they
call.

`remove_<table>` takes a row away, or, where it is about to be replaced (p_new: the new record's rest), only what follows from
it. `settle_<table>` sees to it that of all records with one unique key the oldest holds it.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from unified_indexer.database.functions.optional_columns import KEEP_NO_MORE, keep, value_of
from unified_indexer.database.functions.sql_files import statements
from unified_indexer.records.base.columns import Column
from unified_indexer.records.base.record_type import RecordType

AHEAD = """\
        WHEN {put} THEN
          v_ahead[i] := {value};"""

# A row whose unique key is free goes in at once. One that holds the same key already is replaced where it is, as in PUT; only
# its age may be another now. Else its older self steps out, it joins those that wait, and they are settled.
PUT_UNIQUE = """\
      WHEN {put} THEN{forget}{written}
        INSERT INTO {table} AS t ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;{added}
        ELSIF EXISTS (SELECT FROM {table} AS t WHERE t.{key} = v_uri AND {key_is_held}) THEN
          v_again := true;{undo}
          UPDATE {table} AS t SET {updates} WHERE t.{key} = v_uri;{added}
          IF v_held OR {shared} THEN
            PERFORM unified_worker.settle_{name}({key_of_values});
          END IF;
        ELSE
          v_key := unified_worker.remove_{name}(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR {shared}) THEN
            PERFORM unified_worker.settle_{name}(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, '{collection}', {key_of_values}, {came}, v_created_at,
            jsonb_build_object({pairs}, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_{name}({key_of_values});
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;"""

# What waited under this URI does so no more.
FORGET = """
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;"""
# Where accounts compete, another may have made it wait, without a word to its repo, or be about to end its waiting: only under
# the lock of its key does it stay where it is.
FORGET_SHARED = """
        PERFORM unified_worker.lock(ARRAY({meeting}));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;"""

PUT = """\
      WHEN {put} THEN{written}
        INSERT INTO {table} AS t ({columns}) VALUES ({values}) ON CONFLICT ({key}) DO NOTHING{returning};
        v_again := NOT FOUND;
        IF v_again THEN{undo}
          UPDATE {table} AS t SET {updates} WHERE t.{key} = {key_value}{returning};
        END IF;{added}"""

UNDO = """
          PERFORM unified_worker.remove_{name}(p_did, v_uri, coalesce(v_rest, '{{}}'), NULL);"""

DELETE_UNIQUE = """\
      WHEN {delete} THEN{forget}
        v_key := unified_worker.remove_{name}(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR {shared}) THEN
          PERFORM unified_worker.settle_{name}(v_key);
        END IF;"""

DELETE = """\
      WHEN {delete} THEN
        PERFORM unified_worker.remove_{name}(p_did, v_uri, NULL, p_at);"""

# Of a record that waits for its key as well: nobody but its own repo says when it came.
TIMED = """
        INSERT INTO unified_worker.commit_times AS c (uri, at, quiet)
        VALUES (v_uri, coalesce(p_at, now()), coalesce(v_quiet, false))
        ON CONFLICT (uri) DO UPDATE SET at = excluded.at, quiet = excluded.quiet;"""
TIMED_NO_MORE = """
        DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;"""

# Before the row itself is locked: else its deleter would wait for those who hold the lock and want to judge the row.
REMOVE_LOCK = """
  PERFORM unified_worker.lock({meets}) FROM {table} AS t WHERE t.{key} = {key_value};"""
TAKE = "DELETE FROM {table} AS t WHERE t.{key} = {key_value}"
CLEAR = "UPDATE {table} AS t SET {clears} WHERE t.{key} = {key_value} AND ({filled})"

SHOW_ARM = """\
    WHEN '{collection}' THEN
      UPDATE {table} AS t SET {column} = coalesce((
        SELECT a.{column} FROM {schema}.post_aggregations AS a WHERE a.post_uri = p_uri), 0)
      WHERE t.uri = p_uri;"""

MEETING = "SELECT unnest({meets}) FROM {table} AS t WHERE t.uri = ANY ({uris})"
# One query, so that a record is seen in one of the two places, whoever is moving it.
MEETING_SHARED = (
    MEETING
    + """
        UNION ALL SELECT unnest({meets})
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::{table}, d.record) AS t
        WHERE d.collection = '{collection}' AND d.uri = ANY ({uris})"""
)


def came_at(uri: str) -> str:
    """The expression for when the commit of the record at this URI came; `epoch` if that was not stored yet."""
    return f"coalesce((SELECT c.at FROM unified_worker.commit_times AS c WHERE c.uri = {uri}), 'epoch')"


def quiet(row: str, uri: str, columns: Collection[str]) -> str:
    """The condition that the record of this row came with a whole repo, and notifies nobody. `columns`: its table's."""
    if "commit_seq" in columns:
        return f"{row}.commit_seq IS NULL"
    return f"coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = {uri}), false)"


def array(values: Iterable[str]) -> str:
    """An SQL array of these expressions, of texts."""
    return f"ARRAY[{', '.join(values)}]::text[]"


class RecordTypeSql:
    """The statements of one record type, for record tables that live in `schema`; its table lacks the columns `lacking`."""

    def __init__(self, schema: str, record_type: RecordType, lacking: Collection[str] = ()) -> None:
        self.type = record_type
        self._schema = schema
        self.columns = [column for column in record_type.columns if column.name not in lacking]
        self.kept = [column for column in record_type.columns if column.name in lacking and column.needed is not None]
        self._values = {column.name: self._value(column) for column in self.columns}
        written = {name: _bracketed(value) for name, value in self._values.items()}
        of_row = {name: f"r.{name}" for name in self._values} | {"uri": "v_uri"}
        self._written, self._of_row = written | {"uri": "v_uri"}, of_row
        self.names = {
            "schema": schema,
            "name": record_type.table,
            "table": f"{schema}.{record_type.table}",
            "collection": record_type.collection,
            "put": str(record_type.kind),
            "delete": str(record_type.kind + 1),
            "key": record_type.key,
            "key_value": self._values[record_type.key],
            "columns": ", ".join(self._values),
            "values": ", ".join(self._values.values()),
            "shared": str(record_type.shared).lower(),
            "quiet_of_r": quiet("r", "r.uri", [column.name for column in self.columns]),
            "came": "coalesce(p_at, now())" if record_type.rivals else "'epoch'",
            "came_of_r": came_at("r.uri") if record_type.rivals else "'epoch'",
            "key_of_values": array(self._values[name] for name in record_type.unique),
            "key_is_held": " AND ".join(f"t.{name} = {self._written[name]}" for name in record_type.unique),
            "key_of_r": array(f"r.{name}" for name in record_type.unique),
        }
        self.names["forget"] = FORGET_SHARED.format(meeting=self.meeting("ARRAY[v_uri]")) if record_type.shared else FORGET

    def ahead(self) -> str:
        """The arm that makes what is slow before the locks are taken; empty where there is nothing."""
        values = [self._in_schema(column.value) for column in self.columns if column.ahead]
        return "".join(AHEAD.format(put=self.type.kind, value=value) for value in values)

    def _value(self, column: Column) -> str:
        value = self._in_schema(column.value)
        return f"coalesce(v_ahead[i], {value})" if column.ahead else value

    def put(self) -> str:
        """The arm that puts a record."""
        names = self.names | {
            "written": (TIMED if self.type.timed else "") + self._effects("written", self._written),
            "added": keep(self.kept, self.names) + self._effects("added", self._written),
        }
        names |= {
            "undo": UNDO.format(**names) if self.type.effects else "",
            "updates": ", ".join(
                f"{column.name} = {self._in_schema(column.updated) if column.updated else self._value(column)}"
                for column in self.columns
                if column.name != self.type.key
            ),
        }
        if self.type.unique:
            pairs = ", ".join(f"'{name}', {value}" for name, value in self._values.items())
            return PUT_UNIQUE.format(**names, pairs=pairs)
        return PUT.format(**names, returning=f" RETURNING t.{self.type.returning}" if self.type.returning else "")

    def delete(self) -> str:
        """The arm that deletes a record."""
        text = (DELETE_UNIQUE if self.type.unique else DELETE).format(**self.names)
        return text + TIMED_NO_MORE if self.type.timed else text

    def functions(self) -> list[str]:
        """The functions that the arms call, and the type's own."""
        kept = KEEP_NO_MORE.format(**self.names) if self.kept else ""
        names = self.names | {"removed": kept + self._effects("removed", self._of_row)}
        clears = ", ".join(f"{column.name} = {column.cleared}" for column in self.columns if column.cleared)
        meets = array(map(self._in_schema, self.type.meets))
        needed = [column for column in self.type.columns if column.needed is not None]
        made = [statement for column in needed for statement in value_of(column, self.kept, self.names)]
        made += [function.format(schema=self._schema) for function in self.type.functions]
        made += statements(
            "remove",
            **names,
            take=(CLEAR if self.type.row_stays else TAKE).format(**names, clears=clears, filled=self.type.filled),
            lock=REMOVE_LOCK.format(**names, meets=meets) if self.type.meets else "",
        )
        if self.type.unique:
            matches = " AND ".join(f"t.{name} = p_key[{place}]" for place, name in enumerate(self.type.unique, 1))
            made += statements(
                "settle",
                **names,
                added=self._effects("added", self._of_row),
                cid=self._in_schema(self.type.cid),
                key_matches=matches,
            )
        return made

    def look(self) -> str:
        """What is run for the row r of a set that has to do with others' rows."""
        texts = [f"\n  IF {effect.looks} THEN{effect.after}\n  END IF;" for effect in self.type.effects if effect.looks]
        values = self._of_row
        return "".join(text.format(schema=self._schema, **values) for text in texts).replace("\n", "\n    ")

    def meeting(self, uris: str) -> str | None:
        """The query for where the rows at these URIs (an SQL array) meet others, those that wait for a key of several accounts
        included; None for a type whose rows meet nobody, or go by another key."""
        if not self.type.meets or self.type.key != "uri":
            return None
        names = {"meets": array(map(self._in_schema, self.type.meets)), "uris": uris, **self.names}
        return (MEETING_SHARED if self.type.shared else MEETING).format(**names)

    def _in_schema(self, text: str) -> str:
        return text.format(schema=self._schema)

    def _effects(self, when: str, values: dict[str, str]) -> str:
        texts = [getattr(effect, when) for effect in self.type.effects]
        return "".join(text.format(schema=self._schema, **values) for text in texts).replace("\n", "\n          ")


def _bracketed(expression: str) -> str:
    return expression if re.fullmatch(r"\w+", expression) else f"({expression})"


def shows(schema: str, record_types: Sequence[RecordType]) -> list[str]:
    """The functions that bring a count into the tables that show it."""
    made: list[str] = []
    for column in sorted({record_type.shows for record_type in record_types if record_type.shows}):
        arms = [
            SHOW_ARM.format(
                collection=record_type.collection, table=f"{schema}.{record_type.table}", column=column, schema=schema
            )
            for record_type in record_types
            if record_type.shows == column
        ]
        made += statements("show_count", column=column, arms="\n".join(arms))
    return made
