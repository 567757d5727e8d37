-- What #account messages do, and what becomes of a deleted account's letters and notifications.
-- {schema}: where the record tables are.
-- {hiding}: the statuses that hide an account. {unconfirmed}: the status of one whose deletion nobody but a relay has told.
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
-- With p_confirm a deletion is only noted: the account is hidden, and all else waits for `confirm_deletion`. Where nothing of the
-- account is stored, there is nothing to lose by believing it.
CREATE OR REPLACE FUNCTION unified_worker.apply_account(
  p_relay text, p_did text, p_seq bigint, p_at timestamptz, p_active boolean, p_status text, p_confirm boolean)
RETURNS text LANGUAGE plpgsql AS $account$
DECLARE
  v_visible boolean := p_active OR coalesce(p_status NOT IN ({hiding}), false);
  v_deleted boolean := NOT p_active AND coalesce(p_status = 'deleted', false);
  v_gone boolean; v_handle text; v_was_gone boolean; v_stored boolean;
BEGIN
  SELECT r.handle, NOT r.active AND coalesce(r.status = 'deleted', false), r.rev <> '' OR r.has_user OR r.handle IS NOT NULL
  INTO v_handle, v_was_gone, v_stored FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  v_gone := v_deleted AND (v_was_gone OR NOT p_confirm OR v_stored IS NOT TRUE);
  INSERT INTO unified_worker.repos AS r
    (did, rev, active, status, account_at, account_seq, account_relay, wiping)
  VALUES (p_did, '', v_visible, CASE WHEN v_deleted AND NOT v_gone THEN '{unconfirmed}' ELSE p_status END, p_at, p_seq, p_relay,
    v_gone)
  ON CONFLICT (did) DO UPDATE SET active = excluded.active, status = excluded.status, account_at = excluded.account_at,
    account_seq = excluded.account_seq, account_relay = excluded.account_relay, wiping = r.wiping OR excluded.wiping,
    updated_at = now()
    WHERE CASE WHEN r.account_relay = p_relay THEN r.account_seq < p_seq ELSE coalesce(r.account_at < p_at, true) END;
  IF NOT FOUND THEN
    RETURN 'stale_message';
  END IF;
  IF v_deleted AND NOT v_gone THEN
    INSERT INTO unified_worker.deletions (did) VALUES (p_did) ON CONFLICT (did) DO NOTHING;
  ELSE
    DELETE FROM unified_worker.deletions WHERE did = p_did;
  END IF;
  PERFORM unified_worker.gone_or_back(p_relay, p_did, p_seq, v_handle, v_gone, v_was_gone);
  IF p_confirm AND v_was_gone AND NOT v_gone AND v_handle IS NOT NULL THEN
    PERFORM unified_worker.ask_handle(p_did);
  END IF;
  PERFORM unified_worker.tell_account(p_did);
  RETURN 'applied';
END $account$;

-- What follows where an account is deleted, or returns: its handle, and the letters that nobody will apply any more.
CREATE OR REPLACE FUNCTION unified_worker.gone_or_back(
  p_relay text, p_did text, p_seq bigint, p_handle text, p_gone boolean, p_was_gone boolean)
RETURNS void LANGUAGE plpgsql AS $gone$
BEGIN
  IF p_handle IS NOT NULL AND p_gone <> p_was_gone THEN
    UPDATE unified_worker.repos SET handle_verified = NULL, handle_checked_at = NULL
    WHERE did = p_did AND handle_checked_at IS NOT NULL;
    PERFORM unified_worker.claim(p_relay, p_did, p_seq, p_handle);
  END IF;
  IF NOT p_gone THEN  -- its host may show its repo again
    UPDATE unified_worker.repairs SET state = 'wanted', retry_at = now() WHERE did = p_did AND state = 'unavailable';
  END IF;
  IF p_gone THEN
    PERFORM unified_worker.desynchronise(p_did, 'wiped');
    PERFORM unified_worker.close_letters(p_did, l.path) FROM (
      SELECT DISTINCT path FROM unified_worker.dead_letters WHERE did = p_did) AS l;
  END IF;
END $gone$;

-- The account's PDS, or the directory, says the same: now its rows go. False: the account has returned, or was asked about anew
-- (`p_since` tells one deletion from the next).
CREATE OR REPLACE FUNCTION unified_worker.confirm_deletion(p_did text, p_since timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $confirm$
DECLARE
  v_repo unified_worker.repos;
BEGIN
  SELECT * INTO v_repo FROM unified_worker.repos WHERE did = p_did FOR UPDATE;
  DELETE FROM unified_worker.deletions WHERE did = p_did AND since = p_since;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE unified_worker.repos SET status = 'deleted', wiping = true, updated_at = now() WHERE did = p_did;
  PERFORM unified_worker.gone_or_back(v_repo.account_relay, p_did, v_repo.account_seq, v_repo.handle, true, false);
  PERFORM unified_worker.tell_account(p_did);
  RETURN true;
END $confirm$;

-- The account's PDS says something else than the relay did: it counts.
CREATE OR REPLACE FUNCTION unified_worker.deny_deletion(p_did text, p_since timestamptz, p_active boolean, p_status text)
RETURNS boolean LANGUAGE plpgsql AS $deny$
BEGIN
  PERFORM FROM unified_worker.repos WHERE did = p_did FOR UPDATE;
  DELETE FROM unified_worker.deletions WHERE did = p_did AND since = p_since;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE unified_worker.repos SET status = p_status, updated_at = now(),
    active = p_active OR coalesce(p_status NOT IN ({hiding}), false) WHERE did = p_did;
  PERFORM unified_worker.tell_account(p_did);
  UPDATE unified_worker.repairs SET state = 'wanted', retry_at = now() WHERE did = p_did AND state = 'unavailable';
  RETURN true;
END $deny$;

-- An account that writes although it is held for inactive, and whose PDS says that it is active. False: an #account came
-- meanwhile (p_seq is that of the last one, when it was asked about).
CREATE OR REPLACE FUNCTION unified_worker.reactivate(p_did text, p_seq bigint) RETURNS boolean LANGUAGE plpgsql AS $reactivate$
DECLARE
  v_repo unified_worker.repos;
BEGIN
  SELECT * INTO v_repo FROM unified_worker.repos WHERE did = p_did FOR UPDATE;
  IF v_repo.active IS NOT FALSE OR v_repo.account_seq IS DISTINCT FROM p_seq THEN
    RETURN false;
  END IF;
  UPDATE unified_worker.repos SET active = true, status = NULL, updated_at = now() WHERE did = p_did;
  DELETE FROM unified_worker.deletions WHERE did = p_did;
  -- No relay's seq: nobody's claim is overtaken.
  PERFORM unified_worker.gone_or_back(NULL, p_did, NULL, v_repo.handle, false, coalesce(v_repo.status = 'deleted', false));
  PERFORM unified_worker.ask_handle(p_did);
  PERFORM unified_worker.tell_account(p_did);
  RETURN true;
END $reactivate$;

CREATE OR REPLACE FUNCTION unified_worker.apply_message(
  p_relay text, p_did text, p_seq bigint, p_at timestamptz, p_said jsonb, p_confirm boolean)
RETURNS text LANGUAGE plpgsql AS $message$
BEGIN
  IF p_said ? 'active' THEN
    RETURN unified_worker.apply_account(
      p_relay, p_did, p_seq, p_at, (p_said -> 'active')::boolean, p_said ->> 'status', p_confirm);
  ELSIF p_said ? 'handle' THEN
    RETURN unified_worker.apply_identity(p_relay, p_did, p_seq, p_at, p_said ->> 'handle', p_confirm);
  ELSIF p_confirm THEN
    PERFORM unified_worker.ask_handle(p_did);
  END IF;
  RETURN 'no_news';
END $message$;

-- An account that came back while it is being wiped: what it writes waits among the dead letters until that is done. What is
-- unproven waits for its key first, and by then the wipe has ended as a rule.
CREATE OR REPLACE FUNCTION unified_worker.keep_wiping(
  p_did text, p_rev text, p_seq bigint, p_frame bytea, p_kind smallint[], p_uri text[], p_rest jsonb[], p_unproven boolean)
RETURNS text LANGUAGE plpgsql AS $keep$
DECLARE
  v_outcome text := 'kept'; v_path text;
BEGIN
  FOR i IN 1..cardinality(p_kind) LOOP
    v_path := coalesce(unified_worker.path_of(p_uri[i]), p_rest[i] ->> 'path');
    IF p_kind[i] > 0 AND p_kind[i] % 2 = 1 THEN  -- a deletion: of a row that goes anyhow, or of what waits
      PERFORM unified_worker.close_letters(p_did, v_path);
    ELSIF NOT unified_worker.keep(p_did, p_rev, v_path, p_seq,
      CASE WHEN p_uri[i] IS NULL THEN p_rest[i] ->> 'reason' WHEN p_unproven THEN 'unproven' ELSE 'wiping' END,
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
