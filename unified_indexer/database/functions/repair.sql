-- Repair of a repo from its whole CAR: mark, begin, settle, leave. Each is a transaction, and so are comparing
-- (repair_compare.sql), writing (repair_set.sql, repair_write.sql) and looking (repair_look.sql).
-- All of them lock the repo's row first, as its commits do. Who was overtaken (another worker has the claim, or too much was
-- touched) is told 'lost', and may write no more.
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
-- 'again': what was written meanwhile stood on forged commits. 'new': 'ok', and nothing of the repo was ever written here.
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
  ELSIF v_repo.sync = 1 AND NOT (v_repo.filtered OR v_repo.unlooked OR v_repo.blind) AND v_repo.data_cid = p_data THEN
    RETURN 'same';
  END IF;
  IF v_repo.rev = v_repo.refuted_rev AND EXISTS (
    SELECT FROM unified_worker.touched WHERE did = p_did AND rev > p_rev)
  THEN
    RETURN 'again';
  END IF;
  UPDATE unified_worker.repairs SET state = 'writing', car_rev = p_rev, records = p_records, bytes = p_bytes WHERE did = p_did;
  IF v_repo.rev <= p_rev OR v_repo.rev = v_repo.refuted_rev THEN
    UPDATE unified_worker.repos SET rev = p_rev, data_cid = p_data, blind = false, doubt = NULL, refuted_rev = NULL,
      sync = CASE WHEN sync = 2 AND refused_rev > p_rev THEN 2 ELSE 3 END,
      sync_reason = CASE WHEN sync < 2 THEN 'unfinished' ELSE sync_reason END,
      sync_at = CASE WHEN sync < 2 THEN now() ELSE sync_at END,
      refused_rev = CASE WHEN refused_rev > p_rev THEN refused_rev END,
      unproven = CASE WHEN NOT p_proven THEN unproven END, unproven_at = CASE WHEN NOT p_proven THEN unproven_at END,
      updated_at = now()
    WHERE did = p_did;
  END IF;
  -- An application may have written rows without us.
  RETURN CASE WHEN v_repo.rev = '' AND NOT v_repo.has_user AND NOT v_repo.held
    AND (SELECT min(v.tables_by) = 'worker' FROM unified_worker.schema_version AS v) THEN 'new' ELSE 'ok' END;
END $begin$;

-- Everything of a repo is in, but for what the database refused: with that, the next repair looks once more for what others' rows
-- have to do with its records. What went wrong since `repair_begin` stays. p_filtered: records were left out by COLLECTIONS.
CREATE OR REPLACE FUNCTION unified_worker.repair_settle_one(p_did text, p_claim int, p_filtered boolean)
RETURNS text LANGUAGE plpgsql AS $settle$
DECLARE
  v_word text := unified_worker.repair_check(p_did, p_claim); v_repair unified_worker.repairs; v_sync smallint; v_reason text;
BEGIN
  IF v_word <> 'ok' THEN
    RETURN v_word;
  END IF;
  SELECT * INTO v_repair FROM unified_worker.repairs WHERE did = p_did;
  IF v_repair.kept = 0 THEN  -- all rows are there, and so is what follows from them
    PERFORM unified_worker.close_letters(p_did, d.path, NULL, false, v_repair.car_rev) FROM unified_worker.dead_letters AS d
    JOIN unified_worker.repos AS r ON r.did = d.did
    WHERE d.did = p_did AND r.held AND r.unlooked AND d.record_cid IS NOT NULL AND d.rev <= v_repair.car_rev
      AND (d.reason LIKE 'database\_%' OR d.reason IN ('foreign_key', 'referenced'));
  END IF;
  UPDATE unified_worker.repos SET fetching = false, unlooked = unlooked AND v_repair.kept > 0, synced_at = now(),
    updated_at = now(),
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
    PERFORM unified_worker.tell_repaired(p_did) WHERE v_repair.state = 'writing';
    DELETE FROM unified_worker.repairs WHERE did = p_did;
  END IF;
  RETURN 'ok';
END $settle$;

-- The same for several, in the order of their DIDs; returns a word for each. p_host: of unified_worker.hosts, which gave it out.
-- Hosts come after all repos, in the order of their ids, as in a commit that ends a repair: so nobody waits in a circle.
-- Durable on return, and with it all before it.
CREATE OR REPLACE FUNCTION unified_worker.repair_settle(p_did text[], p_claim int[], p_filtered boolean[], p_host int[])
RETURNS text[] LANGUAGE plpgsql AS $settle$
DECLARE
  v_words text[] := '{}'; v_records bigint[]; v_bytes bigint[];
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  SELECT array_agg(coalesce(r.records, 0) ORDER BY x.place), array_agg(coalesce(r.bytes, 0) ORDER BY x.place)
  INTO v_records, v_bytes FROM unnest(p_did, p_claim) WITH ORDINALITY AS x (did, claim, place)
  LEFT JOIN unified_worker.repairs AS r ON r.did = x.did AND r.claim = x.claim;
  FOR i IN 1..cardinality(p_did) LOOP
    v_words := v_words || unified_worker.repair_settle_one(p_did[i], p_claim[i], p_filtered[i]);
  END LOOP;
  PERFORM FROM unified_worker.hosts WHERE id = ANY (p_host) ORDER BY id FOR UPDATE;
  UPDATE unified_worker.hosts AS h SET repos_done = h.repos_done + d.repos, records_done = h.records_done + d.records,
    bytes_done = h.bytes_done + d.bytes
  FROM (
    SELECT x.host, count(*) AS repos, sum(x.records) AS records, sum(x.bytes) AS bytes
    FROM unnest(p_host, v_words, v_records, v_bytes) AS x (host, word, records, bytes) WHERE x.word = 'ok' GROUP BY x.host) AS d
  WHERE h.id = d.host;
  RETURN v_words;
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
  PERFORM unified_worker.tell_repaired(p_did) FROM unified_worker.repairs
  WHERE did = p_did AND claim = coalesce(p_claim, claim) AND state = 'writing';
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
