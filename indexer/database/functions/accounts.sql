-- What #account messages do, and what becomes of a deleted account's letters and notifications.
-- {schema}: where the record tables are.
-- {hiding}: the statuses that hide an account.
-- {not_data_classes}: the classes of SQLSTATEs that are no fault of the data.

-- The row of an account whose commit was refused as a whole, and that row with it; unless that is what the database refuses.
CREATE OR REPLACE FUNCTION unified_worker.try_user(p_did text) RETURNS void LANGUAGE plpgsql AS $try$
BEGIN
  PERFORM unified_worker.ensure_user(r.did, r.handle) FROM unified_worker.repos AS r WHERE r.did = p_did AND NOT r.has_user;
  SET CONSTRAINTS ALL IMMEDIATE;
EXCEPTION WHEN OTHERS THEN
  IF left(SQLSTATE, 2) IN ({not_data_classes}) THEN
    RAISE;
  END IF;
END $try$;

-- Who is deleted lets go of its handle, and who returns stands behind those that claimed it meanwhile.
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

-- An account that came back while it is being wiped: what it writes waits among the dead letters until that is done.
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
      v_outcome := 'kept:frame_dropped';
    END IF;
  END LOOP;
  RETURN v_outcome;
END $keep$;

-- Others' likes and follows of a deleted account go on coming, each with its notification. Its repo's row is locked: who comes
-- back just now keeps what comes from then on.
CREATE OR REPLACE FUNCTION unified_worker.sweep(p_dids text[]) RETURNS void LANGUAGE sql AS $sweep$
  WITH gone AS MATERIALIZED (
    SELECT did FROM unified_worker.repos WHERE did = ANY (p_dids) AND status = 'deleted' AND NOT active
    ORDER BY did FOR UPDATE)
  DELETE FROM {schema}.notifications AS n WHERE n.recipient_did = ANY (ARRAY(SELECT did FROM gone));
$sweep$;
