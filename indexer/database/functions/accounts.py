"""What #account messages do, and the wipe of an account that was deleted.

A message applies if it is newer than the last of its kind: by seq if that came from the same relay, else by time.
"""

from collections.abc import Mapping, Sequence

from indexer.database.functions.handles import HANDLES
from indexer.records.base.record_type import RecordType

# Statuses of the lexicon com.atproto.sync.subscribeRepos#account that hide an account; others, and those to come, are details.
HIDING = ("takendown", "suspended", "deleted", "deactivated")

# The row of an account whose commit was refused as a whole, and that row with it; unless that is what the database refuses.
TRY_USER = """
CREATE OR REPLACE FUNCTION unified_worker.try_user(p_did text) RETURNS void LANGUAGE plpgsql AS $try$
BEGIN
  PERFORM unified_worker.ensure_user(r.did, r.handle) FROM unified_worker.repos AS r WHERE r.did = p_did AND NOT r.has_user;
  SET CONSTRAINTS ALL IMMEDIATE;
EXCEPTION WHEN OTHERS THEN
  IF left(SQLSTATE, 2) IN ({not_data_classes}) THEN
    RAISE;
  END IF;
END $try$;
"""
# Who is deleted lets go of its handle, and who returns stands behind those that claimed it meanwhile.
ACCOUNT = """
CREATE OR REPLACE FUNCTION unified_worker.apply_account(
  p_relay text, p_did text, p_seq bigint, p_at timestamptz, p_active boolean, p_status text)
RETURNS text LANGUAGE plpgsql AS $account$
DECLARE
  v_visible boolean := p_active OR coalesce(p_status NOT IN ({hiding}), false);
  v_gone boolean := NOT p_active AND coalesce(p_status = 'deleted', false);
  v_handle text; v_was_gone boolean;
BEGIN
  SELECT r.handle, NOT r.active AND coalesce(r.status = 'deleted', false) INTO v_handle, v_was_gone
  FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  INSERT INTO unified_worker.repos AS r
    (did, rev, active, status, account_at, account_seq, account_relay, wiping, desynchronized)
  VALUES (p_did, '', v_visible, p_status, p_at, p_seq, p_relay, v_gone, v_gone)
  ON CONFLICT (did) DO UPDATE SET active = excluded.active, status = excluded.status, account_at = excluded.account_at,
    account_seq = excluded.account_seq, account_relay = excluded.account_relay, wiping = r.wiping OR excluded.wiping,
    desynchronized = r.desynchronized OR excluded.wiping, updated_at = now()
    WHERE CASE WHEN r.account_relay = p_relay THEN r.account_seq < p_seq ELSE coalesce(r.account_at < p_at, true) END;
  IF NOT FOUND THEN
    RETURN 'stale_message';
  END IF;
  IF v_handle IS NOT NULL AND v_gone <> v_was_gone THEN
    PERFORM unified_worker.claim(p_relay, p_did, p_seq, v_handle);
  END IF;
  IF v_gone THEN
    PERFORM unified_worker.close_letters(p_did, l.path) FROM (
      SELECT DISTINCT path FROM unified_worker.dead_letters WHERE did = p_did) AS l;
  END IF;
  RETURN 'applied';
END $account$;
""".replace("{hiding}", ", ".join(f"'{status}'" for status in HIDING))
MESSAGE = """
CREATE OR REPLACE FUNCTION unified_worker.apply_message(
  p_relay text, p_did text, p_seq bigint, p_at timestamptz, p_said jsonb) RETURNS text LANGUAGE plpgsql AS $message$
BEGIN
  IF p_said ? 'active' THEN
    RETURN unified_worker.apply_account(
      p_relay, p_did, p_seq, p_at, (p_said -> 'active')::boolean, p_said ->> 'status');
  ELSIF p_said ? 'handle' THEN
    RETURN unified_worker.apply_identity(p_relay, p_did, p_seq, p_at, p_said ->> 'handle');
  END IF;
  RETURN 'no_news';
END $message$;
"""
# An account that came back while it is being wiped: what it writes waits among the dead letters until that is done.
KEEP_WIPING = """
CREATE OR REPLACE FUNCTION unified_worker.keep_wiping(
  p_did text, p_rev text, p_seq bigint, p_frame bytea, p_kind smallint[], p_uri text[], p_rest jsonb[])
RETURNS text LANGUAGE plpgsql AS $keep$
DECLARE
  v_outcome text := 'kept'; v_path text;
BEGIN
  FOR i IN 1..cardinality(p_kind) LOOP
    v_path := coalesce(unified_worker.path_of(p_uri[i]), p_rest[i] ->> 'path');
    IF p_kind[i] > 0 AND p_kind[i] % 2 = 1 THEN  -- a deletion: of a row that goes anyhow, or of what waits
      PERFORM unified_worker.close_letters(p_did, v_path);
    ELSIF NOT unified_worker.keep(p_did, p_rev, v_path, p_seq,
      CASE WHEN p_uri[i] IS NULL THEN p_rest[i] ->> 'reason' ELSE 'wiping' END,
      CASE WHEN p_uri[i] IS NULL THEN p_rest[i] ->> 'detail' ELSE 'the account was deleted, and its rows are still going' END,
      p_frame, NULL)
    THEN
      v_outcome := 'frame_dropped';
    END IF;
  END LOOP;
  RETURN v_outcome;
END $keep$;
"""

# Others' likes and follows of a deleted account go on coming, each with its notification. Its repo's row is locked: who comes
# back just now keeps what comes from then on.
SWEEP = """
CREATE OR REPLACE FUNCTION unified_worker.sweep(p_dids text[]) RETURNS void LANGUAGE sql AS $sweep$
  WITH gone AS MATERIALIZED (
    SELECT did FROM unified_worker.repos WHERE did = ANY (p_dids) AND status = 'deleted' AND NOT active
    ORDER BY did FOR UPDATE)
  DELETE FROM {schema}.notifications AS n WHERE n.recipient_did = ANY (ARRAY(SELECT did FROM gone));
$sweep$;
"""

ACCOUNTS = (*HANDLES, TRY_USER, ACCOUNT, MESSAGE, KEEP_WIPING, SWEEP)

# Rows that a transaction of a wipe takes: few, since other accounts' commits wait for its locks.
WIPE_ROWS = 100
MOST_REFUSED = 1_000  # records that a wipe passes over, since the database does not let them go

# Takes away up to p_most rows, and more where the last step does; p_done says whether the account is wiped. The repo's row is
# locked first, as every commit of it does. Last go the notifications: to the account, and of its records that are no more.
# Where the database refuses a step, that is halved down to the record that it refuses; the others go all the same. The error
# comes up when nothing else is left to take.
WIPE = """
CREATE OR REPLACE PROCEDURE unified_worker.wipe(p_did text, p_most int, INOUT p_done boolean) LANGUAGE plpgsql AS $wipe$
DECLARE
  v_first text := 'at://' || p_did || '/'; v_end text := 'at://' || p_did || '0';  -- '0' is the character after '/'
  v_kinds smallint[]; v_uris text[]; v_none text[]; v_taken int := 0; v_rows int := {step}; v_refused text[] := '{{}}';
  v_state text; v_message text; v_detail text;
BEGIN
  p_done := false;
  WHILE NOT p_done AND v_taken < p_most LOOP
    PERFORM FROM unified_worker.repos WHERE did = p_did AND wiping FOR UPDATE;
    IF NOT FOUND THEN
      p_done := true;
    ELSE
      DELETE FROM unified_worker.duplicate_records WHERE uri >= v_first AND uri < v_end AND collection NOT IN ({shared});
      SELECT array_agg(x.kind), array_agg(x.uri) INTO v_kinds, v_uris FROM (
        {rows}
        LIMIT v_rows) AS x (kind, uri);
      IF v_uris IS NULL OR cardinality(v_refused) >= {most_refused} THEN
        DELETE FROM {schema}.notifications WHERE recipient_did = p_did;
        DELETE FROM {schema}.notifications WHERE uri COLLATE "C" >= v_first AND uri COLLATE "C" < v_end;
        IF v_refused <> '{{}}' THEN
          COMMIT;
          RAISE EXCEPTION USING ERRCODE = v_state, DETAIL = v_detail,
            MESSAGE = format('%s records stay, %s for one: %s', cardinality(v_refused), v_refused[1], v_message);
        END IF;
        DELETE FROM unified_worker.commit_times WHERE uri >= v_first AND uri < v_end;
        UPDATE unified_worker.repos SET wiping = false, wiped_at = now(), updated_at = now() WHERE did = p_did;
        DELETE FROM unified_worker.stuck_wipes WHERE did = p_did;
        p_done := true;
      ELSE
        v_none := array_fill(NULL::text, ARRAY[cardinality(v_uris)]);
        BEGIN
          PERFORM unified_worker.apply_commit({wipe}, p_did, NULL, NULL, NULL, NULL, NULL, false, false, NULL, NULL::int[], 1,
            0, 1, cardinality(v_uris), v_kinds, v_uris, v_none, v_none, v_none, v_none::timestamptz[], v_none::jsonb[]);
          SET CONSTRAINTS ALL IMMEDIATE;
          v_taken := v_taken + cardinality(v_uris);
          v_rows := least(2 * v_rows, {step});
        EXCEPTION WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL;
          IF left(v_state, 2) IN ({not_data_classes}) THEN
            RAISE;
          END IF;
          IF cardinality(v_uris) = 1 THEN
            v_refused := v_refused || v_uris;
          END IF;
          v_rows := greatest(cardinality(v_uris) / 2, 1);
        END;
      END IF;
    END IF;
    COMMIT;
  END LOOP;
END $wipe$;
"""
# Where accounts compete for a key, others move the account's records between their table and those that wait: so both are
# looked through at once.
WIPE_WAITING = """(SELECT {delete}::smallint, d.uri FROM unified_worker.duplicate_records AS d
          WHERE d.uri >= v_first AND d.uri < v_end AND d.collection = '{collection}' AND d.uri <> ALL (v_refused)
          LIMIT v_rows)"""
WIPE_BRANCH = "(SELECT {delete}::smallint, {uri} FROM {table} AS t WHERE {mine} AND {uri} <> ALL (v_refused) LIMIT v_rows)"


def wipe(schema: str, record_types: Sequence[RecordType], names: Mapping[str, object]) -> str:
    """The procedure that takes away an account's rows, with all that follows from them."""
    branches = [
        WIPE_BRANCH.format(
            delete=record_type.kind + 1,
            uri=record_type.record_uri,
            table=f"{schema}.{record_type.table}",
            mine=_mine(record_type),
        )
        for record_type in record_types
    ]
    shared = [record_type for record_type in record_types if record_type.shared]
    branches += [WIPE_WAITING.format(delete=record_type.kind + 1, collection=record_type.collection) for record_type in shared]
    rows = "\n        UNION ALL ".join(branches)
    collections = ", ".join(f"'{record_type.collection}'" for record_type in shared) or "''"
    return WIPE.format_map({**names, "rows": rows, "shared": collections, "step": WIPE_ROWS, "most_refused": MOST_REFUSED})


def _mine(record_type: RecordType) -> str:
    """The condition by which the account's rows are found."""
    if record_type.author is None:
        key = f't.{record_type.key} COLLATE "C"'
        return f"{key} >= v_first AND {key} < v_end"
    mine = f"t.{record_type.author} = p_did"
    if record_type.row_stays:
        mine += f" AND ({record_type.filled})"
    return mine
