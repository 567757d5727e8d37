"""The SQL that applies commits, made from the record types: one static function, and a procedure that commits after each.

`unified_worker.apply_commit` holds the guard and one pair of arms (put, delete) a record type; `unified_worker.apply_commits`
loops over a batch, calls it, and says COMMIT. A procedure may do that only outside a transaction block, without a SET clause
and outside a block with EXCEPTION; so names are qualified, and what needs one transaction calls the function.
"""

from collections.abc import Iterable, Sequence

from indexer.batch import REFUSED
from indexer.database.failures import RETRY_CLASSES, RETRY_STATES, SCHEMA_CLASSES
from indexer.database.letters import LETTERS
from indexer.record_type import RecordType

MODE_LIVE = 0  # the rev guard decides
MODE_RETRY = 1  # an operation that was kept: no guard, but only while its dead letter is open
MODE_DIRECT = 2  # rows handed in by a caller of `process_*`: no guard, no commit


OP_PARAMETERS = """p_kind smallint[], p_uri text[], p_cid text[], p_subject text[], p_subject_cid text[],
  p_created_at timestamptz[], p_rest jsonb[]"""
OP_ARGUMENTS = "p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest"

APPLY_COMMIT = """
CREATE OR REPLACE FUNCTION unified_worker.apply_commit(
  p_mode int, p_did text, p_rev text, p_data text, p_seq bigint, p_at timestamptz, p_user boolean, p_frame bytea,
  p_lo int, p_hi int, {op_parameters})
RETURNS text LANGUAGE plpgsql AS $apply$
DECLARE
  v_new boolean := false; v_has_user boolean := false; v_held boolean := true; v_outcome text := 'applied';
  v_uri text; v_cid text; v_subject text; v_subject_cid text; v_created_at timestamptz; v_rest jsonb; v_key text[];
  v_open text[];
BEGIN
  IF p_mode = {live} THEN
    IF p_data IS NULL THEN
      -- Nothing of it can be applied (too big, unreadable): the rev stays, so that a sound copy still can.
      IF EXISTS (SELECT FROM unified_worker.repos WHERE did = p_did AND rev >= p_rev AND p_rev <> '') THEN
        RETURN 'stale';
      END IF;
      IF p_did <> '' THEN
        INSERT INTO unified_worker.repos AS r (did, rev, desynchronized) VALUES (p_did, '', true)
        ON CONFLICT (did) DO UPDATE SET desynchronized = true, updated_at = now();
      END IF;
    ELSE
      -- p_user is NULL for a #sync: whatever led to its tree was not seen, unless the tree is the one that we have.
      INSERT INTO unified_worker.repos AS r (did, rev, data_cid, seq, has_user, desynchronized)
      VALUES (p_did, p_rev, p_data, p_seq, coalesce(p_user, false), p_user IS NULL)
      ON CONFLICT (did) DO UPDATE SET rev = excluded.rev, data_cid = excluded.data_cid, seq = excluded.seq, updated_at = now(),
        desynchronized = r.desynchronized OR (p_user IS NULL AND r.data_cid IS DISTINCT FROM excluded.data_cid)
        WHERE r.rev < excluded.rev
      RETURNING r.has_user, r.held, r.xmax = 0 INTO v_has_user, v_held, v_new;
      IF NOT FOUND THEN
        SELECT CASE WHEN r.rev = p_rev AND r.data_cid <> p_data THEN 'rev_fork' ELSE 'stale' END INTO v_outcome
        FROM unified_worker.repos AS r WHERE r.did = p_did;
        RETURN v_outcome;
      END IF;
    END IF;
  ELSIF p_mode = {retry} THEN
    SELECT r.has_user INTO v_has_user FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
    v_open := ARRAY(SELECT l.path FROM unified_worker.dead_letters AS l WHERE l.did = p_did AND l.rev = p_rev);
  END IF;

  IF p_user AND (v_new OR NOT v_has_user) THEN
    INSERT INTO {schema}.users (did, handle) VALUES (p_did, 'handle.invalid') ON CONFLICT (did) DO NOTHING;
    IF NOT v_new THEN
      UPDATE unified_worker.repos SET has_user = true WHERE did = p_did AND NOT has_user;
    END IF;
  END IF;

  FOR i IN p_lo..p_hi LOOP
    v_uri := p_uri[i];
    v_rest := p_rest[i];
    IF p_kind[i] = {refused} THEN
      IF NOT unified_worker.keep(
        p_did, p_rev, v_rest ->> 'path', p_seq, v_rest ->> 'reason', v_rest ->> 'detail', p_frame, NULL)
      THEN
        v_outcome := 'frame_dropped';
      END IF;
      v_held := true;
      CONTINUE;
    END IF;
    IF v_held THEN
      IF p_mode = {retry} AND NOT unified_worker.path_of(v_uri) = ANY (v_open) THEN
        CONTINUE;
      END IF;
      PERFORM unified_worker.close_letters(p_did, unified_worker.path_of(v_uri));
      DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
    END IF;
    v_cid := p_cid[i];
    v_subject := p_subject[i];
    v_subject_cid := p_subject_cid[i];
    v_created_at := p_created_at[i];
    CASE p_kind[i]
{arms}
    END CASE;
  END LOOP;
  RETURN v_outcome;
END $apply$;
"""

# A row whose unique key is free goes in at once. Else its older self steps out, it joins those that wait, and they are settled.
PUT_UNIQUE = """\
      WHEN {put} THEN
        INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
          DELETE FROM {table} AS t WHERE t.{key} = v_uri RETURNING {key_of_t} INTO v_key;
          IF FOUND AND v_held THEN
            PERFORM unified_worker.settle_{name}(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, created_at, record)
          VALUES (v_uri, '{collection}', {key_of_values}, v_created_at, jsonb_build_object({pairs}));
          PERFORM unified_worker.settle_{name}({key_of_values});
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;"""

PUT = """\
      WHEN {put} THEN
        INSERT INTO {table} AS t ({columns}) VALUES ({values})
        ON CONFLICT ({key}) DO UPDATE SET {updates};"""

DELETE_UNIQUE = """\
      WHEN {delete} THEN
        DELETE FROM {table} AS t WHERE t.{key} = v_uri RETURNING {key_of_t} INTO v_key;
        IF FOUND AND v_held THEN
          PERFORM unified_worker.settle_{name}(v_key);
        END IF;"""

DELETE = """\
      WHEN {delete} THEN
        DELETE FROM {table} WHERE {key} = {key_value};"""

CLEAR = """\
      WHEN {delete} THEN
        UPDATE {table} AS t SET {clears} WHERE {key} = {key_value};"""

# Of all records with one key the oldest holds it: the first of those that wait takes it if it is free or its holder is younger.
SETTLE = """
CREATE OR REPLACE FUNCTION unified_worker.settle_{name}(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; v_uri text; v_created_at timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = '{collection}' AND key = p_key ORDER BY created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.uri, t.created_at INTO v_uri, v_created_at FROM {table} AS t WHERE {key_matches};
  IF FOUND THEN
    IF (v_created_at, v_uri COLLATE "C") <= (v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, created_at, record)
    SELECT t.uri, '{collection}', p_key, t.created_at, to_jsonb(t) FROM {table} AS t WHERE t.uri = v_uri;
    DELETE FROM {table} WHERE uri = v_uri;
  END IF;
  INSERT INTO {table} ({columns})
  SELECT {columns} FROM jsonb_populate_record(NULL::{table}, v_first.record);
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
END $settle$;
"""

# An outcome a commit. With p_isolate a data error takes back that commit alone, which is kept. Errors that a repetition may
# cure, and faults of the schema, go up to the caller: the commits before stand, the rest never ran.
# Durable on return: sessions run with synchronous_commit off; the last transaction turns it on, and must write something.
APPLY_COMMITS = """
CREATE OR REPLACE PROCEDURE unified_worker.apply_commits(
  p_lane int, p_durable boolean, p_isolate boolean,
  p_did text[], p_rev text[], p_data text[], p_seq bigint[], p_at timestamptz[], p_user boolean[], p_frame bytea[],
  p_lo int[], p_hi int[], {op_parameters}, INOUT p_outcome text[])
LANGUAGE plpgsql AS $apply$
DECLARE
  v_count int := cardinality(p_did); v_outcome text;
  v_state text; v_message text; v_detail text; v_constraint text; v_schema text; v_table text;
BEGIN
  FOR i IN 1..v_count LOOP
    IF p_durable AND i = v_count THEN
      PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    IF NOT p_isolate THEN
      v_outcome := unified_worker.apply_commit({live}, p_did[i], p_rev[i], p_data[i], p_seq[i], p_at[i], p_user[i], p_frame[i],
        p_lo[i], p_hi[i], {op_arguments});
    ELSE
      BEGIN
        v_state := NULL;
        v_outcome := unified_worker.apply_commit({live}, p_did[i], p_rev[i], p_data[i], p_seq[i], p_at[i], p_user[i],
          p_frame[i], p_lo[i], p_hi[i], {op_arguments});
        SET CONSTRAINTS ALL IMMEDIATE;
      EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL,
          v_constraint = CONSTRAINT_NAME, v_schema = SCHEMA_NAME, v_table = TABLE_NAME;
        IF left(v_state, 2) IN ({not_data_classes}) OR v_state IN ({not_data_states}) THEN
          RAISE;
        END IF;
      END;
      IF v_state IS NOT NULL THEN
        SELECT 'refused:' || v_state || CASE WHEN bool_and(unified_worker.keep(
          p_did[i], p_rev[i], CASE WHEN p_lo[i] <= p_hi[i] THEN coalesce(unified_worker.path_of(p_uri[j]), p_rest[j] ->> 'path')
            ELSE encode(sha256(p_frame[i]), 'hex') END, p_seq[i],
          CASE v_state WHEN '23503' THEN 'foreign_key' ELSE 'database_' || v_state END,
          concat_ws(E'\n', v_message, nullif(v_detail, '')), p_frame[i],
          CASE WHEN v_state = '23503' AND v_table <> '' THEN  -- an application's trigger names none
            unified_worker.awaited(v_schema, v_table, v_constraint, v_detail) END))
          THEN '' ELSE ':frame_dropped' END
        INTO v_outcome FROM generate_series(p_lo[i], greatest(p_lo[i], p_hi[i])) AS j;
        IF v_state = '23503' THEN  -- the account's own row may be what is missing: the application deleted it
          UPDATE unified_worker.repos SET has_user = false WHERE did = p_did[i] AND has_user;
        END IF;
      END IF;
    END IF;
    IF p_durable AND i = v_count AND v_outcome IN ('stale', 'rev_fork') THEN
      INSERT INTO unified_worker.lanes (lane, flushed_at) VALUES (p_lane, now())
      ON CONFLICT (lane) DO UPDATE SET flushed_at = excluded.flushed_at;
    END IF;
    COMMIT;
    p_outcome[i] := v_outcome;
  END LOOP;
END $apply$;
"""


def arms(schema: str, record_type: RecordType) -> str:
    """The two arms of one record type: putting a record, and deleting one."""
    columns = {column.name: column for column in record_type.columns}
    unique = record_type.unique
    if unique:
        put, delete = PUT_UNIQUE, DELETE_UNIQUE
    else:
        put, delete = PUT, CLEAR if record_type.row_stays else DELETE
    return "\n".join((put, delete)).format(
        put=record_type.kind,
        delete=record_type.kind + 1,
        table=f"{schema}.{record_type.table}",
        name=record_type.table,
        collection=record_type.collection,
        key=record_type.key,
        key_value=columns[record_type.key].value,
        columns=", ".join(columns),
        values=", ".join(column.value for column in columns.values()),
        pairs=", ".join(f"'{column.name}', {column.value}" for column in columns.values()),
        updates=", ".join(
            f"{column.name} = {column.updated or f'excluded.{column.name}'}"
            for column in columns.values()
            if column.name != record_type.key
        ),
        clears=", ".join(f"{column.name} = {column.cleared}" for column in columns.values() if column.cleared),
        key_of_t=array(f"t.{name}::text" for name in unique),
        key_of_values=array(columns[name].value for name in unique),
    )


def array(values: Iterable[str]) -> str:
    """An SQL array of these expressions."""
    return f"ARRAY[{', '.join(values)}]"


def literals(*texts: str) -> str:
    """An SQL list of these words of letters and digits."""
    return ", ".join(f"'{text}'" for text in texts)


def settle(schema: str, record_type: RecordType) -> str:
    """The function that lets the oldest of the records with one unique key hold it."""
    return SETTLE.format(
        name=record_type.table,
        collection=record_type.collection,
        table=f"{schema}.{record_type.table}",
        columns=", ".join(column.name for column in record_type.columns),
        key_matches=" AND ".join(f"t.{name} = p_key[{place}]" for place, name in enumerate(record_type.unique, 1)),
    )


def functions(schema: str, record_types: Sequence[RecordType]) -> list[str]:
    """Every statement that (re)makes the functions and the procedure, for record tables that live in `schema`."""
    names = {
        "schema": schema,
        "live": MODE_LIVE,
        "retry": MODE_RETRY,
        "refused": REFUSED,
        "op_parameters": OP_PARAMETERS,
        "op_arguments": OP_ARGUMENTS,
        "not_data_classes": literals(*RETRY_CLASSES, *SCHEMA_CLASSES),
        "not_data_states": literals(*RETRY_STATES),
    }
    return [
        *LETTERS,
        *(settle(schema, record_type) for record_type in record_types if record_type.unique),
        APPLY_COMMIT.format(arms="\n".join(arms(schema, record_type) for record_type in record_types), **names),
        APPLY_COMMITS.format(**names),
    ]
