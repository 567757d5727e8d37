-- Repair of a repo from its whole CAR: mark, begin to write, compare and write slice by slice, settle. Each is a transaction.
-- All of them lock the repo's row first, as its commits do. Who was overtaken (another worker has the claim, or too much was
-- touched) is told 'lost', and may write no more.
-- {rebuilding}: the keys of the lock that a rebuild holds. {refused}: the kind of a record that is kept instead of written.
-- {compared}: for each record type, what differs. {ahead}, {arms}: the branches of the write path.
-- {most_touched}: the most paths that are noted while a repo is fetched.
-- {backfill}: from which priority on a repo is wanted by a backfill.
-- {lease}: how long a claim lasts without a word of its holder.

-- What a commit wrote or deleted while its repo is fetched or compared.
CREATE OR REPLACE FUNCTION unified_worker.touch(p_did text, p_rev text, p_uri text[], p_rest jsonb[]) RETURNS void
LANGUAGE plpgsql AS $touch$
DECLARE
  v_count bigint;
BEGIN
  INSERT INTO unified_worker.touched AS t (did, path, rev)
  SELECT DISTINCT p_did, coalesce(unified_worker.path_of(o.uri), o.rest ->> 'path'), p_rev FROM unnest(p_uri, p_rest) AS o (uri, rest)
  WHERE coalesce(unified_worker.path_of(o.uri), o.rest ->> 'path') IS NOT NULL
  ON CONFLICT (did, path) DO UPDATE SET rev = greatest(t.rev, excluded.rev);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  UPDATE unified_worker.repairs SET touched = touched + v_count WHERE did = p_did AND touched + v_count <= {most_touched};
  IF NOT FOUND THEN  -- it begins anew, at a quieter hour
    PERFORM unified_worker.repair_leave(p_did, NULL, 'wanted', 'overflow', interval '10 minutes', true);
  END IF;
END $touch$;

-- 'ok', or why the claim may not go on.
CREATE OR REPLACE FUNCTION unified_worker.repair_check(p_did text, p_claim int) RETURNS text LANGUAGE plpgsql AS $check$
DECLARE
  v_repo unified_worker.repos; v_lease timestamptz;
BEGIN
  SELECT * INTO v_repo FROM unified_worker.repos WHERE did = p_did FOR UPDATE;
  SELECT lease_until INTO v_lease FROM unified_worker.repairs
  WHERE did = p_did AND claim = p_claim AND state IN ('fetching', 'writing') FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'lost';
  END IF;
  IF v_lease < now() + interval '{lease}' / 2 THEN
    UPDATE unified_worker.repairs SET lease_until = now() + interval '{lease}' WHERE did = p_did;
  END IF;
  RETURN CASE WHEN v_repo.wiping THEN 'wiping' WHEN NOT v_repo.active THEN 'inactive' WHEN NOT v_repo.fetching THEN 'lost'
    ELSE 'ok' END;
END $check$;

-- Before the request goes out: from now on it is noted what commits touch.
CREATE OR REPLACE FUNCTION unified_worker.repair_mark(p_did text, p_claim int) RETURNS text LANGUAGE plpgsql AS $mark$
DECLARE
  v_repo unified_worker.repos;
BEGIN
  INSERT INTO unified_worker.repos (did, rev) VALUES (p_did, '') ON CONFLICT (did) DO NOTHING;
  SELECT * INTO v_repo FROM unified_worker.repos WHERE did = p_did FOR UPDATE;
  PERFORM FROM unified_worker.repairs WHERE did = p_did AND claim = p_claim AND state = 'fetching' FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'lost';
  ELSIF v_repo.wiping THEN
    RETURN 'wiping';
  ELSIF NOT v_repo.active THEN
    RETURN 'inactive';
  END IF;
  DELETE FROM unified_worker.touched WHERE did = p_did;
  UPDATE unified_worker.repos SET fetching = true, sync = CASE sync WHEN 2 THEN 3 ELSE sync END, updated_at = now()
  WHERE did = p_did;
  -- What turned out to be forged is no floor.
  UPDATE unified_worker.repairs SET touched = 0, kept = 0, car_rev = NULL, floor_sync = v_repo.sync,
    floor_rev = CASE WHEN v_repo.rev = v_repo.refuted_rev THEN '' ELSE v_repo.rev END
  WHERE did = p_did;
  RETURN 'ok';
END $mark$;

-- The CAR is proven. From here on it counts for all that its rev covers: commits up to it are stale, also those that come later,
-- and what went wrong with them before is in it. Until `repair_settle` its state says that it is not whole, whatever it was.
-- p_proven: the account's key signed it. 'behind': the repo is further. 'same': nothing can be missing.
-- 'again': what was written meanwhile stood on forged commits.
CREATE OR REPLACE FUNCTION unified_worker.repair_begin(
  p_did text, p_claim int, p_rev text, p_data text, p_proven boolean, p_records bigint, p_bytes bigint)
RETURNS text LANGUAGE plpgsql AS $begin$
DECLARE
  v_word text := unified_worker.repair_check(p_did, p_claim); v_repo unified_worker.repos; v_repair unified_worker.repairs;
BEGIN
  IF v_word <> 'ok' THEN
    RETURN v_word;
  END IF;
  SELECT * INTO v_repo FROM unified_worker.repos WHERE did = p_did;
  SELECT * INTO v_repair FROM unified_worker.repairs WHERE did = p_did;
  IF p_rev < v_repair.floor_rev THEN
    RETURN 'behind';
  ELSIF v_repo.sync = 1 AND NOT v_repo.filtered AND v_repo.data_cid = p_data THEN
    RETURN 'same';
  END IF;
  IF v_repo.rev = v_repo.refuted_rev AND EXISTS (
    SELECT FROM unified_worker.touched WHERE did = p_did AND rev > p_rev)
  THEN
    RETURN 'again';
  END IF;
  UPDATE unified_worker.repairs SET state = 'writing', car_rev = p_rev, records = p_records, bytes = p_bytes WHERE did = p_did;
  IF v_repo.rev <= p_rev OR v_repo.rev = v_repo.refuted_rev THEN
    UPDATE unified_worker.repos SET rev = p_rev, data_cid = p_data, doubt = NULL, refuted_rev = NULL,
      sync = CASE WHEN sync = 2 AND refused_rev > p_rev THEN 2 ELSE 3 END,
      sync_reason = CASE WHEN sync < 2 THEN 'unfinished' ELSE sync_reason END,
      sync_at = CASE WHEN sync < 2 THEN now() ELSE sync_at END,
      refused_rev = CASE WHEN refused_rev > p_rev THEN refused_rev END,
      unproven = CASE WHEN NOT p_proven THEN unproven END, unproven_at = CASE WHEN NOT p_proven THEN unproven_at END,
      updated_at = now()
    WHERE did = p_did;
  END IF;
  RETURN 'ok';
END $begin$;

-- Compares a slice: the records of the repo at URIs from p_first to before p_end, parallel arrays, with the rows that are there.
-- p_kinds: the types that may have rows in it. p_kind {refused}: a record that is refused, whose row stays as it is.
-- p_created_at is null where the record does not say it; p_places are what is missing or different, by place; p_gone what the repo
-- does not have any more. Letters of what the repo tells anew are closed, so that no retry brings back what was before; not of
-- records that are there as they were when a repair kept them.
-- Every plan is made for its own range: whatever the planner knows of the table, it reads no more than that.
CREATE OR REPLACE FUNCTION unified_worker.repair_compare(
  p_did text, p_claim int, p_rev text, p_kinds smallint[], p_first text, p_end text, p_refused text[],
  p_kind smallint[], p_uri text[], p_cid text[], p_subject text[], p_subject_cid text[], p_created_at timestamptz[],
  p_rest jsonb[],
  OUT p_word text, OUT p_places int[], OUT p_gone text[], OUT p_gone_kinds smallint[])
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $compare$
DECLARE
  v_from text := substr(p_first, length(p_did) + 7); v_to text := substr(p_end, length(p_did) + 7); v_gone text[];
  v_refused text[] := ARRAY(SELECT o.uri FROM unnest(p_kind, p_uri) AS o (kind, uri) WHERE o.kind = {refused});
  v_sorted boolean := (SELECT min(v.tables_by) = 'worker' FROM unified_worker.schema_version AS v);
BEGIN
  p_places := '{}';
  p_gone := '{}';
  p_gone_kinds := '{}';
  p_word := unified_worker.repair_check(p_did, p_claim);
  IF p_word <> 'ok' THEN
    RETURN;
  END IF;
{compared}
  IF (SELECT r.held FROM unified_worker.repos AS r WHERE r.did = p_did) THEN
    PERFORM unified_worker.close_letters(p_did, l.path, NULL, false, p_rev) FROM (
      SELECT DISTINCT d.path FROM unified_worker.dead_letters AS d
      WHERE d.did = p_did AND d.rev <= p_rev AND NOT d.forged AND d.path >= v_from AND (d.path < v_to OR v_to = '')
        AND d.path <> ALL (p_refused) AND NOT EXISTS (
          SELECT FROM unnest(p_uri, p_cid) AS o (uri, cid)
          WHERE o.cid = d.record_cid AND o.uri = 'at://' || p_did || '/' || d.path)) AS l;
  END IF;
END $compare$;

-- Writes a part of a slice, as a commit would: deletions first, so that a key is free for who comes next. Paths that newer commits
-- touched are left out. p_at: when each record's commit came, as far as its key tells. p_quiet: nobody is to be told of it.
CREATE OR REPLACE FUNCTION unified_worker.repair_write(
  p_did text, p_claim int, p_rev text, p_buckets int[], p_kind smallint[], p_uri text[], p_cid text[], p_subject text[],
  p_subject_cid text[], p_created_at timestamptz[], p_rest jsonb[], p_times timestamptz[], p_quiet boolean[])
RETURNS text LANGUAGE plpgsql AS $write$
DECLARE
  p_seq bigint; p_at timestamptz; p_lo int := 1; p_hi int := cardinality(p_kind);
  v_held boolean := true; v_uri text; v_cid text; v_subject text; v_subject_cid text; v_created_at timestamptz; v_rest jsonb;
  v_key text[]; v_ahead tsvector[]; v_left int; v_quoted text; v_again boolean; v_gated boolean; v_intrudes boolean;
  v_embeds boolean; v_quiet boolean; p_new jsonb; v_locked text; v_word text; v_touched text[];
BEGIN
  v_locked := pg_advisory_xact_lock_shared({rebuilding})::text;
  v_word := unified_worker.repair_check(p_did, p_claim);
  IF v_word <> 'ok' THEN
    RETURN v_word;
  END IF;
  v_touched := ARRAY(
    SELECT t.path FROM unified_worker.touched AS t
    WHERE t.did = p_did AND t.rev > p_rev AND t.path = ANY (ARRAY(SELECT unified_worker.path_of(u) FROM unnest(p_uri) AS u)));
  FOR i IN p_lo..p_hi LOOP
    v_rest := p_rest[i];
    CASE p_kind[i]
{ahead}
      ELSE NULL;
    END CASE;
  END LOOP;
  PERFORM unified_worker.lock_commit(p_buckets, p_uri);
  PERFORM unified_worker.close_letters(p_did, d.path, NULL, false, p_rev) FROM unified_worker.dead_letters AS d
  WHERE d.did = p_did AND d.record_cid IS NOT NULL AND d.rev <= p_rev AND d.path <> ALL (v_touched)
    AND 'at://' || p_did || '/' || d.path = ANY (p_uri);
  PERFORM unified_worker.ensure_user(r.did, r.handle) FROM unified_worker.repos AS r
  WHERE r.did = p_did AND NOT r.has_user AND EXISTS (SELECT FROM unnest(p_cid) AS c WHERE c IS NOT NULL);
  FOR i IN p_lo..p_hi LOOP
    v_uri := p_uri[i];
    CONTINUE WHEN unified_worker.path_of(v_uri) = ANY (v_touched);
    v_rest := p_rest[i];
    v_cid := p_cid[i];
    v_subject := p_subject[i];
    v_subject_cid := p_subject_cid[i];
    v_created_at := p_created_at[i];
    p_at := p_times[i];
    v_quiet := p_quiet[i];
    CASE p_kind[i]
{arms}
    END CASE;
  END LOOP;
  SET CONSTRAINTS ALL IMMEDIATE;
  RETURN 'ok';
END $write$;

-- A record that is refused has one letter, however often its repo is fetched: without a frame, since the next repair tries it
-- again. Returns what `repair_check` says.
CREATE OR REPLACE FUNCTION unified_worker.repair_refuse(
  p_did text, p_claim int, p_rev text, p_path text, p_cid text, p_reason text, p_detail text, p_awaited text[])
RETURNS text LANGUAGE plpgsql AS $refuse$
DECLARE
  v_word text := unified_worker.repair_check(p_did, p_claim);
BEGIN
  IF v_word <> 'ok' OR EXISTS (SELECT FROM unified_worker.touched WHERE did = p_did AND path = p_path AND rev > p_rev) OR EXISTS (
    SELECT FROM unified_worker.dead_letters
    WHERE did = p_did AND path = p_path AND reason = p_reason AND record_cid = p_cid AND NOT forged)
  THEN
    RETURN v_word;
  END IF;
  PERFORM unified_worker.close_letters(p_did, p_path, NULL, false, p_rev);
  PERFORM unified_worker.keep(p_did, p_rev, p_path, NULL, p_reason, p_detail, NULL, p_awaited);
  UPDATE unified_worker.dead_letters SET record_cid = p_cid WHERE did = p_did AND path = p_path AND rev = p_rev;
  RETURN v_word;
END $refuse$;

-- The same for a record that the database refused: the repo is not whole.
CREATE OR REPLACE FUNCTION unified_worker.repair_refuse_by(
  p_did text, p_claim int, p_rev text, p_path text, p_cid text, p_state text, p_message text, p_schema text, p_table text,
  p_constraint text, p_detail text)
RETURNS text LANGUAGE plpgsql AS $refuse$
DECLARE
  v_word text;
BEGIN
  SELECT unified_worker.repair_refuse(p_did, p_claim, p_rev, p_path, p_cid, r.reason,
    concat_ws(E'\n', p_message, nullif(p_detail, '')), r.awaited)
  INTO v_word FROM unified_worker.refusal(p_state, p_schema, p_table, p_constraint, p_detail) AS r;
  UPDATE unified_worker.repairs SET kept = kept + 1 WHERE did = p_did AND claim = p_claim;
  RETURN v_word;
END $refuse$;

-- Everything is in. What went wrong since `repair_begin` stays. p_filtered: records were left out by COLLECTIONS.
-- p_host: of unified_worker.hosts, which gave it out. Durable on return, and with it all before it.
CREATE OR REPLACE FUNCTION unified_worker.repair_settle(p_did text, p_claim int, p_filtered boolean, p_host int)
RETURNS text LANGUAGE plpgsql AS $settle$
DECLARE
  v_word text := unified_worker.repair_check(p_did, p_claim); v_repair unified_worker.repairs; v_sync smallint; v_reason text;
BEGIN
  IF v_word <> 'ok' THEN
    RETURN v_word;
  END IF;
  PERFORM set_config('synchronous_commit', 'on', true);
  SELECT * INTO v_repair FROM unified_worker.repairs WHERE did = p_did;
  UPDATE unified_worker.repos SET fetching = false, synced_at = now(), updated_at = now(),
    filtered = p_filtered OR filtered AND v_repair.touched > 0,
    sync = CASE sync WHEN 2 THEN 2 ELSE 1 END,
    sync_reason = CASE sync WHEN 2 THEN sync_reason END, sync_at = CASE sync WHEN 2 THEN sync_at END,
    refused_from = CASE sync WHEN 2 THEN refused_from END
  WHERE did = p_did;
  DELETE FROM unified_worker.touched WHERE did = p_did;
  IF v_repair.kept > 0 THEN
    PERFORM unified_worker.desynchronise(p_did, 'refused', true);
  END IF;
  SELECT r.sync, r.sync_reason INTO v_sync, v_reason FROM unified_worker.repos AS r WHERE r.did = p_did;
  IF v_sync = 2 THEN
    PERFORM unified_worker.repair_leave(p_did, NULL, 'wanted', v_reason,
      least(2 ^ least(v_repair.failures, 11), 1440) * interval '1 minute', true);
  ELSE
    DELETE FROM unified_worker.repairs WHERE did = p_did;
  END IF;
  UPDATE unified_worker.hosts SET repos_done = repos_done + 1, records_done = records_done + coalesce(v_repair.records, 0),
    bytes_done = bytes_done + coalesce(v_repair.bytes, 0)
  WHERE id = p_host;
  RETURN 'ok';
END $settle$;

-- The repair ends without being done: p_state says what becomes of it (null: it is wanted no more), and p_after when it is tried
-- again at the earliest. p_claim: null for whoever has it.
CREATE OR REPLACE FUNCTION unified_worker.repair_leave(
  p_did text, p_claim int, p_state text, p_reason text, p_after interval, p_failed boolean)
RETURNS boolean LANGUAGE plpgsql AS $leave$
DECLARE
  v_host int;
BEGIN
  PERFORM FROM unified_worker.repos WHERE did = p_did FOR UPDATE;
  -- Of a backfill nobody waits for what is not there; of the network it would be millions.
  UPDATE unified_worker.repairs SET reason = p_reason,
    state = CASE WHEN p_state = 'unavailable' AND priority >= {backfill} THEN '' ELSE coalesce(p_state, '') END,
    claim = claim + 1, holder = NULL, lease_until = NULL, failures = failures + p_failed::int, retry_at = now() + p_after
  WHERE did = p_did AND claim = coalesce(p_claim, claim) RETURNING host INTO v_host;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM unified_worker.repairs WHERE did = p_did AND state = '';
  DELETE FROM unified_worker.touched WHERE did = p_did;
  UPDATE unified_worker.repos SET fetching = false, sync = CASE sync WHEN 3 THEN 2 ELSE sync END WHERE did = p_did;
  IF v_host IS NOT NULL AND (p_failed OR p_state = 'unavailable') THEN
    UPDATE unified_worker.hosts SET failed = failed + p_failed::int, unavailable = unavailable + (p_state = 'unavailable')::int
    WHERE id = v_host;
  END IF;
  RETURN true;
END $leave$;

-- What a worker had under way that is no more begins anew: its own from before its start, and what nobody has said a word of.
CREATE OR REPLACE FUNCTION unified_worker.repair_reset(p_holder text) RETURNS bigint LANGUAGE sql AS $reset$
  SELECT count(*) FILTER (WHERE unified_worker.repair_leave(x.did, x.claim, 'wanted', NULL, interval '0', false)) FROM (
    SELECT did, claim FROM unified_worker.repairs
    WHERE holder IS NOT NULL AND (holder = p_holder OR lease_until < now()) ORDER BY did) AS x;
$reset$;
