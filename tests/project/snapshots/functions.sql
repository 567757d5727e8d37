-- The SQL functions of the shipped record types. Not a source: `python -m testing.print_sql` prints it.

CREATE OR REPLACE FUNCTION unified_worker.searchable(p_text text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
$searchable$
  SELECT coalesce(string_agg(CASE WHEN length(w.word) > 32 AND length(w.word) - length(translate(w.word, E'!"#$%&\x27()*+,-./:;<=>?@[\x5c]^_`{|}~', ''))
    + 5 * (length(w.word) - length(replace(w.word, '@', ''))) > 16
    THEN translate(w.word, E'!"#$%&\x27()*+,-./:;<=>?@[\x5c]^_`{|}~', E'                                ') ELSE w.word END, ' ' ORDER BY w.place), '')
  FROM unnest(string_to_array(translate(replace(left(p_text, 25000), E'<!--', ' '), E' \x09\x0a\x0d\x0c\x0b', E'      '), ' '))
    WITH ORDINALITY AS w (word, place)
$searchable$;

CREATE OR REPLACE FUNCTION unified_worker.path_of(p_uri text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
$path$ SELECT substring(p_uri FROM '^at://[^/]+/(.*)$') $path$;

CREATE OR REPLACE FUNCTION unified_worker.close_letters(
  p_did text, p_path text, p_but text DEFAULT NULL, p_spare boolean DEFAULT false, p_upto text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $close$
DECLARE
  v_sha bytea; v_dropped bytea; v_rev text;
BEGIN
  FOR v_sha, v_dropped, v_rev IN
    DELETE FROM unified_worker.dead_letters
    WHERE did = p_did AND path = p_path AND rev IS DISTINCT FROM p_but
      AND NOT (p_spare AND (reason IN ('foreign_key', 'referenced', 'wiping', 'unproven') OR reason LIKE 'database_%'))
      AND (p_upto IS NULL OR rev <= p_upto)
    RETURNING frame_sha256, dropped_sha256, rev
  LOOP
    IF v_rev = '' AND coalesce(v_sha, v_dropped) IS NOT NULL THEN
      INSERT INTO unified_worker.closed_letters (did, path, frame_sha256) VALUES (p_did, p_path, coalesce(v_sha, v_dropped))
      ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM unified_worker.dead_frames AS f
    WHERE f.sha256 = v_sha AND NOT EXISTS (SELECT FROM unified_worker.dead_letters WHERE frame_sha256 = v_sha);
  END LOOP;
  IF FOUND THEN
    PERFORM unified_worker.resynchronise(p_did);
  END IF;
END $close$;

CREATE OR REPLACE FUNCTION unified_worker.keep_frame(p_did text, p_sha bytea, p_frame bytea, p_forged boolean)
RETURNS boolean LANGUAGE plpgsql AS $frame$
BEGIN
  IF EXISTS (SELECT FROM unified_worker.dead_frames WHERE sha256 = p_sha) THEN
    RETURN true;
  END IF;
  IF p_did <> '' AND 1000 <= (
    SELECT count(*) FROM (
      SELECT FROM unified_worker.dead_letters WHERE did = p_did AND frame_sha256 IS NOT NULL AND forged = p_forged
      LIMIT 1000) AS kept)
  THEN
    RETURN false;
  END IF;
  IF p_frame IS NULL OR length(p_frame) + (SELECT bytes FROM unified_worker.dead_frames_size)
    > (CASE WHEN p_forged THEN 500000000 ELSE 1000000000 END)
  THEN
    RETURN false;
  END IF;
  INSERT INTO unified_worker.dead_frames (sha256, frame) VALUES (p_sha, p_frame);
  RETURN true;
END $frame$;

CREATE OR REPLACE FUNCTION unified_worker.keep_forged(p_did text, p_rev text, p_seq bigint, p_frame bytea, p_rest jsonb[])
RETURNS text LANGUAGE plpgsql AS $forged$
DECLARE
  v_sha bytea := sha256(p_frame); v_active boolean;
BEGIN
  IF p_rest = '{}' THEN  -- of an account that is left out
    RETURN 'applied';
  END IF;
  SELECT r.active INTO v_active FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  IF NOT v_active THEN
    RETURN 'inactive';
  END IF;
  IF NOT unified_worker.keep_frame(p_did, v_sha, p_frame, true) THEN
    RETURN 'frame_dropped';
  END IF;
  INSERT INTO unified_worker.dead_letters AS l (did, rev, path, seq, reason, detail, frame_sha256, forged)
  VALUES (p_did, p_rev, encode(v_sha, 'hex'), p_seq, p_rest[1] ->> 'reason', left(p_rest[1] ->> 'detail', 2000), v_sha, true)
  ON CONFLICT (did, path, rev) DO UPDATE SET seq = excluded.seq, reason = excluded.reason, detail = excluded.detail,
    last_seen = now(), attempts = l.attempts + 1;
  RETURN 'applied';
END $forged$;

CREATE OR REPLACE FUNCTION unified_worker.keep(
  p_did text, p_rev text, p_path text, p_seq bigint, p_reason text, p_detail text, p_frame bytea, p_awaited text[])
RETURNS boolean LANGUAGE plpgsql AS $keep$
DECLARE
  v_sha bytea := sha256(p_frame); v_dropped bytea;
BEGIN
  IF p_did <> '' THEN
    INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)  -- first: it locks the repo
    ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
    -- Without a rev nothing but the frame tells a replay, which would bring back what was written since.
    IF p_rev = '' AND EXISTS (
      SELECT FROM unified_worker.closed_letters WHERE did = p_did AND path = p_path AND frame_sha256 = v_sha)
    THEN
      RETURN true;
    END IF;
    -- The letter of another frame goes, whatever its reason: two relays' copies of a commit are two frames.
    UPDATE unified_worker.dead_letters SET reason = ''
    WHERE did = p_did AND path = p_path AND rev = p_rev AND frame_sha256 <> v_sha;
    PERFORM unified_worker.close_letters(
      p_did, p_path, CASE WHEN NOT FOUND THEN p_rev END, p_reason NOT IN ('foreign_key', 'referenced', 'wiping'));
  END IF;
  IF NOT unified_worker.keep_frame(p_did, v_sha, p_frame, false) THEN
    v_sha := NULL;
  END IF;
  IF v_sha IS NULL AND p_rev = '' THEN
    v_dropped := sha256(p_frame);
  END IF;
  INSERT INTO unified_worker.dead_letters AS l (did, rev, path, seq, reason, detail, frame_sha256, dropped_sha256, awaited)
  VALUES (p_did, p_rev, p_path, p_seq, p_reason, left(p_detail, 2000), v_sha, v_dropped, p_awaited)
  ON CONFLICT (did, path, rev) DO UPDATE SET seq = excluded.seq, reason = excluded.reason, detail = excluded.detail,
    frame_sha256 = coalesce(l.frame_sha256, excluded.frame_sha256), dropped_sha256 = excluded.dropped_sha256,
    awaited = excluded.awaited, last_seen = now(), attempts = l.attempts + 1;
  RETURN v_sha IS NOT NULL;
END $keep$;

CREATE OR REPLACE FUNCTION unified_worker.refusal(
  p_state text, p_schema text, p_table text, p_constraint text, p_detail text, OUT reason text, OUT awaited text[])
LANGUAGE plpgsql STABLE AS $refusal$
DECLARE
  v_value text := substring(p_detail FROM '=\((.*)\)');  -- under row-level security the detail names none
  v_to text[]; v_by text[]; v_there boolean := p_state = '23001';
BEGIN
  reason := CASE p_state WHEN '23503' THEN 'foreign_key' WHEN '23001' THEN 'referenced' ELSE 'database_' || p_state END;
  IF p_state NOT IN ('23503', '23001') THEN
    RETURN;
  END IF;
  SELECT ARRAY[c.confrelid::regclass::text, quote_ident(a.attname), v_value],
    ARRAY[c.conrelid::regclass::text, quote_ident(b.attname), v_value] INTO v_to, v_by
  FROM pg_catalog.pg_constraint AS c
  JOIN pg_catalog.pg_class AS t ON t.oid = c.conrelid AND t.relname = p_table
    AND t.relnamespace::regnamespace::text = quote_ident(p_schema)
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = c.confkey[1]
  JOIN pg_catalog.pg_attribute AS b ON b.attrelid = c.conrelid AND b.attnum = c.conkey[1]
  WHERE c.contype = 'f' AND c.conname = p_constraint AND cardinality(c.conkey) = 1 AND v_value IS NOT NULL;
  IF NOT FOUND THEN  -- an application's trigger, say, which names no table
    RETURN;
  END IF;
  IF NOT v_there THEN
    BEGIN
      EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s = %L)', v_to[1], v_to[2], v_value) INTO v_there;
    EXCEPTION WHEN insufficient_privilege THEN  -- a table that we may not read is none that we delete from
      v_there := false;
    END;
  END IF;
  reason := CASE WHEN v_there THEN 'referenced' ELSE 'foreign_key' END;
  awaited := CASE WHEN v_there THEN v_by ELSE v_to END;
END $refusal$;

CREATE OR REPLACE FUNCTION unified_worker.tell_account(p_did text) RETURNS void LANGUAGE plpgsql AS $tell$
BEGIN
  IF current_setting('unified_worker.publish', true) = 'on' THEN
    INSERT INTO unified_worker.outbox (what, did, rev, seq, active, status)
    SELECT 'account', r.did, r.rev, r.account_seq, r.active, coalesce(r.status, CASE WHEN r.active THEN 'active' ELSE 'inactive' END)
    FROM unified_worker.repos AS r WHERE r.did = p_did;
  END IF;
END $tell$;

CREATE OR REPLACE FUNCTION unified_worker.tell_repaired(p_did text) RETURNS void LANGUAGE plpgsql AS $tell$
BEGIN
  IF current_setting('unified_worker.publish', true) = 'on' THEN
    INSERT INTO unified_worker.outbox (what, did, rev, seq)
    SELECT 'repaired', r.did, r.rev, r.seq FROM unified_worker.repos AS r WHERE r.did = p_did;
  END IF;
END $tell$;

CREATE OR REPLACE FUNCTION unified_worker.referred(p_ref jsonb, p_collection text) RETURNS text LANGUAGE sql IMMUTABLE AS
$referred$
  SELECT CASE WHEN jsonb_typeof(p_ref -> 'uri') = 'string' AND length(p_ref ->> 'uri') <= 512
    AND p_ref ->> 'uri' ~ '^at://did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]/[^/]+/[a-zA-Z0-9._:~-]+$'
    AND split_part(p_ref ->> 'uri', '/', 4) = p_collection AND split_part(p_ref ->> 'uri', '/', 5) NOT IN ('.', '..')
    AND length(split_part(p_ref ->> 'uri', '/', 3)) <= 255
  THEN p_ref ->> 'uri' END
$referred$;

CREATE OR REPLACE FUNCTION unified_worker.quoted_ref(p_embed jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$quoted$
  SELECT CASE p_embed ->> '$type' WHEN 'app.bsky.embed.record' THEN p_embed -> 'record'
    WHEN 'app.bsky.embed.recordWithMedia' THEN p_embed -> 'record' -> 'record' END
$quoted$;

CREATE OR REPLACE FUNCTION unified_worker.quoted_cid(p_embed jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
$quoted$ SELECT unified_worker.quoted_ref(p_embed) ->> 'cid' $quoted$;

CREATE OR REPLACE FUNCTION unified_worker.quoted(p_embed jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
$quoted$
  SELECT CASE WHEN jsonb_typeof(ref -> 'cid') = 'string' AND length(ref ->> 'cid') <= 255
    THEN unified_worker.referred(ref, 'app.bsky.feed.post') END
  FROM (SELECT unified_worker.quoted_ref(p_embed) AS ref) AS embedded
$quoted$;

CREATE OR REPLACE FUNCTION unified_worker.mentioned(p_facets jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS
$mentioned$
  SELECT DISTINCT feature ->> 'did'
  FROM jsonb_array_elements(CASE jsonb_typeof(p_facets) WHEN 'array' THEN p_facets ELSE '[]' END) AS facet,
    jsonb_array_elements(CASE jsonb_typeof(facet -> 'features') WHEN 'array' THEN facet -> 'features' ELSE '[]' END) AS feature
  WHERE feature ->> '$type' = 'app.bsky.richtext.facet#mention' AND jsonb_typeof(feature -> 'did') = 'string'
    AND length(feature ->> 'did') <= 255 AND feature ->> 'did' ~ '^did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]$'
$mentioned$;

CREATE OR REPLACE FUNCTION unified_worker.tid_time(p_key text) RETURNS timestamptz LANGUAGE sql STABLE AS
$tid$
  SELECT CASE WHEN p_key ~ '^[2-7a-j][2-7a-z]{12}$' THEN to_timestamp(floor((
    SELECT sum((strpos('234567abcdefghijklmnopqrstuvwxyz', substr(p_key, n, 1)) - 1) * 32::numeric ^ (13 - n))
    FROM generate_series(1, 13) AS n) / 1024)::float8 / 1000000) END
$tid$;

CREATE OR REPLACE FUNCTION unified_worker.bucket(p_meet text) RETURNS int LANGUAGE sql STABLE AS
$bucket$
  SELECT (get_byte(sha, 0) % 64 << 24) + (get_byte(sha, 1) << 16) + (get_byte(sha, 2) << 8) + get_byte(sha, 3)
  FROM (SELECT sha256(convert_to(p_meet, 'UTF8')) AS sha) AS hashed
$bucket$;

CREATE OR REPLACE FUNCTION unified_worker.lock(p_meets text[]) RETURNS void LANGUAGE plpgsql AS
$lock$
DECLARE
  v_bucket int; v_locked text;
BEGIN
  FOR v_bucket IN
    SELECT DISTINCT unified_worker.bucket(m) AS b FROM unnest(p_meets) AS m WHERE m IS NOT NULL ORDER BY b
  LOOP
    v_locked := pg_advisory_xact_lock(1456714798, v_bucket)::text;  -- PERFORM would cost ten times as much
  END LOOP;
END $lock$;

CREATE OR REPLACE FUNCTION unified_worker.desynchronise(p_did text, p_reason text, p_kept boolean DEFAULT false)
RETURNS void LANGUAGE sql AS $desynchronise$
  UPDATE unified_worker.repos SET sync = 2, sync_at = CASE WHEN sync >= 2 THEN sync_at ELSE now() END,
    sync_reason = CASE WHEN sync >= 2 AND array_position(ARRAY['bad_signature', 'no_identity', 'downgraded_commit', 'tree_mismatch', 'wiped', 'chain_broken', 'sync_differs', 'missing_tree_block', 'refused', 'inactive', 'legacy_commit', 'unfinished', 'unknown'], sync_reason) <= array_position(ARRAY['bad_signature', 'no_identity', 'downgraded_commit', 'tree_mismatch', 'wiped', 'chain_broken', 'sync_differs', 'missing_tree_block', 'refused', 'inactive', 'legacy_commit', 'unfinished', 'unknown'], p_reason)
      THEN sync_reason ELSE p_reason END,
    refused_from = CASE WHEN NOT p_kept THEN NULL WHEN sync < 2 THEN sync WHEN sync = 2 THEN refused_from END
  WHERE did = p_did AND (sync <> 2 OR (refused_from IS NOT NULL AND NOT p_kept)
    OR coalesce(array_position(ARRAY['bad_signature', 'no_identity', 'downgraded_commit', 'tree_mismatch', 'wiped', 'chain_broken', 'sync_differs', 'missing_tree_block', 'refused', 'inactive', 'legacy_commit', 'unfinished', 'unknown'], sync_reason) > array_position(ARRAY['bad_signature', 'no_identity', 'downgraded_commit', 'tree_mismatch', 'wiped', 'chain_broken', 'sync_differs', 'missing_tree_block', 'refused', 'inactive', 'legacy_commit', 'unfinished', 'unknown'], p_reason), true));
$desynchronise$;

CREATE OR REPLACE FUNCTION unified_worker.resynchronise(p_did text) RETURNS void LANGUAGE sql AS $resynchronise$
  UPDATE unified_worker.repos SET sync = refused_from, sync_reason = NULL, sync_at = NULL, refused_from = NULL
  WHERE did = p_did AND refused_from IS NOT NULL AND sync = 2 AND sync_reason = 'refused' AND NOT EXISTS (
    SELECT FROM unified_worker.dead_letters AS l
    WHERE l.did = p_did AND (l.reason IN ('foreign_key', 'referenced', 'wiping') OR l.reason LIKE 'database_%'));
$resynchronise$;

CREATE OR REPLACE FUNCTION unified_worker.settle_proven(p_did text, p_block bytea) RETURNS boolean LANGUAGE plpgsql AS $proven$
BEGIN
  UPDATE unified_worker.repos SET unproven = NULL, unproven_at = NULL WHERE did = p_did AND unproven = p_block;
  RETURN FOUND;
END $proven$;

CREATE OR REPLACE FUNCTION unified_worker.settle_forged(p_did text, p_block bytea, p_reason text)
RETURNS boolean LANGUAGE plpgsql AS $forged$
BEGIN
  IF NOT unified_worker.settle_proven(p_did, p_block) THEN
    RETURN false;
  END IF;
  PERFORM unified_worker.desynchronise(p_did, p_reason);
  UPDATE unified_worker.repos SET refuted_rev = rev WHERE did = p_did;
  RETURN true;
END $forged$;

CREATE OR REPLACE FUNCTION unified_worker.handle_of(p_did text) RETURNS text LANGUAGE sql STABLE AS
$handle$
  SELECT coalesce((
    -- As a CASE, so that the account is found by its key: the partial index of claims would be read whole.
    SELECT CASE WHEN r.handle_place IS NOT NULL AND r.did = (
      SELECT o.did FROM unified_worker.repos AS o WHERE o.handle = r.handle AND o.handle_place IS NOT NULL
      ORDER BY o.handle_place, o.place_seq, o.did LIMIT 1) THEN r.handle END
    FROM unified_worker.repos AS r WHERE r.did = p_did), 'handle.invalid')
$handle$;

CREATE OR REPLACE FUNCTION unified_worker.show_handle(p_did text) RETURNS void LANGUAGE plpgsql AS $show$
DECLARE
  v_handle text := unified_worker.handle_of(p_did);
BEGIN
  UPDATE public.users SET handle = v_handle, search_vector = to_tsvector('simple', nullif(concat_ws(' ',
    nullif(v_handle, 'handle.invalid'),
    unified_worker.searchable(concat_ws(' ', nullif(display_name, ''), nullif(description, '')))), ''))
  WHERE did = p_did AND handle <> v_handle;
END $show$;

CREATE OR REPLACE FUNCTION unified_worker.ensure_user(p_did text, p_handle text) RETURNS void LANGUAGE plpgsql AS $ensure$
BEGIN
  PERFORM unified_worker.lock(ARRAY[p_handle]);
  INSERT INTO public.users (did, handle) VALUES (p_did, 'handle.invalid') ON CONFLICT (did) DO NOTHING;
  IF FOUND THEN
    PERFORM unified_worker.show_handle(p_did);
  END IF;
  UPDATE unified_worker.repos SET has_user = true WHERE did = p_did AND NOT has_user;
END $ensure$;

CREATE OR REPLACE FUNCTION unified_worker.show_firsts(p_did text, p_handles text[]) RETURNS void LANGUAGE plpgsql AS $firsts$
DECLARE
  v_did text;
BEGIN
  FOR v_did IN
    SELECT DISTINCT c.did FROM unnest(p_handles) AS h (handle), LATERAL (
      SELECT r.did FROM unified_worker.repos AS r
      WHERE r.handle = h.handle AND r.handle_place IS NOT NULL AND r.did <> p_did
      ORDER BY r.handle_place, r.place_seq, r.did LIMIT 1) AS c
  LOOP
    PERFORM unified_worker.show_handle(v_did);
  END LOOP;
END $firsts$;

CREATE OR REPLACE FUNCTION unified_worker.claim(p_relay text, p_did text, p_seq bigint, p_old text)
RETURNS void LANGUAGE plpgsql AS $claim$
DECLARE
  v_handle text; v_place int;
BEGIN
  SELECT CASE WHEN (r.active OR r.status IS DISTINCT FROM 'deleted') AND r.handle_verified IS NOT FALSE THEN r.handle END,
    r.handle_place INTO v_handle, v_place FROM unified_worker.repos AS r WHERE r.did = p_did;
  PERFORM unified_worker.lock(ARRAY[p_old, v_handle]);
  IF v_place IS NULL OR v_handle IS DISTINCT FROM p_old THEN
    UPDATE unified_worker.repos SET place_relay = p_relay, place_seq = p_seq, placed_at = now(),
      handle_place = CASE WHEN v_handle IS NOT NULL THEN coalesce((
        SELECT CASE WHEN o.placed_at > now() - interval '1 hour' THEN o.handle_place END FROM unified_worker.repos AS o
        WHERE o.handle = v_handle AND o.handle_place IS NOT NULL AND o.did <> p_did
          AND o.place_relay = p_relay AND o.place_seq > p_seq
        ORDER BY o.place_seq LIMIT 1), (
        SELECT greatest(o.handle_place, 0) + 1 FROM unified_worker.repos AS o
        WHERE o.handle = v_handle AND o.handle_place IS NOT NULL AND o.did <> p_did
        ORDER BY o.handle_place DESC LIMIT 1), 1) END
    WHERE did = p_did;
  END IF;
  PERFORM unified_worker.show_handle(p_did);
  PERFORM unified_worker.show_firsts(p_did, ARRAY[p_old, v_handle]);
END $claim$;

CREATE OR REPLACE FUNCTION unified_worker.apply_identity(
  p_relay text, p_did text, p_seq bigint, p_at timestamptz, p_handle text, p_confirm boolean)
RETURNS text LANGUAGE plpgsql AS $identity$
DECLARE
  v_old text; v_keeps boolean; v_checked boolean;
BEGIN
  SELECT r.handle, p_confirm AND coalesce(r.handle_verified, false),
    r.handle IS NOT DISTINCT FROM p_handle AND r.handle_verified AND r.handle_checked_at > now() - interval '24 hours'
  INTO v_old, v_keeps, v_checked FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  INSERT INTO unified_worker.repos AS r (did, rev, handle, handle_at, handle_seq, handle_relay)
  VALUES (p_did, '', p_handle, p_at, p_seq, p_relay)
  ON CONFLICT (did) DO UPDATE SET handle = CASE WHEN v_keeps THEN r.handle ELSE excluded.handle END,
    handle_verified = CASE WHEN v_keeps OR r.handle = excluded.handle THEN r.handle_verified END,
    handle_checked_at = CASE WHEN v_keeps OR r.handle = excluded.handle THEN r.handle_checked_at END,
    handle_at = excluded.handle_at, handle_seq = excluded.handle_seq, handle_relay = excluded.handle_relay, updated_at = now()
    WHERE CASE WHEN r.handle_relay = p_relay THEN r.handle_seq < p_seq ELSE coalesce(r.handle_at < p_at, true) END;
  IF NOT FOUND THEN
    RETURN 'stale_message';
  END IF;
  IF v_keeps IS NOT TRUE THEN
    PERFORM unified_worker.claim(p_relay, p_did, p_seq, v_old);
  END IF;
  IF p_confirm AND v_checked IS NOT TRUE THEN
    PERFORM unified_worker.ask_handle(p_did);
  END IF;
  RETURN 'applied';
END $identity$;

CREATE OR REPLACE FUNCTION unified_worker.ask_handle(p_did text) RETURNS void LANGUAGE plpgsql AS $ask$
DECLARE
  v_due timestamptz := greatest(now(), (
    SELECT r.handle_checked_at + interval '1 minute' FROM unified_worker.repos AS r WHERE r.did = p_did AND NOT r.handle_verified));
BEGIN
  UPDATE unified_worker.handle_checks SET asked = DEFAULT, retry_at = v_due WHERE did = p_did AND retry_at > v_due;
  IF NOT FOUND THEN
    INSERT INTO unified_worker.handle_checks (did, retry_at)
    SELECT p_did, v_due WHERE NOT EXISTS (SELECT FROM unified_worker.handle_checks WHERE did = p_did)
      AND coalesce((SELECT max(asked) - min(asked) FROM unified_worker.handle_checks), 0) < 1000000
    ON CONFLICT (did) DO NOTHING;
  END IF;
END $ask$;

CREATE OR REPLACE FUNCTION unified_worker.settle_handle(p_did text, p_handle text) RETURNS boolean LANGUAGE plpgsql AS $settle$
DECLARE
  v_old text; v_gone boolean;
BEGIN
  SELECT r.handle, NOT r.active AND coalesce(r.status = 'deleted', false) INTO v_old, v_gone
  FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM unified_worker.lock(ARRAY[v_old, p_handle]);
  UPDATE unified_worker.repos SET handle = coalesce(p_handle, handle), handle_verified = p_handle IS NOT NULL,
    handle_checked_at = clock_timestamp(), place_relay = NULL, place_seq = NULL, placed_at = now(),
    -- In seconds since 2020, so that the last one checked comes first.
    handle_place = CASE WHEN p_handle IS NOT NULL AND NOT v_gone
      THEN -extract(epoch FROM clock_timestamp() - '2020-01-01 00:00Z'::timestamptz)::int END
  WHERE did = p_did;
  PERFORM unified_worker.show_handle(p_did);
  PERFORM unified_worker.show_firsts(p_did, ARRAY[v_old, p_handle]);
  RETURN true;
END $settle$;

CREATE OR REPLACE FUNCTION unified_worker.try_user(p_did text) RETURNS void LANGUAGE plpgsql AS $try$
BEGIN
  PERFORM unified_worker.ensure_user(r.did, r.handle) FROM unified_worker.repos AS r WHERE r.did = p_did AND NOT r.has_user;
  SET CONSTRAINTS ALL IMMEDIATE;
EXCEPTION WHEN OTHERS THEN
  IF left(SQLSTATE, 2) IN ('08', '40', '53', '57', '58', '0A', '25', '28', '3D', '55', '09', '0B', '0L', '0P', '24', '26', '27', '2B', '2D', '34', '3B', '72', 'F0', 'HV', 'XX', '42', '3F') THEN
    RAISE;
  END IF;
END $try$;

CREATE OR REPLACE FUNCTION unified_worker.apply_account(
  p_relay text, p_did text, p_seq bigint, p_at timestamptz, p_active boolean, p_status text, p_confirm boolean)
RETURNS text LANGUAGE plpgsql AS $account$
DECLARE
  v_visible boolean := p_active OR coalesce(p_status NOT IN ('takendown', 'suspended', 'deleted', 'deactivated'), false);
  v_deleted boolean := NOT p_active AND coalesce(p_status = 'deleted', false);
  v_gone boolean; v_handle text; v_was_gone boolean; v_stored boolean;
BEGIN
  SELECT r.handle, NOT r.active AND coalesce(r.status = 'deleted', false), r.rev <> '' OR r.has_user OR r.handle IS NOT NULL
  INTO v_handle, v_was_gone, v_stored FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  v_gone := v_deleted AND (v_was_gone OR NOT p_confirm OR v_stored IS NOT TRUE);
  INSERT INTO unified_worker.repos AS r
    (did, rev, active, status, account_at, account_seq, account_relay, wiping)
  VALUES (p_did, '', v_visible, CASE WHEN v_deleted AND NOT v_gone THEN 'deletion_unconfirmed' ELSE p_status END, p_at, p_seq, p_relay,
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

CREATE OR REPLACE FUNCTION unified_worker.deny_deletion(p_did text, p_since timestamptz, p_active boolean, p_status text)
RETURNS boolean LANGUAGE plpgsql AS $deny$
BEGIN
  PERFORM FROM unified_worker.repos WHERE did = p_did FOR UPDATE;
  DELETE FROM unified_worker.deletions WHERE did = p_did AND since = p_since;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE unified_worker.repos SET status = p_status, updated_at = now(),
    active = p_active OR coalesce(p_status NOT IN ('takendown', 'suspended', 'deleted', 'deactivated'), false) WHERE did = p_did;
  PERFORM unified_worker.tell_account(p_did);
  UPDATE unified_worker.repairs SET state = 'wanted', retry_at = now() WHERE did = p_did AND state = 'unavailable';
  RETURN true;
END $deny$;

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

CREATE OR REPLACE FUNCTION unified_worker.sweep(p_dids text[]) RETURNS void LANGUAGE sql AS $sweep$
  WITH gone AS MATERIALIZED (
    SELECT did FROM unified_worker.repos WHERE did = ANY (p_dids) AND status = 'deleted' AND NOT active
    ORDER BY did FOR UPDATE)
  DELETE FROM public.notifications AS n WHERE n.recipient_did = ANY (ARRAY(SELECT did FROM gone));
$sweep$;

CREATE OR REPLACE FUNCTION unified_worker.gate_since(p_root text) RETURNS timestamptz LANGUAGE sql STABLE AS $since$
  SELECT coalesce((SELECT c.at FROM unified_worker.commit_times AS c
    WHERE c.uri = replace(p_root, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/')), '-infinity')
$since$;

CREATE OR REPLACE FUNCTION unified_worker.intruders(p_root text, p_authors text[], p_times timestamptz[])
RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $intruders$
DECLARE
  g public.thread_gates; v_owner text := split_part(p_root, '/', 3); v_since timestamptz; v_followers boolean;
  v_mentioned text[] := '{}'; v_lists text[];
BEGIN
  SELECT t.* INTO g FROM public.thread_gates AS t WHERE t.post_uri = p_root;
  IF NOT FOUND OR (g.allow_mentions AND g.allow_following AND g.allow_list_members AND g.allow_list_uris = '[]') THEN
    RETURN;
  END IF;
  v_since := unified_worker.gate_since(p_root);
  v_followers := unified_worker.thread_gates_allow_followers(p_root);
  IF g.allow_mentions THEN
    v_mentioned := ARRAY(
      SELECT unified_worker.mentioned(p.facets) FROM public.posts AS p WHERE p.uri = p_root AND p.facets IS NOT NULL);
  END IF;
  v_lists := ARRAY(SELECT jsonb_array_elements_text(g.allow_list_uris) WHERE g.allow_list_members);
  RETURN QUERY
  SELECT a.place FROM unnest(p_authors, p_times) WITH ORDINALITY AS a (author, at, place)
  WHERE a.author <> v_owner AND a.at >= v_since AND a.author <> ALL (v_mentioned)
    AND NOT (g.allow_following AND EXISTS (
      SELECT FROM public.follows AS f WHERE f.follower_did = v_owner AND f.following_did = a.author
        AND coalesce(f.commit_time, unified_worker.tid_time(split_part(f.uri, '/', 5)), '-infinity') <= a.at))
    AND NOT (v_followers AND EXISTS (
      SELECT FROM public.follows AS f WHERE f.follower_did = a.author AND f.following_did = v_owner
        AND coalesce(f.commit_time, unified_worker.tid_time(split_part(f.uri, '/', 5)), '-infinity') <= a.at))
    AND NOT EXISTS (
      SELECT FROM unnest(v_lists) AS u (list_uri) JOIN public.list_items AS l
        ON l.list_uri = u.list_uri AND l.subject_did = a.author
      WHERE coalesce((SELECT c.at FROM unified_worker.commit_times AS c WHERE c.uri = l.uri),
          unified_worker.tid_time(split_part(l.uri, '/', 5)), '-infinity') <= a.at);
END $intruders$;

CREATE OR REPLACE FUNCTION unified_worker.violates_thread_gate(p_root text, p_author text, p_at timestamptz)
RETURNS boolean LANGUAGE plpgsql STABLE AS $violates$
BEGIN
  RETURN EXISTS (SELECT FROM public.thread_gates AS g WHERE g.post_uri = p_root)
    AND EXISTS (SELECT FROM unified_worker.intruders(p_root, ARRAY[p_author], ARRAY[coalesce(p_at, 'infinity')]));
END $violates$;

CREATE OR REPLACE FUNCTION unified_worker.violates_parents_gate(
  p_parent text, p_root text, p_author text, p_at timestamptz, p_before boolean)
RETURNS boolean LANGUAGE plpgsql STABLE AS $violates$
DECLARE
  v_root text;
BEGIN
  SELECT coalesce(p.root_uri, p.uri) INTO v_root FROM public.posts AS p WHERE p.uri = p_parent;
  IF v_root IS NULL OR v_root = p_root THEN
    RETURN false;
  ELSIF p_at < unified_worker.gate_since(v_root) THEN
    RETURN p_before AND EXISTS (SELECT FROM public.thread_gates AS g WHERE g.post_uri = v_root);
  END IF;
  RETURN unified_worker.violates_thread_gate(v_root, p_author, p_at);
END $violates$;

CREATE OR REPLACE FUNCTION unified_worker.judge_part(p_kind text, p_uri text, p_asked bigint, p_uris text[], p_last boolean)
RETURNS boolean LANGUAGE plpgsql AS $part$
DECLARE
  v_locked text; v_cleared boolean;
BEGIN
  v_locked := pg_advisory_xact_lock_shared(1456714798, 1073741824)::text;
  PERFORM unified_worker.lock(ARRAY[p_uri]);
  SELECT j.cleared INTO v_cleared
  FROM unified_worker.judgements AS j WHERE j.kind = p_kind AND j.uri = p_uri AND j.asked = p_asked;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF p_kind = 'replies' THEN
    PERFORM unified_worker.judge_replies(p_uri, p_uris, v_cleared);
  ELSE
    PERFORM unified_worker.judge_quoting(p_uri, p_uris, v_cleared);
  END IF;
  IF p_last THEN
    DELETE FROM unified_worker.judgements AS j WHERE j.kind = p_kind AND j.uri = p_uri;
  ELSE
    UPDATE unified_worker.judgements AS j SET after = p_uris[cardinality(p_uris)] WHERE j.kind = p_kind AND j.uri = p_uri;
  END IF;
  RETURN true;
END $part$;

CREATE OR REPLACE FUNCTION unified_worker.to_judge(p_kind text, p_uri text, p_after text, p_most int) RETURNS SETOF text
LANGUAGE plpgsql STABLE AS $to_judge$
BEGIN
  IF p_kind = 'replies' THEN
    RETURN QUERY SELECT p.uri::text FROM public.posts AS p
    WHERE p.root_uri = p_uri AND p.uri COLLATE "C" > p_after ORDER BY p.uri COLLATE "C" LIMIT p_most;
  ELSE
    RETURN QUERY SELECT q.post_uri::text FROM public.quotes AS q
    WHERE q.quoted_uri = p_uri AND q.post_uri COLLATE "C" > p_after ORDER BY q.post_uri COLLATE "C" LIMIT p_most;
  END IF;
END $to_judge$;

CREATE OR REPLACE FUNCTION unified_worker.judge_replies(p_root text, p_uris text[], p_cleared boolean)
RETURNS void LANGUAGE plpgsql AS $judge$
DECLARE
  v_since timestamptz := unified_worker.gate_since(p_root); v_uris text[]; v_authors text[]; v_times timestamptz[];
  v_intruders text[];
BEGIN
  SELECT array_agg(p.uri), array_agg(p.author_did), array_agg(x.came) INTO v_uris, v_authors, v_times
  FROM public.posts AS p CROSS JOIN LATERAL (SELECT coalesce(p.commit_time, unified_worker.tid_time(split_part(p.uri, '/', 5)), 'infinity')) AS x (came)
  WHERE p.uri = ANY (p_uris) AND p.root_uri = p_root AND p.parent_uri IS NOT NULL AND (p_cleared OR x.came >= v_since);
  v_intruders := ARRAY(
    SELECT v_uris[i] FROM unified_worker.intruders(p_root, v_authors, v_times) AS i
    UNION SELECT p.uri FROM public.posts AS p
    WHERE p.uri = ANY (v_uris) AND p.parent_uri <> p_root
      AND unified_worker.violates_parents_gate(p.parent_uri, p_root, p.author_did, coalesce(p.commit_time, unified_worker.tid_time(split_part(p.uri, '/', 5)), 'infinity'), p.violates_thread_gate));
  WITH changed AS (
    UPDATE public.posts AS p SET violates_thread_gate = NOT p.violates_thread_gate
    FROM (SELECT u, i IS NOT NULL FROM unnest(v_uris) AS u LEFT JOIN unnest(v_intruders) AS i ON i = u) AS x (uri, forbidden)
    WHERE p.uri = x.uri AND p.violates_thread_gate <> x.forbidden
    RETURNING p.uri, x.forbidden, p.author_did, p.parent_uri AS other, p.cid, p.created_at,
      p.commit_seq IS NULL AS quiet), gone AS (
    DELETE FROM public.notifications AS n USING changed AS c
    WHERE c.forbidden AND n.uri = c.uri || '#notification/reply')
  INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
  SELECT c.uri || '#notification/reply', split_part(c.other, '/', 3), c.author_did, 'reply', c.uri, c.cid, c.created_at,
    now()
  FROM changed AS c
  WHERE NOT c.forbidden AND NOT c.quiet AND c.other LIKE 'at://did:%' AND split_part(c.other, '/', 3) <> c.author_did
    AND length(c.uri) <= 493
  ON CONFLICT (uri) DO NOTHING;
END $judge$;

CREATE OR REPLACE FUNCTION unified_worker.judge_quoting(p_post text, p_uris text[], p_cleared boolean)
RETURNS void LANGUAGE plpgsql AS $judge$
DECLARE
  v_disabled boolean := coalesce((
    SELECT unified_worker.disables_quotes(g.embedding_rules) FROM public.post_gates AS g WHERE g.post_uri = p_post), false);
BEGIN
  WITH changed AS (
    UPDATE public.posts AS p SET violates_embedding_rules = NOT p.violates_embedding_rules
    FROM public.quotes AS q
    WHERE q.post_uri = ANY (p_uris) AND q.quoted_uri = p_post AND p.uri = q.post_uri
      AND p.violates_embedding_rules <> (v_disabled AND p.author_did <> split_part(p_post, '/', 3))
    RETURNING p.uri, p.violates_embedding_rules AS forbidden, p.author_did, q.quoted_uri AS other, p.cid, p.created_at,
      p.commit_seq IS NULL AS quiet), gone AS (
    DELETE FROM public.notifications AS n USING changed AS c
    WHERE c.forbidden AND n.uri = c.uri || '#notification/quote')
  INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
  SELECT c.uri || '#notification/quote', split_part(c.other, '/', 3), c.author_did, 'quote', c.uri, c.cid, c.created_at,
    now()
  FROM changed AS c
  WHERE NOT c.forbidden AND NOT c.quiet AND c.other LIKE 'at://did:%' AND split_part(c.other, '/', 3) <> c.author_did
    AND length(c.uri) <= 493
  ON CONFLICT (uri) DO NOTHING;
END $judge$;

CREATE OR REPLACE FUNCTION unified_worker.judge_thread(p_uri text) RETURNS void LANGUAGE plpgsql AS $judge$
DECLARE
  v_gated boolean := EXISTS (SELECT FROM public.thread_gates AS g WHERE g.post_uri = p_uri);
  v_uris text[];
  v_left int := 200 - coalesce(nullif(current_setting('unified_worker.judged', true), ''), '0')::int;  -- for this commit
BEGIN
  UPDATE public.posts AS p SET has_thread_gate = v_gated WHERE p.uri = p_uri AND p.has_thread_gate <> v_gated;
  v_uris := ARRAY(SELECT t.uri FROM public.posts AS t WHERE t.root_uri = p_uri LIMIT v_left + 1);
  IF cardinality(v_uris) = 0 THEN
    RETURN;
  ELSIF cardinality(v_uris) <= v_left THEN
    PERFORM set_config('unified_worker.judged', (200 - v_left + cardinality(v_uris))::text, true);
    PERFORM unified_worker.judge_replies(p_uri, v_uris, NOT v_gated);
  ELSE
    INSERT INTO unified_worker.judgements AS j (kind, uri, cleared) VALUES ('replies', p_uri, NOT v_gated)
    ON CONFLICT (kind, uri) DO UPDATE
    SET asked = DEFAULT, after = '', asked_at = now(), cleared = j.cleared OR excluded.cleared;
  END IF;
END $judge$;

CREATE OR REPLACE FUNCTION unified_worker.judge_quotes(p_uri text) RETURNS void LANGUAGE plpgsql AS $judge$
DECLARE
  v_gated boolean := EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = p_uri);
  v_uris text[];
  v_left int := 200 - coalesce(nullif(current_setting('unified_worker.judged', true), ''), '0')::int;  -- for this commit
BEGIN
  UPDATE public.posts AS p SET has_post_gate = v_gated WHERE p.uri = p_uri AND p.has_post_gate <> v_gated;
  v_uris := ARRAY(SELECT t.post_uri FROM public.quotes AS t WHERE t.quoted_uri = p_uri LIMIT v_left + 1);
  IF cardinality(v_uris) = 0 THEN
    RETURN;
  ELSIF cardinality(v_uris) <= v_left THEN
    PERFORM set_config('unified_worker.judged', (200 - v_left + cardinality(v_uris))::text, true);
    PERFORM unified_worker.judge_quoting(p_uri, v_uris, NOT v_gated);
  ELSE
    INSERT INTO unified_worker.judgements AS j (kind, uri, cleared) VALUES ('quotes', p_uri, NOT v_gated)
    ON CONFLICT (kind, uri) DO UPDATE
    SET asked = DEFAULT, after = '', asked_at = now(), cleared = j.cleared OR excluded.cleared;
  END IF;
END $judge$;

CREATE OR REPLACE FUNCTION unified_worker.show_like_count(p_uri text) RETURNS void LANGUAGE plpgsql AS $show$
BEGIN
  CASE split_part(p_uri, '/', 4)
    WHEN 'app.bsky.feed.generator' THEN
      UPDATE public.feed_generators AS t SET like_count = coalesce((
        SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = p_uri), 0)
      WHERE t.uri = p_uri;
    WHEN 'app.bsky.labeler.service' THEN
      UPDATE public.labeler_services AS t SET like_count = coalesce((
        SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = p_uri), 0)
      WHERE t.uri = p_uri;
    ELSE NULL;
  END CASE;
END $show$;

CREATE OR REPLACE FUNCTION unified_worker.remove_generic_records(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.generic_records; v_left int; v_quoted text;
BEGIN
  IF p_new IS NULL THEN
    DELETE FROM public.generic_records AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.generic_records AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.remove_users(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.users; v_left int; v_quoted text;
BEGIN
  IF p_new IS NULL THEN
    UPDATE public.users AS t SET display_name = NULL, avatar_url = NULL, banner_url = NULL, description = NULL, profile_record = NULL, pinned_post = NULL, search_vector = to_tsvector('simple', nullif(concat_ws(' ', nullif(t.handle, 'handle.invalid'), NULL), '')) WHERE t.did = p_did AND (t.display_name IS NOT NULL OR t.avatar_url IS NOT NULL OR t.banner_url IS NOT NULL OR t.description IS NOT NULL OR t.profile_record IS NOT NULL OR t.pinned_post IS NOT NULL) RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.users AS t WHERE t.did = p_did;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/starterpack-joined';
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
          END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.remove_feed_generators(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.feed_generators; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.uri]::text[]) FROM public.feed_generators AS t WHERE t.uri = v_uri;
  IF p_new IS NULL THEN
    DELETE FROM public.feed_generators AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.feed_generators AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.remove_likes(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.likes; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.post_uri]::text[]) FROM public.likes AS t WHERE t.uri = v_uri;
  IF p_new IS NULL THEN
    DELETE FROM public.likes AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.likes AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
          UPDATE public.post_aggregations AS a SET like_count = greatest(a.like_count - 1, 0), updated_at = now() WHERE a.post_uri = r.post_uri
            RETURNING greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) INTO v_left;
          IF v_left <= 0 THEN
            DELETE FROM public.post_aggregations AS a WHERE a.post_uri = r.post_uri AND greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) <= 0;
          END IF;
          IF split_part(r.post_uri, '/', 4) <> 'app.bsky.feed.post' THEN
            PERFORM unified_worker.show_like_count(r.post_uri);
          END IF;
          DELETE FROM public.post_viewer_states AS s WHERE s.post_uri = r.post_uri AND s.viewer_did = r.user_did AND s.like_uri = v_uri AND s.repost_uri IS NULL
            AND NOT (s.bookmarked OR s.thread_muted OR s.reply_disabled OR s.embedding_disabled OR s.pinned);
          IF NOT FOUND THEN
            UPDATE public.post_viewer_states AS s SET like_uri = NULL, updated_at = now() WHERE s.post_uri = r.post_uri AND s.viewer_did = r.user_did AND s.like_uri = v_uri;
          END IF;
          UPDATE public.thread_contexts AS c SET root_author_like_uri = NULL, updated_at = now()
          WHERE c.post_uri = r.post_uri AND c.root_author_like_uri = v_uri;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/like-via-repost';
          END IF;
  RETURN ARRAY[r.user_did, r.post_uri]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.settle_likes(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; r public.likes; v_uri text; v_cid text; v_left int;
  v_again boolean := false; v_quiet boolean; p_new jsonb; p_at timestamptz; v_came timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = 'app.bsky.feed.like' AND key = p_key ORDER BY came_at, created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.* INTO r FROM public.likes AS t WHERE t.user_did = p_key[1] AND t.post_uri = p_key[2];
  IF FOUND THEN
    v_came := 'epoch';
    IF (v_came, r.created_at, r.uri COLLATE "C") <= (v_first.came_at, v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    v_uri := r.uri;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
    VALUES (v_uri, 'app.bsky.feed.like', p_key, v_came, r.created_at, to_jsonb(r) || jsonb_build_object('record_cid', (SELECT max(n.cid) FROM public.notifications AS n
      WHERE n.uri IN (r.uri || '#notification', r.uri || '#notification/like-via-repost'))));
    DELETE FROM public.likes AS t WHERE t.uri = v_uri;
          UPDATE public.post_aggregations AS a SET like_count = greatest(a.like_count - 1, 0), updated_at = now() WHERE a.post_uri = r.post_uri
            RETURNING greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) INTO v_left;
          IF v_left <= 0 THEN
            DELETE FROM public.post_aggregations AS a WHERE a.post_uri = r.post_uri AND greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) <= 0;
          END IF;
          IF split_part(r.post_uri, '/', 4) <> 'app.bsky.feed.post' THEN
            PERFORM unified_worker.show_like_count(r.post_uri);
          END IF;
          DELETE FROM public.post_viewer_states AS s WHERE s.post_uri = r.post_uri AND s.viewer_did = r.user_did AND s.like_uri = v_uri AND s.repost_uri IS NULL
            AND NOT (s.bookmarked OR s.thread_muted OR s.reply_disabled OR s.embedding_disabled OR s.pinned);
          IF NOT FOUND THEN
            UPDATE public.post_viewer_states AS s SET like_uri = NULL, updated_at = now() WHERE s.post_uri = r.post_uri AND s.viewer_did = r.user_did AND s.like_uri = v_uri;
          END IF;
          UPDATE public.thread_contexts AS c SET root_author_like_uri = NULL, updated_at = now()
          WHERE c.post_uri = r.post_uri AND c.root_author_like_uri = v_uri;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/like-via-repost';
          END IF;
  END IF;
  INSERT INTO public.likes AS t (uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev)
  SELECT uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev FROM jsonb_populate_record(NULL::public.likes, v_first.record) RETURNING t.* INTO r;
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
  v_uri := r.uri;
  v_cid := v_first.record ->> 'record_cid';
  v_quiet := coalesce((v_first.record ->> 'quiet')::boolean, r.commit_seq IS NULL);
          INSERT INTO public.post_aggregations AS a (post_uri, like_count, created_at, updated_at) VALUES (r.post_uri, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET like_count = a.like_count + 1, updated_at = now();
          IF split_part(r.post_uri, '/', 4) <> 'app.bsky.feed.post' THEN
            PERFORM unified_worker.show_like_count(r.post_uri);
          END IF;
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (r.post_uri, r.user_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (r.post_uri, r.user_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET like_uri = excluded.like_uri, updated_at = now();
          END IF;
          IF EXISTS (SELECT FROM public.posts AS p WHERE p.uri = r.post_uri AND split_part(p.root_uri, '/', 3) = r.user_did) THEN
            UPDATE public.thread_contexts AS c SET root_author_like_uri = v_uri, updated_at = now() WHERE c.post_uri = r.post_uri;
          END IF;
          IF true AND split_part(r.post_uri, '/', 3) <> r.user_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(r.post_uri, '/', 3), r.user_did, 'like', r.post_uri, v_cid, r.created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(r.post_uri, '/', 3), r.user_did, 'like', r.post_uri, v_cid, r.created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(r.post_uri, '/', 3) <> r.user_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(r.post_uri, '/', 3), reason_subject = r.post_uri, cid = v_cid, created_at = r.created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF r.via IS NOT NULL AND split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3) <> r.user_did AND length(v_uri) <= 483 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3), r.user_did, 'like-via-repost', unified_worker.referred(r.via, 'app.bsky.feed.repost'), v_cid, r.created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3), r.user_did, 'like-via-repost', unified_worker.referred(r.via, 'app.bsky.feed.repost'), v_cid, r.created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF r.via IS NOT NULL AND split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3) <> r.user_did AND length(v_uri) <= 483 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred(r.via, 'app.bsky.feed.repost'), cid = v_cid, created_at = r.created_at WHERE n.uri = v_uri || '#notification/like-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/like-via-repost';
            END IF;
          END IF;
END $settle$;

CREATE OR REPLACE FUNCTION unified_worker.remove_posts(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.posts; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.uri, t.parent_uri, t.root_uri, (SELECT q.quoted_uri FROM public.quotes AS q WHERE q.post_uri = t.uri)]::text[]) FROM public.posts AS t WHERE t.uri = v_uri;
  IF p_new IS NULL THEN
    DELETE FROM public.posts AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.posts AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
          IF r.parent_uri LIKE 'at://did:%' THEN
          UPDATE public.post_aggregations AS a SET reply_count = greatest(a.reply_count - 1, 0), updated_at = now() WHERE a.post_uri = r.parent_uri
            RETURNING greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) INTO v_left;
          IF v_left <= 0 THEN
            DELETE FROM public.post_aggregations AS a WHERE a.post_uri = r.parent_uri AND greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) <= 0;
          END IF;
          END IF;
          IF p_new IS NULL AND r.parent_uri IS NOT NULL THEN
            DELETE FROM public.thread_contexts AS c WHERE c.post_uri = v_uri;
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/reply';
          END IF;
          DELETE FROM public.quotes AS q WHERE q.post_uri = v_uri RETURNING q.quoted_uri INTO v_quoted;
          IF FOUND THEN

          UPDATE public.post_aggregations AS a SET quote_count = greatest(a.quote_count - 1, 0), updated_at = now() WHERE a.post_uri = v_quoted
            RETURNING greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) INTO v_left;
          IF v_left <= 0 THEN
            DELETE FROM public.post_aggregations AS a WHERE a.post_uri = v_quoted AND greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) <= 0;
          END IF;
            IF p_new IS NULL THEN
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/quote';
            END IF;
          END IF;
          IF r.facets IS NOT NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri IN (
              SELECT v_uri || '#notification/mention/' || m FROM unified_worker.mentioned(r.facets) AS m
              WHERE p_new IS NULL OR m NOT IN (SELECT unified_worker.mentioned(p_new -> 'facets')));
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.feed_items AS f WHERE f.uri = v_uri;
          END IF;
          IF p_new IS NULL AND r.has_thread_gate THEN
            PERFORM unified_worker.judge_thread(v_uri);
          END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.disables_quotes(p_rules jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$disables$ SELECT p_rules @> '[{"$type": "app.bsky.feed.postgate#disableRule"}]' $disables$;

CREATE OR REPLACE FUNCTION unified_worker.remove_post_gates(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.post_gates; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.post_uri]::text[]) FROM public.post_gates AS t WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5);
  IF p_new IS NULL THEN
    DELETE FROM public.post_gates AS t WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5) RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.post_gates AS t WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5);
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
          IF p_new IS NULL THEN
            PERFORM unified_worker.judge_quotes(r.post_uri);
          END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.remove_reposts(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.reposts; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.post_uri]::text[]) FROM public.reposts AS t WHERE t.uri = v_uri;
  IF p_new IS NULL THEN
    DELETE FROM public.reposts AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.reposts AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
          UPDATE public.post_aggregations AS a SET repost_count = greatest(a.repost_count - 1, 0), updated_at = now() WHERE a.post_uri = r.post_uri
            RETURNING greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) INTO v_left;
          IF v_left <= 0 THEN
            DELETE FROM public.post_aggregations AS a WHERE a.post_uri = r.post_uri AND greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) <= 0;
          END IF;
          DELETE FROM public.post_viewer_states AS s WHERE s.post_uri = r.post_uri AND s.viewer_did = r.user_did AND s.repost_uri = v_uri AND s.like_uri IS NULL
            AND NOT (s.bookmarked OR s.thread_muted OR s.reply_disabled OR s.embedding_disabled OR s.pinned);
          IF NOT FOUND THEN
            UPDATE public.post_viewer_states AS s SET repost_uri = NULL, updated_at = now() WHERE s.post_uri = r.post_uri AND s.viewer_did = r.user_did AND s.repost_uri = v_uri;
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.feed_items AS f WHERE f.uri = v_uri;
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/repost-via-repost';
          END IF;
  RETURN ARRAY[r.user_did, r.post_uri]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.settle_reposts(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; r public.reposts; v_uri text; v_cid text; v_left int;
  v_again boolean := false; v_quiet boolean; p_new jsonb; p_at timestamptz; v_came timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = 'app.bsky.feed.repost' AND key = p_key ORDER BY came_at, created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.* INTO r FROM public.reposts AS t WHERE t.user_did = p_key[1] AND t.post_uri = p_key[2];
  IF FOUND THEN
    v_came := 'epoch';
    IF (v_came, r.created_at, r.uri COLLATE "C") <= (v_first.came_at, v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    v_uri := r.uri;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
    VALUES (v_uri, 'app.bsky.feed.repost', p_key, v_came, r.created_at, to_jsonb(r) || jsonb_build_object('record_cid', (SELECT f.cid FROM public.feed_items AS f WHERE f.uri = r.uri)));
    DELETE FROM public.reposts AS t WHERE t.uri = v_uri;
          UPDATE public.post_aggregations AS a SET repost_count = greatest(a.repost_count - 1, 0), updated_at = now() WHERE a.post_uri = r.post_uri
            RETURNING greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) INTO v_left;
          IF v_left <= 0 THEN
            DELETE FROM public.post_aggregations AS a WHERE a.post_uri = r.post_uri AND greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count) <= 0;
          END IF;
          DELETE FROM public.post_viewer_states AS s WHERE s.post_uri = r.post_uri AND s.viewer_did = r.user_did AND s.repost_uri = v_uri AND s.like_uri IS NULL
            AND NOT (s.bookmarked OR s.thread_muted OR s.reply_disabled OR s.embedding_disabled OR s.pinned);
          IF NOT FOUND THEN
            UPDATE public.post_viewer_states AS s SET repost_uri = NULL, updated_at = now() WHERE s.post_uri = r.post_uri AND s.viewer_did = r.user_did AND s.repost_uri = v_uri;
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.feed_items AS f WHERE f.uri = v_uri;
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
          END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/repost-via-repost';
          END IF;
  END IF;
  INSERT INTO public.reposts AS t (uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev)
  SELECT uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev FROM jsonb_populate_record(NULL::public.reposts, v_first.record) RETURNING t.* INTO r;
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
  v_uri := r.uri;
  v_cid := v_first.record ->> 'record_cid';
  v_quiet := coalesce((v_first.record ->> 'quiet')::boolean, r.commit_seq IS NULL);
          INSERT INTO public.post_aggregations AS a (post_uri, repost_count, created_at, updated_at) VALUES (r.post_uri, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET repost_count = a.repost_count + 1, updated_at = now();
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (r.post_uri, r.user_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (r.post_uri, r.user_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET repost_uri = excluded.repost_uri, updated_at = now();
          END IF;
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, r.post_uri, r.user_did, 'repost', least(r.created_at, r.commit_time), coalesce(v_cid, r.subject_cid, ''), r.created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, r.post_uri, r.user_did, 'repost', least(r.created_at, r.commit_time), coalesce(v_cid, r.subject_cid, ''), r.created_at, now())
            ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at, indexed_at = excluded.indexed_at;
          END IF;
          IF true AND split_part(r.post_uri, '/', 3) <> r.user_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(r.post_uri, '/', 3), r.user_did, 'repost', r.post_uri, v_cid, r.created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(r.post_uri, '/', 3), r.user_did, 'repost', r.post_uri, v_cid, r.created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(r.post_uri, '/', 3) <> r.user_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(r.post_uri, '/', 3), reason_subject = r.post_uri, cid = v_cid, created_at = r.created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF r.via IS NOT NULL AND split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3) <> r.user_did AND length(v_uri) <= 481 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3), r.user_did, 'repost-via-repost', unified_worker.referred(r.via, 'app.bsky.feed.repost'), v_cid, r.created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3), r.user_did, 'repost-via-repost', unified_worker.referred(r.via, 'app.bsky.feed.repost'), v_cid, r.created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF r.via IS NOT NULL AND split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3) <> r.user_did AND length(v_uri) <= 481 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred(r.via, 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred(r.via, 'app.bsky.feed.repost'), cid = v_cid, created_at = r.created_at WHERE n.uri = v_uri || '#notification/repost-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/repost-via-repost';
            END IF;
          END IF;
END $settle$;

CREATE OR REPLACE FUNCTION unified_worker.thread_gates_allow_followers(p_key text) RETURNS boolean LANGUAGE sql STABLE AS $value$
  SELECT coalesce((SELECT t.allow_followers FROM public.thread_gates AS t WHERE t.post_uri = p_key), false)
$value$;

CREATE OR REPLACE FUNCTION unified_worker.remove_thread_gates(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.thread_gates; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.post_uri]::text[]) FROM public.thread_gates AS t WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5);
  IF p_new IS NULL THEN
    DELETE FROM public.thread_gates AS t WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5) RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.thread_gates AS t WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5);
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
          IF p_new IS NULL THEN
            PERFORM unified_worker.judge_thread(r.post_uri);
          END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.remove_blocks(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.blocks; v_left int; v_quoted text;
BEGIN
  IF p_new IS NULL THEN
    DELETE FROM public.blocks AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.blocks AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[r.blocker_did, r.blocked_did]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.settle_blocks(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; r public.blocks; v_uri text; v_cid text; v_left int;
  v_again boolean := false; v_quiet boolean; p_new jsonb; p_at timestamptz; v_came timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = 'app.bsky.graph.block' AND key = p_key ORDER BY came_at, created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.* INTO r FROM public.blocks AS t WHERE t.blocker_did = p_key[1] AND t.blocked_did = p_key[2];
  IF FOUND THEN
    v_came := 'epoch';
    IF (v_came, r.created_at, r.uri COLLATE "C") <= (v_first.came_at, v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    v_uri := r.uri;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
    VALUES (v_uri, 'app.bsky.graph.block', p_key, v_came, r.created_at, to_jsonb(r) || jsonb_build_object('record_cid', NULL));
    DELETE FROM public.blocks AS t WHERE t.uri = v_uri;
  END IF;
  INSERT INTO public.blocks AS t (uri, blocker_did, blocked_did, created_at, indexed_at, commit_time, commit_seq, commit_rev)
  SELECT uri, blocker_did, blocked_did, created_at, indexed_at, commit_time, commit_seq, commit_rev FROM jsonb_populate_record(NULL::public.blocks, v_first.record) RETURNING t.* INTO r;
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
  v_uri := r.uri;
  v_cid := v_first.record ->> 'record_cid';
  v_quiet := coalesce((v_first.record ->> 'quiet')::boolean, r.commit_seq IS NULL);
END $settle$;

CREATE OR REPLACE FUNCTION unified_worker.remove_follows(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.follows; v_left int; v_quoted text;
BEGIN
  IF p_new IS NULL THEN
    DELETE FROM public.follows AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.follows AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
          END IF;
  RETURN ARRAY[r.follower_did, r.following_did]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.settle_follows(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; r public.follows; v_uri text; v_cid text; v_left int;
  v_again boolean := false; v_quiet boolean; p_new jsonb; p_at timestamptz; v_came timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = 'app.bsky.graph.follow' AND key = p_key ORDER BY came_at, created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.* INTO r FROM public.follows AS t WHERE t.follower_did = p_key[1] AND t.following_did = p_key[2];
  IF FOUND THEN
    v_came := 'epoch';
    IF (v_came, r.created_at, r.uri COLLATE "C") <= (v_first.came_at, v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    v_uri := r.uri;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
    VALUES (v_uri, 'app.bsky.graph.follow', p_key, v_came, r.created_at, to_jsonb(r) || jsonb_build_object('record_cid', (SELECT n.cid FROM public.notifications AS n WHERE n.uri = r.uri || '#notification')));
    DELETE FROM public.follows AS t WHERE t.uri = v_uri;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
          END IF;
  END IF;
  INSERT INTO public.follows AS t (uri, follower_did, following_did, created_at, indexed_at, commit_time, commit_seq, commit_rev)
  SELECT uri, follower_did, following_did, created_at, indexed_at, commit_time, commit_seq, commit_rev FROM jsonb_populate_record(NULL::public.follows, v_first.record) RETURNING t.* INTO r;
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
  v_uri := r.uri;
  v_cid := v_first.record ->> 'record_cid';
  v_quiet := coalesce((v_first.record ->> 'quiet')::boolean, r.commit_seq IS NULL);
          IF true AND r.following_did <> r.follower_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', r.following_did, r.follower_did, 'follow', NULL, v_cid, r.created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', r.following_did, r.follower_did, 'follow', NULL, v_cid, r.created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND r.following_did <> r.follower_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = r.following_did, reason_subject = NULL, cid = v_cid, created_at = r.created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
END $settle$;

CREATE OR REPLACE FUNCTION unified_worker.remove_lists(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.lists; v_left int; v_quoted text;
BEGIN
  IF p_new IS NULL THEN
    DELETE FROM public.lists AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.lists AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.remove_list_blocks(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.list_blocks; v_left int; v_quoted text;
BEGIN
  IF p_new IS NULL THEN
    DELETE FROM public.list_blocks AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.list_blocks AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[r.blocker_did, r.list_uri]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.settle_list_blocks(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; r public.list_blocks; v_uri text; v_cid text; v_left int;
  v_again boolean := false; v_quiet boolean; p_new jsonb; p_at timestamptz; v_came timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = 'app.bsky.graph.listblock' AND key = p_key ORDER BY came_at, created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.* INTO r FROM public.list_blocks AS t WHERE t.blocker_did = p_key[1] AND t.list_uri = p_key[2];
  IF FOUND THEN
    v_came := 'epoch';
    IF (v_came, r.created_at, r.uri COLLATE "C") <= (v_first.came_at, v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    v_uri := r.uri;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
    VALUES (v_uri, 'app.bsky.graph.listblock', p_key, v_came, r.created_at, to_jsonb(r) || jsonb_build_object('record_cid', NULL));
    DELETE FROM public.list_blocks AS t WHERE t.uri = v_uri;
  END IF;
  INSERT INTO public.list_blocks AS t (uri, blocker_did, list_uri, created_at, indexed_at)
  SELECT uri, blocker_did, list_uri, created_at, indexed_at FROM jsonb_populate_record(NULL::public.list_blocks, v_first.record) RETURNING t.* INTO r;
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
  v_uri := r.uri;
  v_cid := v_first.record ->> 'record_cid';
  v_quiet := coalesce((v_first.record ->> 'quiet')::boolean, coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = r.uri), false));
END $settle$;

CREATE OR REPLACE FUNCTION unified_worker.remove_list_items(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.list_items; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.list_uri]::text[]) FROM public.list_items AS t WHERE t.uri = v_uri;
  IF p_new IS NULL THEN
    DELETE FROM public.list_items AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.list_items AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[r.list_uri, r.subject_did]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.settle_list_items(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; r public.list_items; v_uri text; v_cid text; v_left int;
  v_again boolean := false; v_quiet boolean; p_new jsonb; p_at timestamptz; v_came timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = 'app.bsky.graph.listitem' AND key = p_key ORDER BY came_at, created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.* INTO r FROM public.list_items AS t WHERE t.list_uri = p_key[1] AND t.subject_did = p_key[2];
  IF FOUND THEN
    v_came := 'epoch';
    IF (v_came, r.created_at, r.uri COLLATE "C") <= (v_first.came_at, v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    v_uri := r.uri;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
    VALUES (v_uri, 'app.bsky.graph.listitem', p_key, v_came, r.created_at, to_jsonb(r) || jsonb_build_object('record_cid', NULL));
    DELETE FROM public.list_items AS t WHERE t.uri = v_uri;
  END IF;
  INSERT INTO public.list_items AS t (uri, cid, list_uri, subject_did, created_at, indexed_at)
  SELECT uri, cid, list_uri, subject_did, created_at, indexed_at FROM jsonb_populate_record(NULL::public.list_items, v_first.record) RETURNING t.* INTO r;
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
  v_uri := r.uri;
  v_cid := v_first.record ->> 'record_cid';
  v_quiet := coalesce((v_first.record ->> 'quiet')::boolean, coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = r.uri), false));
END $settle$;

CREATE OR REPLACE FUNCTION unified_worker.remove_starter_packs(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.starter_packs; v_left int; v_quoted text;
BEGIN
  IF p_new IS NULL THEN
    DELETE FROM public.starter_packs AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.starter_packs AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.remove_verifications(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.verifications; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.subject_did]::text[]) FROM public.verifications AS t WHERE t.uri = v_uri;
  IF p_new IS NULL THEN
    DELETE FROM public.verifications AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.verifications AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/verified';
          END IF;
          IF p_at IS NOT NULL AND r.subject_did <> split_part(v_uri, '/', 3) AND length(v_uri) <= 488 THEN
            INSERT INTO public.notifications (uri, recipient_did, author_did, reason, cid, created_at, indexed_at)
            VALUES (v_uri || '#notification/unverified', r.subject_did, split_part(v_uri, '/', 3), 'unverified', r.cid, p_at, now())
            ON CONFLICT (uri) DO NOTHING;
          END IF;
  RETURN ARRAY[r.subject_did]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.settle_verifications(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; r public.verifications; v_uri text; v_cid text; v_left int;
  v_again boolean := false; v_quiet boolean; p_new jsonb; p_at timestamptz; v_came timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = 'app.bsky.graph.verification' AND key = p_key ORDER BY came_at, created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.* INTO r FROM public.verifications AS t WHERE t.subject_did = p_key[1];
  IF FOUND THEN
    v_came := coalesce((SELECT c.at FROM unified_worker.commit_times AS c WHERE c.uri = r.uri), 'epoch');
    IF (v_came, r.created_at, r.uri COLLATE "C") <= (v_first.came_at, v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    v_uri := r.uri;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
    VALUES (v_uri, 'app.bsky.graph.verification', p_key, v_came, r.created_at, to_jsonb(r) || jsonb_build_object('record_cid', NULL));
    DELETE FROM public.verifications AS t WHERE t.uri = v_uri;
          IF p_new IS NULL THEN
            DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/verified';
          END IF;
          IF p_at IS NOT NULL AND r.subject_did <> split_part(v_uri, '/', 3) AND length(v_uri) <= 488 THEN
            INSERT INTO public.notifications (uri, recipient_did, author_did, reason, cid, created_at, indexed_at)
            VALUES (v_uri || '#notification/unverified', r.subject_did, split_part(v_uri, '/', 3), 'unverified', r.cid, p_at, now())
            ON CONFLICT (uri) DO NOTHING;
          END IF;
  END IF;
  INSERT INTO public.verifications AS t (uri, cid, subject_did, handle, verified_at, created_at, indexed_at)
  SELECT uri, cid, subject_did, handle, verified_at, created_at, indexed_at FROM jsonb_populate_record(NULL::public.verifications, v_first.record) RETURNING t.* INTO r;
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
  v_uri := r.uri;
  v_cid := v_first.record ->> 'record_cid';
  v_quiet := coalesce((v_first.record ->> 'quiet')::boolean, coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = r.uri), false));
          IF true AND r.subject_did <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', r.subject_did, split_part(v_uri, '/', 3), 'verified', NULL, r.cid, r.created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', r.subject_did, split_part(v_uri, '/', 3), 'verified', NULL, r.cid, r.created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND r.subject_did <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 THEN
              UPDATE public.notifications AS n SET recipient_did = r.subject_did, reason_subject = NULL, cid = r.cid, created_at = r.created_at WHERE n.uri = v_uri || '#notification/verified';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/verified';
            END IF;
          END IF;
END $settle$;

CREATE OR REPLACE FUNCTION unified_worker.remove_labeler_services(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r public.labeler_services; v_left int; v_quoted text;
BEGIN
  PERFORM unified_worker.lock(ARRAY[t.uri]::text[]) FROM public.labeler_services AS t WHERE t.uri = v_uri;
  IF p_new IS NULL THEN
    DELETE FROM public.labeler_services AS t WHERE t.uri = v_uri RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM public.labeler_services AS t WHERE t.uri = v_uri;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[]::text[];
END $remove$;

CREATE OR REPLACE FUNCTION unified_worker.lock_commit(p_buckets int[], p_uris text[]) RETURNS void LANGUAGE plpgsql AS $lock$
DECLARE
  v_collection text; v_uris text[]; v_meets text[]; v_bucket int; v_locked text;
BEGIN
  FOR v_collection, v_uris IN
    SELECT split_part(u, '/', 4), array_agg(u) FROM unnest(p_uris) AS u WHERE u IS NOT NULL GROUP BY 1
  LOOP
    CASE v_collection
      WHEN 'app.bsky.feed.generator' THEN
        v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.uri]::text[]) FROM public.feed_generators AS t WHERE t.uri = ANY (v_uris));
      WHEN 'app.bsky.feed.like' THEN
        v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.post_uri]::text[]) FROM public.likes AS t WHERE t.uri = ANY (v_uris));
      WHEN 'app.bsky.feed.post' THEN
        v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.uri, t.parent_uri, t.root_uri, (SELECT q.quoted_uri FROM public.quotes AS q WHERE q.post_uri = t.uri)]::text[]) FROM public.posts AS t WHERE t.uri = ANY (v_uris));
      WHEN 'app.bsky.feed.repost' THEN
        v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.post_uri]::text[]) FROM public.reposts AS t WHERE t.uri = ANY (v_uris));
      WHEN 'app.bsky.graph.listitem' THEN
        v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.list_uri]::text[]) FROM public.list_items AS t WHERE t.uri = ANY (v_uris)
        UNION ALL SELECT unnest(ARRAY[t.list_uri]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.list_items, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.listitem' AND d.uri = ANY (v_uris));
      WHEN 'app.bsky.graph.verification' THEN
        v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.subject_did]::text[]) FROM public.verifications AS t WHERE t.uri = ANY (v_uris)
        UNION ALL SELECT unnest(ARRAY[t.subject_did]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.verifications, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.verification' AND d.uri = ANY (v_uris));
      WHEN 'app.bsky.labeler.service' THEN
        v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.uri]::text[]) FROM public.labeler_services AS t WHERE t.uri = ANY (v_uris));
      ELSE NULL;
    END CASE;
  END LOOP;
  FOR v_bucket IN
    SELECT unnest(p_buckets) UNION SELECT unified_worker.bucket(m) FROM unnest(v_meets) AS m WHERE m IS NOT NULL ORDER BY 1
  LOOP
    v_locked := pg_advisory_xact_lock(1456714798, v_bucket)::text;
  END LOOP;
END $lock$;

CREATE OR REPLACE PROCEDURE unified_worker.wipe(p_did text, p_most int, INOUT p_done boolean) LANGUAGE plpgsql AS $wipe$
DECLARE
  v_first text := 'at://' || p_did || '/'; v_end text := 'at://' || p_did || '0';  -- '0' is the character after '/'
  v_kinds smallint[]; v_uris text[]; v_taken int := 0; v_rows int := 100; v_refused text[] := '{}';
  v_state text; v_message text; v_detail text;
BEGIN
  p_done := false;
  WHILE NOT p_done AND v_taken < p_most LOOP
    PERFORM FROM unified_worker.repos WHERE did = p_did AND wiping FOR UPDATE;
    IF NOT FOUND THEN
      p_done := true;
    ELSE
      DELETE FROM unified_worker.duplicate_records WHERE uri >= v_first AND uri < v_end AND collection NOT IN ('app.bsky.graph.listitem', 'app.bsky.graph.verification');
      SELECT array_agg(x.kind), array_agg(x.uri) INTO v_kinds, v_uris FROM (
        (SELECT 13349::smallint, t.uri FROM public.generic_records AS t WHERE t.author_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 26343::smallint, 'at://' || t.did || '/app.bsky.actor.profile/self' FROM public.users AS t WHERE t.did = p_did AND (t.display_name IS NOT NULL OR t.avatar_url IS NOT NULL OR t.banner_url IS NOT NULL OR t.description IS NOT NULL OR t.profile_record IS NOT NULL OR t.pinned_post IS NOT NULL) AND 'at://' || t.did || '/app.bsky.actor.profile/self' <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 28743::smallint, t.uri FROM public.feed_generators AS t WHERE t.creator_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 603::smallint, t.uri FROM public.likes AS t WHERE t.user_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 15::smallint, t.uri FROM public.posts AS t WHERE t.author_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 12477::smallint, replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/') FROM public.post_gates AS t WHERE t.post_uri COLLATE "C" >= v_first AND t.post_uri COLLATE "C" < v_end AND replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/') <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 32493::smallint, t.uri FROM public.reposts AS t WHERE t.user_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 30211::smallint, replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/') FROM public.thread_gates AS t WHERE t.owner_did = p_did AND replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/') <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 5285::smallint, t.uri FROM public.blocks AS t WHERE t.blocker_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 865::smallint, t.uri FROM public.follows AS t WHERE t.follower_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 21371::smallint, t.uri FROM public.lists AS t WHERE t.creator_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 30517::smallint, t.uri FROM public.list_blocks AS t WHERE t.blocker_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 10427::smallint, t.uri FROM public.list_items AS t WHERE t.uri COLLATE "C" >= v_first AND t.uri COLLATE "C" < v_end AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 9575::smallint, t.uri FROM public.starter_packs AS t WHERE t.creator_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 28501::smallint, t.uri FROM public.verifications AS t WHERE t.uri COLLATE "C" >= v_first AND t.uri COLLATE "C" < v_end AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 2965::smallint, t.uri FROM public.labeler_services AS t WHERE t.creator_did = p_did AND t.uri <> ALL (v_refused) LIMIT v_rows)
        UNION ALL (SELECT 10427::smallint, d.uri FROM unified_worker.duplicate_records AS d
          WHERE d.uri >= v_first AND d.uri < v_end AND d.collection = 'app.bsky.graph.listitem' AND d.uri <> ALL (v_refused)
          LIMIT v_rows)
        UNION ALL (SELECT 28501::smallint, d.uri FROM unified_worker.duplicate_records AS d
          WHERE d.uri >= v_first AND d.uri < v_end AND d.collection = 'app.bsky.graph.verification' AND d.uri <> ALL (v_refused)
          LIMIT v_rows)
        LIMIT v_rows) AS x (kind, uri);
      IF v_uris IS NULL OR cardinality(v_refused) >= 1000 THEN
        DELETE FROM public.notifications WHERE recipient_did = p_did;
        DELETE FROM public.notifications WHERE uri COLLATE "C" >= v_first AND uri COLLATE "C" < v_end;
        IF v_refused <> '{}' THEN
          COMMIT;
          RAISE EXCEPTION USING ERRCODE = v_state, DETAIL = v_detail,
            MESSAGE = format('%s records stay, %s for one: %s', cardinality(v_refused), v_refused[1], v_message);
        END IF;
        DELETE FROM unified_worker.commit_times WHERE uri >= v_first AND uri < v_end;
        UPDATE unified_worker.repos SET wiping = false, wiped_at = now(), updated_at = now() WHERE did = p_did;
        DELETE FROM unified_worker.stuck_wipes WHERE did = p_did;
        p_done := true;
      ELSE
        BEGIN
          PERFORM unified_worker.apply_commit(3,
            p_did, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text,
            NULL::boolean, NULL::bytea, NULL::bigint, NULL::timestamptz, false, false,
            NULL::bytea, NULL::int[], 1, 0, 1, cardinality(v_uris),
            NULL::boolean, v_kinds, v_uris, NULL::text[], NULL::text[], NULL::text[],
            NULL::timestamptz[], NULL::jsonb[]);
          SET CONSTRAINTS ALL IMMEDIATE;
          v_taken := v_taken + cardinality(v_uris);
          v_rows := least(2 * v_rows, 100);
        EXCEPTION WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL;
          IF left(v_state, 2) IN ('08', '40', '53', '57', '58', '0A', '25', '28', '3D', '55', '09', '0B', '0L', '0P', '24', '26', '27', '2B', '2D', '34', '3B', '72', 'F0', 'HV', 'XX', '42', '3F') THEN
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

CREATE OR REPLACE FUNCTION unified_worker.rebuild_thread_gates(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'thread_gates' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.post_uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.post_uri FROM public.thread_gates AS t WHERE (t.post_uri) > (v_after[1]) ORDER BY t.post_uri LIMIT p_most)) AS p ORDER BY post_uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    UPDATE public.posts AS p SET has_thread_gate = true FROM (SELECT t.* FROM public.thread_gates AS t WHERE (t.post_uri) > (v_after[1]) AND (t.post_uri) <= (v_last[1])) AS t
    WHERE p.uri = t.post_uri AND NOT p.has_thread_gate;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'thread_gates';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_posts(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'posts' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.posts AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    DELETE FROM public.quotes AS q
    USING (SELECT t.uri, q.v_quoted AS quoted FROM (SELECT t.* FROM public.posts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t CROSS JOIN LATERAL (SELECT CASE WHEN t.embed ? 'record' AND length(t.uri) <= 506
    THEN unified_worker.quoted(t.embed) END) AS q (v_quoted)) AS x
    WHERE q.post_uri = x.uri AND (q.uri, q.quoted_uri) IS DISTINCT FROM (x.uri || '#quote', x.quoted);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.quotes (uri, cid, post_uri, quoted_uri, quoted_cid, created_at, indexed_at)
    SELECT x.uri, x.cid, x.post_uri, x.quoted_uri, x.quoted_cid, x.created_at, now()
    FROM (SELECT t.uri || '#quote' AS uri, t.cid AS cid, t.uri AS post_uri, v_quoted AS quoted_uri, unified_worker.quoted_cid(t.embed) AS quoted_cid, t.created_at AS created_at, t.indexed_at AS came FROM (SELECT t.* FROM public.posts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t CROSS JOIN LATERAL (SELECT CASE WHEN t.embed ? 'record' AND length(t.uri) <= 506
    THEN unified_worker.quoted(t.embed) END) AS q (v_quoted)
      WHERE v_quoted IS NOT NULL AND true AND true) AS x LEFT JOIN public.quotes AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (false) ELSE (o.cid, o.post_uri, o.quoted_uri, o.quoted_cid, o.created_at) IS DISTINCT FROM (x.cid, x.post_uri, x.quoted_uri, x.quoted_cid, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET cid = excluded.cid, post_uri = excluded.post_uri, quoted_uri = excluded.quoted_uri, quoted_cid = excluded.quoted_cid, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    UPDATE public.posts AS p SET has_thread_gate = x.thread_gated, has_post_gate = x.post_gated,
      violates_thread_gate = x.intrudes, violates_embedding_rules = x.embeds,
      search_vector = coalesce(p.search_vector, to_tsvector('simple', unified_worker.searchable(p.text)))
    FROM (
      SELECT t.uri, g.post_uri IS NOT NULL AS thread_gated, e.post_uri IS NOT NULL AS post_gated,
        CASE WHEN t.parent_uri IS NULL OR of_root.post_uri IS NULL THEN false
          WHEN c.came < unified_worker.gate_since(t.root_uri) THEN t.violates_thread_gate  -- judged by a gate that was before
          ELSE unified_worker.violates_thread_gate(t.root_uri, t.author_did, c.came) END
          OR t.parent_uri IS NOT NULL AND t.parent_uri <> t.root_uri AND unified_worker.violates_parents_gate(
            t.parent_uri, t.root_uri, t.author_did, c.came, t.violates_thread_gate) AS intrudes,
        coalesce(unified_worker.disables_quotes(d.embedding_rules), false)
          AND t.author_did <> split_part(q.quoted_uri, '/', 3) AS embeds
      FROM (SELECT t.* FROM public.posts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      CROSS JOIN LATERAL (SELECT coalesce(t.commit_time, unified_worker.tid_time(split_part(t.uri, '/', 5)), 'infinity')) AS c (came)
      LEFT JOIN public.thread_gates AS g ON g.post_uri = t.uri
      LEFT JOIN public.post_gates AS e ON e.post_uri = t.uri
      LEFT JOIN public.thread_gates AS of_root ON of_root.post_uri = t.root_uri
      LEFT JOIN public.quotes AS q ON q.post_uri = t.uri
      LEFT JOIN public.post_gates AS d ON d.post_uri = q.quoted_uri) AS x
    WHERE p.uri = x.uri AND (p.search_vector IS NULL OR
      (p.has_thread_gate, p.has_post_gate, p.violates_thread_gate, p.violates_embedding_rules)
        IS DISTINCT FROM (x.thread_gated, x.post_gated, x.intrudes, x.embeds));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.thread_contexts (post_uri, root_author_like_uri, created_at, updated_at)
    SELECT x.post_uri, x.root_author_like_uri, now(), now()
    FROM (SELECT t.uri AS post_uri, l.uri AS root_author_like_uri, t.indexed_at AS came FROM (SELECT t.* FROM public.posts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t LEFT JOIN public.likes AS l ON l.user_did = split_part(t.root_uri, '/', 3) AND l.post_uri = t.uri
      WHERE t.parent_uri IS NOT NULL AND true AND true) AS x LEFT JOIN public.thread_contexts AS o ON o.post_uri = x.post_uri
    WHERE CASE WHEN o.post_uri IS NULL THEN NOT (false) ELSE (o.root_author_like_uri) IS DISTINCT FROM (x.root_author_like_uri) END
    ON CONFLICT (post_uri) DO UPDATE SET root_author_like_uri = excluded.root_author_like_uri, updated_at = now();
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at, now()
    FROM (SELECT t.uri || '#notification/reply' AS uri, split_part(t.parent_uri, '/', 3) AS recipient_did, t.author_did AS author_did, 'reply' AS reason, t.uri AS reason_subject, t.cid AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.posts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE NOT t.violates_thread_gate AND t.parent_uri LIKE 'at://did:%' AND split_part(t.parent_uri, '/', 3) <> t.author_did AND length(t.uri) <= 493 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.cid, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at, now()
    FROM (SELECT t.uri || '#notification/quote' AS uri, split_part(v_quoted, '/', 3) AS recipient_did, t.author_did AS author_did, 'quote' AS reason, t.uri AS reason_subject, t.cid AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.posts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t CROSS JOIN LATERAL (SELECT CASE WHEN t.embed ? 'record' AND length(t.uri) <= 506
    THEN unified_worker.quoted(t.embed) END) AS q (v_quoted)
      WHERE NOT t.violates_embedding_rules AND split_part(v_quoted, '/', 3) <> t.author_did AND length(t.uri) <= 493 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.cid, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at, now()
    FROM (SELECT t.uri || '#notification/mention/' || m AS uri, m AS recipient_did, t.author_did AS author_did, 'mention' AS reason, t.uri AS reason_subject, t.cid AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.posts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t CROSS JOIN LATERAL unified_worker.mentioned(t.facets) AS m
      WHERE m <> t.author_did AND length(t.uri) + length(m) <= 490 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.cid, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.feed_items (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
    SELECT x.uri, x.post_uri, x.originator_did, x.type, x.sort_at, x.cid, x.created_at, now()
    FROM (SELECT t.uri AS uri, t.uri AS post_uri, t.author_did AS originator_did, CASE WHEN t.parent_uri IS NULL THEN 'post' ELSE 'reply' END AS type, least(t.created_at, t.commit_time) AS sort_at, t.cid AS cid, t.created_at AS created_at, t.indexed_at AS came FROM (SELECT t.* FROM public.posts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE true AND true AND true) AS x LEFT JOIN public.feed_items AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (false) ELSE (o.post_uri, o.originator_did, o.type, o.sort_at, o.cid, o.created_at) IS DISTINCT FROM (x.post_uri, x.originator_did, x.type, x.sort_at, x.cid, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, originator_did = excluded.originator_did, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'posts';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_users(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'users' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.did::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.did FROM public.users AS t WHERE (t.did) > (v_after[1]) ORDER BY t.did LIMIT p_most)) AS p ORDER BY did LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    UPDATE public.users AS t SET search_vector = to_tsvector('simple', concat_ws(' ',
      nullif(t.handle, 'handle.invalid'),
      unified_worker.searchable(concat_ws(' ', nullif(t.display_name, ''), nullif(t.description, '')))))
    WHERE (t.did) > (v_after[1]) AND (t.did) <= (v_last[1]) AND t.search_vector IS NULL AND (
      t.handle <> 'handle.invalid' OR t.display_name <> '' OR t.description <> '');
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at, now()
    FROM (SELECT 'at://' || t.did || '/app.bsky.actor.profile/self' || '#notification/starterpack-joined' AS uri, split_part(unified_worker.referred(t.profile_record -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3) AS recipient_did, t.did AS author_did, 'starterpack-joined' AS reason, unified_worker.referred(t.profile_record -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack') AS reason_subject, NULL::text AS cid, t.indexed_at AS created_at, coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = 'at://' || t.did || '/app.bsky.actor.profile/self'), false) AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.users AS t WHERE (t.did) > (v_after[1]) AND (t.did) <= (v_last[1])) AS t
      WHERE t.profile_record ? 'joinedViaStarterPack' AND split_part(unified_worker.referred(t.profile_record -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3) <> t.did AND length('at://' || t.did || '/app.bsky.actor.profile/self') <= 480 AND (t.display_name IS NOT NULL OR t.avatar_url IS NOT NULL OR t.banner_url IS NOT NULL OR t.description IS NOT NULL OR t.profile_record IS NOT NULL OR t.pinned_post IS NOT NULL) AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'users';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_likes(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'likes' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.likes AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    INSERT INTO public.post_viewer_states (post_uri, viewer_did, like_uri, created_at, updated_at)
    SELECT x.post_uri, x.viewer_did, x.like_uri, now(), now()
    FROM (SELECT t.post_uri AS post_uri, t.user_did AS viewer_did, t.uri AS like_uri, t.indexed_at AS came FROM (SELECT t.* FROM public.likes AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE true AND true AND true) AS x LEFT JOIN public.post_viewer_states AS o ON o.post_uri = x.post_uri AND o.viewer_did = x.viewer_did
    WHERE CASE WHEN o.post_uri IS NULL THEN NOT (false) ELSE (o.like_uri) IS DISTINCT FROM (x.like_uri) END
    ON CONFLICT (post_uri, viewer_did) DO UPDATE SET like_uri = excluded.like_uri, updated_at = now();
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.thread_contexts (post_uri, root_author_like_uri, created_at, updated_at)
    SELECT x.post_uri, x.root_author_like_uri, now(), now()
    FROM (SELECT t.post_uri AS post_uri, t.uri AS root_author_like_uri, t.indexed_at AS came FROM (SELECT t.* FROM public.likes AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t JOIN public.posts AS p ON p.uri = t.post_uri
      WHERE p.parent_uri IS NOT NULL AND split_part(p.root_uri, '/', 3) = t.user_did AND true AND true) AS x LEFT JOIN public.thread_contexts AS o ON o.post_uri = x.post_uri
    WHERE CASE WHEN o.post_uri IS NULL THEN NOT (false) ELSE (o.root_author_like_uri) IS DISTINCT FROM (x.root_author_like_uri) END
    ON CONFLICT (post_uri) DO UPDATE SET root_author_like_uri = excluded.root_author_like_uri, updated_at = now();
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, created_at, cid, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at, x.cid, now()
    FROM (SELECT t.uri || '#notification' AS uri, split_part(t.post_uri, '/', 3) AS recipient_did, t.user_did AS author_did, 'like' AS reason, t.post_uri AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.likes AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE true AND split_part(t.post_uri, '/', 3) <> t.user_did AND length(t.uri) <= 499 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, created_at, cid, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at, x.cid, now()
    FROM (SELECT t.uri || '#notification/like-via-repost' AS uri, split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) AS recipient_did, t.user_did AS author_did, 'like-via-repost' AS reason, unified_worker.referred(t.via, 'app.bsky.feed.repost') AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.likes AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE t.via IS NOT NULL AND split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) <> t.user_did AND length(t.uri) <= 483 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'likes';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_reposts(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'reposts' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.reposts AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    INSERT INTO public.post_viewer_states (post_uri, viewer_did, repost_uri, created_at, updated_at)
    SELECT x.post_uri, x.viewer_did, x.repost_uri, now(), now()
    FROM (SELECT t.post_uri AS post_uri, t.user_did AS viewer_did, t.uri AS repost_uri, t.indexed_at AS came FROM (SELECT t.* FROM public.reposts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE true AND true AND true) AS x LEFT JOIN public.post_viewer_states AS o ON o.post_uri = x.post_uri AND o.viewer_did = x.viewer_did
    WHERE CASE WHEN o.post_uri IS NULL THEN NOT (false) ELSE (o.repost_uri) IS DISTINCT FROM (x.repost_uri) END
    ON CONFLICT (post_uri, viewer_did) DO UPDATE SET repost_uri = excluded.repost_uri, updated_at = now();
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.feed_items (uri, post_uri, originator_did, type, sort_at, created_at, cid, indexed_at)
    SELECT x.uri, x.post_uri, x.originator_did, x.type, x.sort_at, x.created_at, x.cid, now()
    FROM (SELECT t.uri AS uri, t.post_uri AS post_uri, t.user_did AS originator_did, 'repost' AS type, least(t.created_at, t.commit_time) AS sort_at, coalesce(NULL::text, t.subject_cid, '') AS cid, t.created_at AS created_at, t.indexed_at AS came FROM (SELECT t.* FROM public.reposts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE true AND true AND true) AS x LEFT JOIN public.feed_items AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (false) ELSE (o.post_uri, o.originator_did, o.type, o.sort_at, o.created_at) IS DISTINCT FROM (x.post_uri, x.originator_did, x.type, x.sort_at, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, originator_did = excluded.originator_did, type = excluded.type, sort_at = excluded.sort_at, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, created_at, cid, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at, x.cid, now()
    FROM (SELECT t.uri || '#notification' AS uri, split_part(t.post_uri, '/', 3) AS recipient_did, t.user_did AS author_did, 'repost' AS reason, t.post_uri AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.reposts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE true AND split_part(t.post_uri, '/', 3) <> t.user_did AND length(t.uri) <= 499 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, created_at, cid, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at, x.cid, now()
    FROM (SELECT t.uri || '#notification/repost-via-repost' AS uri, split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) AS recipient_did, t.user_did AS author_did, 'repost-via-repost' AS reason, unified_worker.referred(t.via, 'app.bsky.feed.repost') AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.reposts AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE t.via IS NOT NULL AND split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) <> t.user_did AND length(t.uri) <= 481 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'reposts';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_follows(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'follows' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.follows AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, created_at, cid, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at, x.cid, now()
    FROM (SELECT t.uri || '#notification' AS uri, t.following_did AS recipient_did, t.follower_did AS author_did, 'follow' AS reason, NULL AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.follows AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE true AND t.following_did <> t.follower_did AND length(t.uri) <= 499 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'follows';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_verifications(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'verifications' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.verifications AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    INSERT INTO public.notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
    SELECT x.uri, x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at, now()
    FROM (SELECT t.uri || '#notification/verified' AS uri, t.subject_did AS recipient_did, split_part(t.uri, '/', 3) AS author_did, 'verified' AS reason, NULL AS reason_subject, t.cid AS cid, t.created_at AS created_at, coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = t.uri), false) AS quiet, t.indexed_at AS came FROM (SELECT t.* FROM public.verifications AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      WHERE true AND t.subject_did <> split_part(t.uri, '/', 3) AND length(t.uri) <= 490 AND true AND true) AS x LEFT JOIN public.notifications AS o ON o.uri = x.uri
    WHERE CASE WHEN o.uri IS NULL THEN NOT (x.quiet OR EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.came <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))) ELSE (o.recipient_did, o.author_did, o.reason, o.reason_subject, o.cid, o.created_at) IS DISTINCT FROM (x.recipient_did, x.author_did, x.reason, x.reason_subject, x.cid, x.created_at) END
    ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'verifications';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_quotes(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'quotes' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.quotes AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    DELETE FROM public.quotes AS d USING (SELECT t.* FROM public.quotes AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS w WHERE d.uri = w.uri
    AND (CASE split_part(w.uri, '/', 4) WHEN 'app.bsky.feed.post' THEN EXISTS (SELECT FROM (SELECT t.uri || '#quote' AS uri, t.cid AS cid, t.uri AS post_uri, v_quoted AS quoted_uri, unified_worker.quoted_cid(t.embed) AS quoted_cid, t.created_at AS created_at, t.indexed_at AS came FROM public.posts AS t CROSS JOIN LATERAL (SELECT CASE WHEN t.embed ? 'record' AND length(t.uri) <= 506
    THEN unified_worker.quoted(t.embed) END) AS q (v_quoted)
      WHERE v_quoted IS NOT NULL AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri) END) IS NOT TRUE;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'quotes';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_feed_items(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'feed_items' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.feed_items AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    DELETE FROM public.feed_items AS d USING (SELECT t.* FROM public.feed_items AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS w WHERE d.uri = w.uri
    AND (CASE split_part(w.uri, '/', 4) WHEN 'app.bsky.feed.post' THEN EXISTS (SELECT FROM (SELECT t.uri AS uri, t.uri AS post_uri, t.author_did AS originator_did, CASE WHEN t.parent_uri IS NULL THEN 'post' ELSE 'reply' END AS type, least(t.created_at, t.commit_time) AS sort_at, t.cid AS cid, t.created_at AS created_at, t.indexed_at AS came FROM public.posts AS t
      WHERE true AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri)
      WHEN 'app.bsky.feed.repost' THEN EXISTS (SELECT FROM (SELECT t.uri AS uri, t.post_uri AS post_uri, t.user_did AS originator_did, 'repost' AS type, least(t.created_at, t.commit_time) AS sort_at, coalesce(NULL::text, t.subject_cid, '') AS cid, t.created_at AS created_at, t.indexed_at AS came FROM public.reposts AS t
      WHERE true AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri) END) IS NOT TRUE;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'feed_items';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_thread_contexts(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'thread_contexts' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.post_uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.post_uri FROM public.thread_contexts AS t WHERE (t.post_uri) > (v_after[1]) ORDER BY t.post_uri LIMIT p_most)) AS p ORDER BY post_uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    DELETE FROM public.thread_contexts AS d USING (SELECT t.* FROM public.thread_contexts AS t WHERE (t.post_uri) > (v_after[1]) AND (t.post_uri) <= (v_last[1])) AS w WHERE d.post_uri = w.post_uri
    AND (CASE split_part(w.post_uri, '/', 4) WHEN 'app.bsky.feed.like' THEN EXISTS (SELECT FROM (SELECT t.post_uri AS post_uri, t.uri AS root_author_like_uri, t.indexed_at AS came FROM public.likes AS t JOIN public.posts AS p ON p.uri = t.post_uri
      WHERE p.parent_uri IS NOT NULL AND split_part(p.root_uri, '/', 3) = t.user_did AND true AND t.uri = split_part(w.post_uri, '#', 1) AND true) AS x
        WHERE x.post_uri = w.post_uri)
      WHEN 'app.bsky.feed.post' THEN EXISTS (SELECT FROM (SELECT t.uri AS post_uri, l.uri AS root_author_like_uri, t.indexed_at AS came FROM public.posts AS t LEFT JOIN public.likes AS l ON l.user_did = split_part(t.root_uri, '/', 3) AND l.post_uri = t.uri
      WHERE t.parent_uri IS NOT NULL AND true AND t.uri = split_part(w.post_uri, '#', 1) AND true) AS x
        WHERE x.post_uri = w.post_uri) END) IS NOT TRUE;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'thread_contexts';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_notifications(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'notifications' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.notifications AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    DELETE FROM public.notifications AS d USING (SELECT t.* FROM public.notifications AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS w WHERE d.uri = w.uri AND w.reason IN ('starterpack-joined', 'like', 'like-via-repost', 'reply', 'quote', 'mention', 'repost', 'repost-via-repost', 'follow', 'verified') AND w.uri LIKE '%#notification%'
    AND (CASE split_part(w.uri, '/', 4) WHEN 'app.bsky.actor.profile' THEN EXISTS (SELECT FROM (SELECT 'at://' || t.did || '/app.bsky.actor.profile/self' || '#notification/starterpack-joined' AS uri, split_part(unified_worker.referred(t.profile_record -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3) AS recipient_did, t.did AS author_did, 'starterpack-joined' AS reason, unified_worker.referred(t.profile_record -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack') AS reason_subject, NULL::text AS cid, t.indexed_at AS created_at, coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = 'at://' || t.did || '/app.bsky.actor.profile/self'), false) AS quiet, t.indexed_at AS came FROM public.users AS t
      WHERE t.profile_record ? 'joinedViaStarterPack' AND split_part(unified_worker.referred(t.profile_record -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3) <> t.did AND length('at://' || t.did || '/app.bsky.actor.profile/self') <= 480 AND (t.display_name IS NOT NULL OR t.avatar_url IS NOT NULL OR t.banner_url IS NOT NULL OR t.description IS NOT NULL OR t.profile_record IS NOT NULL OR t.pinned_post IS NOT NULL) AND t.did = split_part(split_part(w.uri, '#', 1), '/', 3) AND 'at://' || t.did || '/app.bsky.actor.profile/self' = split_part(w.uri, '#', 1)) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did)
      WHEN 'app.bsky.feed.like' THEN EXISTS (SELECT FROM (SELECT t.uri || '#notification' AS uri, split_part(t.post_uri, '/', 3) AS recipient_did, t.user_did AS author_did, 'like' AS reason, t.post_uri AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM public.likes AS t
      WHERE true AND split_part(t.post_uri, '/', 3) <> t.user_did AND length(t.uri) <= 499 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did) OR EXISTS (SELECT FROM (SELECT t.uri || '#notification/like-via-repost' AS uri, split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) AS recipient_did, t.user_did AS author_did, 'like-via-repost' AS reason, unified_worker.referred(t.via, 'app.bsky.feed.repost') AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM public.likes AS t
      WHERE t.via IS NOT NULL AND split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) <> t.user_did AND length(t.uri) <= 483 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did)
      WHEN 'app.bsky.feed.post' THEN EXISTS (SELECT FROM (SELECT t.uri || '#notification/reply' AS uri, split_part(t.parent_uri, '/', 3) AS recipient_did, t.author_did AS author_did, 'reply' AS reason, t.uri AS reason_subject, t.cid AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM public.posts AS t
      WHERE NOT t.violates_thread_gate AND t.parent_uri LIKE 'at://did:%' AND split_part(t.parent_uri, '/', 3) <> t.author_did AND length(t.uri) <= 493 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did) OR EXISTS (SELECT FROM (SELECT t.uri || '#notification/quote' AS uri, split_part(v_quoted, '/', 3) AS recipient_did, t.author_did AS author_did, 'quote' AS reason, t.uri AS reason_subject, t.cid AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM public.posts AS t CROSS JOIN LATERAL (SELECT CASE WHEN t.embed ? 'record' AND length(t.uri) <= 506
    THEN unified_worker.quoted(t.embed) END) AS q (v_quoted)
      WHERE NOT t.violates_embedding_rules AND split_part(v_quoted, '/', 3) <> t.author_did AND length(t.uri) <= 493 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did) OR EXISTS (SELECT FROM (SELECT t.uri || '#notification/mention/' || m AS uri, m AS recipient_did, t.author_did AS author_did, 'mention' AS reason, t.uri AS reason_subject, t.cid AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM public.posts AS t CROSS JOIN LATERAL unified_worker.mentioned(t.facets) AS m
      WHERE m <> t.author_did AND length(t.uri) + length(m) <= 490 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did)
      WHEN 'app.bsky.feed.repost' THEN EXISTS (SELECT FROM (SELECT t.uri || '#notification' AS uri, split_part(t.post_uri, '/', 3) AS recipient_did, t.user_did AS author_did, 'repost' AS reason, t.post_uri AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM public.reposts AS t
      WHERE true AND split_part(t.post_uri, '/', 3) <> t.user_did AND length(t.uri) <= 499 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did) OR EXISTS (SELECT FROM (SELECT t.uri || '#notification/repost-via-repost' AS uri, split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) AS recipient_did, t.user_did AS author_did, 'repost-via-repost' AS reason, unified_worker.referred(t.via, 'app.bsky.feed.repost') AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM public.reposts AS t
      WHERE t.via IS NOT NULL AND split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) <> t.user_did AND length(t.uri) <= 481 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did)
      WHEN 'app.bsky.graph.follow' THEN EXISTS (SELECT FROM (SELECT t.uri || '#notification' AS uri, t.following_did AS recipient_did, t.follower_did AS author_did, 'follow' AS reason, NULL AS reason_subject, NULL::text AS cid, t.created_at AS created_at, t.commit_seq IS NULL AS quiet, t.indexed_at AS came FROM public.follows AS t
      WHERE true AND t.following_did <> t.follower_did AND length(t.uri) <= 499 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did)
      WHEN 'app.bsky.graph.verification' THEN EXISTS (SELECT FROM (SELECT t.uri || '#notification/verified' AS uri, t.subject_did AS recipient_did, split_part(t.uri, '/', 3) AS author_did, 'verified' AS reason, NULL AS reason_subject, t.cid AS cid, t.created_at AS created_at, coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = t.uri), false) AS quiet, t.indexed_at AS came FROM public.verifications AS t
      WHERE true AND t.subject_did <> split_part(t.uri, '/', 3) AND length(t.uri) <= 490 AND true AND t.uri = split_part(w.uri, '#', 1) AND true) AS x
        WHERE x.uri = w.uri AND x.recipient_did = w.recipient_did) END) IS NOT TRUE;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'notifications';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_post_viewer_states(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'post_viewer_states' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.post_uri::text))[count(*)], (array_agg(k.viewer_did::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.post_uri, t.viewer_did FROM public.post_viewer_states AS t WHERE (t.post_uri, t.viewer_did) > (v_after[1], v_after[2]) ORDER BY t.post_uri, t.viewer_did LIMIT p_most)) AS p ORDER BY post_uri, viewer_did LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    UPDATE public.post_viewer_states AS s
    SET like_uri = x.like_uri, repost_uri = x.repost_uri, updated_at = now()
    FROM (SELECT k.post_uri, k.viewer_did, coalesce((SELECT y.like_uri FROM (SELECT t.post_uri AS post_uri, t.user_did AS viewer_did, t.uri AS like_uri, t.indexed_at AS came FROM public.likes AS t
      WHERE true AND true AND true) AS y
      WHERE y.post_uri = k.post_uri AND y.viewer_did = k.viewer_did LIMIT 1)) AS like_uri, coalesce((SELECT y.repost_uri FROM (SELECT t.post_uri AS post_uri, t.user_did AS viewer_did, t.uri AS repost_uri, t.indexed_at AS came FROM public.reposts AS t
      WHERE true AND true AND true) AS y
      WHERE y.post_uri = k.post_uri AND y.viewer_did = k.viewer_did LIMIT 1)) AS repost_uri FROM (SELECT t.* FROM public.post_viewer_states AS t WHERE (t.post_uri, t.viewer_did) > (v_after[1], v_after[2]) AND (t.post_uri, t.viewer_did) <= (v_last[1], v_last[2])) AS k) AS x
    WHERE s.post_uri = x.post_uri AND s.viewer_did = x.viewer_did AND (s.like_uri, s.repost_uri) IS DISTINCT FROM (x.like_uri, x.repost_uri);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    DELETE FROM public.post_viewer_states AS t
    WHERE (t.post_uri, t.viewer_did) > (v_after[1], v_after[2]) AND (t.post_uri, t.viewer_did) <= (v_last[1], v_last[2]) AND t.like_uri IS NULL AND t.repost_uri IS NULL AND NOT (t.bookmarked OR t.thread_muted OR t.reply_disabled OR t.embedding_disabled OR t.pinned);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'post_viewer_states';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_post_aggregations(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'post_aggregations' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.post_uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.post_uri FROM public.post_aggregations AS t WHERE (t.post_uri) > (v_after[1]) ORDER BY t.post_uri LIMIT p_most) UNION ALL (SELECT t.post_uri FROM public.likes AS t WHERE (t.post_uri) > (v_after[1]) ORDER BY t.post_uri LIMIT p_most) UNION ALL (SELECT t.parent_uri FROM public.posts AS t WHERE (t.parent_uri) > (v_after[1]) ORDER BY t.parent_uri LIMIT p_most) UNION ALL (SELECT t.quoted_uri FROM public.quotes AS t WHERE (t.quoted_uri) > (v_after[1]) ORDER BY t.quoted_uri LIMIT p_most) UNION ALL (SELECT t.post_uri FROM public.reposts AS t WHERE (t.post_uri) > (v_after[1]) ORDER BY t.post_uri LIMIT p_most)) AS p ORDER BY post_uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    INSERT INTO public.post_aggregations (post_uri, like_count, repost_count, reply_count, quote_count, created_at, updated_at)
    SELECT x.post_uri, x.like_count, x.repost_count, x.reply_count, x.quote_count, now(), now()
    FROM (SELECT t.post_uri, sum(t.like_count) AS like_count, sum(t.repost_count) AS repost_count, sum(t.reply_count) AS reply_count, sum(t.quote_count) AS quote_count FROM (
      SELECT s.post_uri, 0 AS like_count, 0 AS repost_count, 0 AS reply_count, 0 AS quote_count FROM public.post_aggregations AS s
      UNION ALL SELECT s.post_uri, 1, 0, 0, 0 FROM (SELECT t.post_uri AS post_uri, 1 AS like_count, t.indexed_at AS came FROM public.likes AS t
      WHERE true AND true AND true) AS s (post_uri)
      UNION ALL SELECT s.post_uri, 0, 0, 1, 0 FROM (SELECT t.parent_uri AS post_uri, 1 AS reply_count, t.indexed_at AS came FROM public.posts AS t
      WHERE t.parent_uri LIKE 'at://did:%' AND true AND true) AS s (post_uri)
      UNION ALL SELECT s.post_uri, 0, 0, 0, 1 FROM (SELECT t.quoted_uri AS post_uri, 1 AS quote_count, NULL::timestamptz AS came FROM public.quotes AS t
      WHERE true AND true AND true) AS s (post_uri)
      UNION ALL SELECT s.post_uri, 0, 1, 0, 0 FROM (SELECT t.post_uri AS post_uri, 1 AS repost_count, t.indexed_at AS came FROM public.reposts AS t
      WHERE true AND true AND true) AS s (post_uri)) AS t
      WHERE (t.post_uri) > (v_after[1]) AND (t.post_uri) <= (v_last[1]) GROUP BY t.post_uri) AS x LEFT JOIN public.post_aggregations AS o ON o.post_uri = x.post_uri
    WHERE CASE WHEN o.post_uri IS NULL THEN NOT (false) ELSE (o.like_count, o.repost_count, o.reply_count, o.quote_count) IS DISTINCT FROM (x.like_count, x.repost_count, x.reply_count, x.quote_count) END
    ON CONFLICT (post_uri) DO UPDATE SET like_count = excluded.like_count, repost_count = excluded.repost_count, reply_count = excluded.reply_count, quote_count = excluded.quote_count, updated_at = now();
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
    DELETE FROM public.post_aggregations AS t
    WHERE (t.post_uri) > (v_after[1]) AND (t.post_uri) <= (v_last[1]) AND t.like_count = 0 AND t.repost_count = 0 AND t.reply_count = 0 AND t.quote_count = 0 AND t.bookmark_count = 0;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'post_aggregations';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_feed_generators(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'feed_generators' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.feed_generators AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    UPDATE public.feed_generators AS s SET like_count = x.shown
    FROM (SELECT t.uri, coalesce(a.like_count, 0) AS shown FROM (SELECT t.* FROM public.feed_generators AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      LEFT JOIN public.post_aggregations AS a ON a.post_uri = t.uri) AS x
    WHERE s.uri = x.uri AND s.like_count <> x.shown;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'feed_generators';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.rebuild_labeler_services(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(1456714798, 1073741826);  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock(1456714798, 1073741824);
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = 'labeler_services' AND NOT r.done;
  SELECT count(*), ARRAY[(array_agg(k.uri::text))[count(*)]] INTO p_read, v_last FROM (
    SELECT * FROM ((SELECT t.uri FROM public.labeler_services AS t WHERE (t.uri) > (v_after[1]) ORDER BY t.uri LIMIT p_most)) AS p ORDER BY uri LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN
    UPDATE public.labeler_services AS s SET like_count = x.shown
    FROM (SELECT t.uri, coalesce(a.like_count, 0) AS shown FROM (SELECT t.* FROM public.labeler_services AS t WHERE (t.uri) > (v_after[1]) AND (t.uri) <= (v_last[1])) AS t
      LEFT JOIN public.post_aggregations AS a ON a.post_uri = t.uri) AS x
    WHERE s.uri = x.uri AND s.like_count <> x.shown;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = 'labeler_services';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = (1456714798, 1073741824)
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;

CREATE OR REPLACE FUNCTION unified_worker.begin_rebuild() RETURNS void LANGUAGE sql AS $begin$
  DELETE FROM unified_worker.rebuild;
  INSERT INTO unified_worker.rebuild (step, number)
  SELECT step, number FROM unnest(ARRAY['thread_gates', 'posts', 'users', 'likes', 'reposts', 'follows', 'verifications', 'quotes', 'feed_items', 'thread_contexts', 'notifications', 'post_viewer_states', 'post_aggregations', 'feed_generators', 'labeler_services']) WITH ORDINALITY AS s (step, number);
$begin$;

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
  UPDATE unified_worker.repairs SET touched = touched + v_count WHERE did = p_did AND touched + v_count <= 10000;
  IF NOT FOUND THEN  -- it begins anew, at a quieter hour
    PERFORM unified_worker.repair_leave(p_did, NULL, 'wanted', 'overflow', interval '10 minutes', true);
  END IF;
END $touch$;

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
  IF v_lease < now() + interval '15 minutes' / 2 THEN
    UPDATE unified_worker.repairs SET lease_until = now() + interval '15 minutes' WHERE did = p_did;
  END IF;
  RETURN CASE WHEN v_repo.wiping THEN 'wiping' WHEN NOT v_repo.active THEN 'inactive' WHEN NOT v_repo.fetching THEN 'lost'
    ELSE 'ok' END;
END $check$;

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
    state = CASE WHEN p_state = 'unavailable' AND priority >= 20 THEN '' ELSE coalesce(p_state, '') END,
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

CREATE OR REPLACE FUNCTION unified_worker.repair_compare(
  p_did text[], p_claim int[], p_rev text[], p_first text[], p_end text[], p_kinds smallint[],
  p_kind smallint[], p_uri text[], p_cid text[], p_subject text[], p_subject_cid text[], p_created_at timestamptz[],
  p_rest jsonb[],
  OUT p_words text[], OUT p_places int[], OUT p_gone text[], OUT p_gone_kinds smallint[])
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $compare$
DECLARE
  v_different int[]; v_gone text[];
  v_refused text[] := ARRAY(SELECT o.uri FROM unnest(p_kind, p_uri) AS o (kind, uri) WHERE o.kind = -1);
  v_sorted boolean := (SELECT min(v.tables_by) = 'worker' FROM unified_worker.schema_version AS v);
BEGIN
  IF v_sorted THEN
    SET LOCAL plan_cache_mode = force_generic_plan;  -- until the function ends
  END IF;
  p_places := '{}';
  p_gone := '{}';
  p_gone_kinds := '{}';
  p_words := ARRAY(SELECT unified_worker.repair_check(r.did, r.claim) FROM unnest(p_did, p_claim) AS r (did, claim));
  -- However few records are expected, none is compared with all rows.
  SET LOCAL enable_nestloop = off;
  IF 602 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 602),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.likes AS t WHERE (v_sorted OR t.user_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last
      UNION ALL SELECT d.uri, t.* FROM unified_worker.duplicate_records AS d,
        jsonb_populate_record(NULL::public.likes, d.record) AS t
      WHERE d.uri >= x.first AND d.uri < x.last AND d.collection = 'app.bsky.feed.like' OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.post_uri::text IS NOT DISTINCT FROM s.subject AND t.subject_cid::text IS NOT DISTINCT FROM s.subject_cid AND t.via::jsonb IS NOT DISTINCT FROM s.rest -> 'via' AND (s.created_at IS NULL OR t.created_at::timestamptz IS NOT DISTINCT FROM s.created_at)) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(603::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 32492 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 32492),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.reposts AS t WHERE (v_sorted OR t.user_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last
      UNION ALL SELECT d.uri, t.* FROM unified_worker.duplicate_records AS d,
        jsonb_populate_record(NULL::public.reposts, d.record) AS t
      WHERE d.uri >= x.first AND d.uri < x.last AND d.collection = 'app.bsky.feed.repost' OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.post_uri::text IS NOT DISTINCT FROM s.subject AND t.subject_cid::text IS NOT DISTINCT FROM s.subject_cid AND t.via::jsonb IS NOT DISTINCT FROM s.rest -> 'via' AND (s.created_at IS NULL OR t.created_at::timestamptz IS NOT DISTINCT FROM s.created_at)) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(32493::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 14 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 14),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.posts AS t WHERE (v_sorted OR t.author_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.cid = s.cid) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(15::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 864 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 864),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.follows AS t WHERE (v_sorted OR t.follower_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last
      UNION ALL SELECT d.uri, t.* FROM unified_worker.duplicate_records AS d,
        jsonb_populate_record(NULL::public.follows, d.record) AS t
      WHERE d.uri >= x.first AND d.uri < x.last AND d.collection = 'app.bsky.graph.follow' OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.following_did::text IS NOT DISTINCT FROM s.subject AND (s.created_at IS NULL OR t.created_at::timestamptz IS NOT DISTINCT FROM s.created_at)) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(865::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 13348 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 13348),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.generic_records AS t WHERE (v_sorted OR t.author_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.cid = s.cid) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(13349::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 26342 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 26342),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT 'at://' || t.did || '/app.bsky.actor.profile/self' AS record_uri, t.* FROM public.users AS t WHERE t.did = x.did AND ('at://' || t.did || '/app.bsky.actor.profile/self') COLLATE "C" >= x.first AND ('at://' || t.did || '/app.bsky.actor.profile/self') COLLATE "C" < x.last AND (t.display_name IS NOT NULL OR t.avatar_url IS NOT NULL OR t.banner_url IS NOT NULL OR t.description IS NOT NULL OR t.profile_record IS NOT NULL OR t.pinned_post IS NOT NULL) OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.display_name::text IS NOT DISTINCT FROM s.rest ->> 'name' AND t.avatar_url::text IS NOT DISTINCT FROM s.rest ->> 'avatar' AND t.banner_url::text IS NOT DISTINCT FROM s.rest ->> 'banner' AND t.description::text IS NOT DISTINCT FROM s.rest ->> 'description' AND t.profile_record::jsonb IS NOT DISTINCT FROM s.rest -> 'record' AND t.pinned_post::jsonb IS NOT DISTINCT FROM s.rest -> 'pinned') IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(26343::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 28742 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 28742),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.feed_generators AS t WHERE (v_sorted OR t.creator_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.cid = s.cid) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(28743::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 12476 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 12476),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/') AS record_uri, t.* FROM public.post_gates AS t WHERE v_sorted AND t.post_uri >= 'at://' || x.did || '/' AND t.post_uri < 'at://' || x.did || '0' AND (replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/')) COLLATE "C" >= x.first AND (replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/')) COLLATE "C" < x.last
        UNION ALL SELECT replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/') AS record_uri, t.* FROM public.post_gates AS t WHERE NOT v_sorted AND (replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/')) COLLATE "C" >= x.first AND (replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/')) COLLATE "C" < x.last OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.embedding_rules::jsonb IS NOT DISTINCT FROM coalesce(s.rest -> 'rules', '{}') AND (s.created_at IS NULL OR t.created_at::timestamptz IS NOT DISTINCT FROM s.created_at) AND t.detached_embedding_uris::jsonb IS NOT DISTINCT FROM s.rest -> 'detached') IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(12477::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 30210 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 30210),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/') AS record_uri, t.* FROM public.thread_gates AS t WHERE t.owner_did = x.did AND (replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/')) COLLATE "C" >= x.first AND (replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/')) COLLATE "C" < x.last OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.allow_mentions::boolean IS NOT DISTINCT FROM (s.rest -> 'mentions')::boolean AND t.allow_following::boolean IS NOT DISTINCT FROM (s.rest -> 'following')::boolean AND t.allow_list_members::boolean IS NOT DISTINCT FROM (s.rest -> 'members')::boolean AND t.allow_list_uris::jsonb IS NOT DISTINCT FROM s.rest -> 'lists' AND (s.created_at IS NULL OR t.created_at::timestamptz IS NOT DISTINCT FROM s.created_at) AND t.allow_followers::boolean IS NOT DISTINCT FROM coalesce((s.rest -> 'followers')::boolean, false) AND t.hidden_replies::jsonb IS NOT DISTINCT FROM s.rest -> 'hidden') IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(30211::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 5284 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 5284),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.blocks AS t WHERE (v_sorted OR t.blocker_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last
      UNION ALL SELECT d.uri, t.* FROM unified_worker.duplicate_records AS d,
        jsonb_populate_record(NULL::public.blocks, d.record) AS t
      WHERE d.uri >= x.first AND d.uri < x.last AND d.collection = 'app.bsky.graph.block' OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.blocked_did::text IS NOT DISTINCT FROM s.subject AND (s.created_at IS NULL OR t.created_at::timestamptz IS NOT DISTINCT FROM s.created_at)) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(5285::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 21370 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 21370),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.lists AS t WHERE (v_sorted OR t.creator_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.cid = s.cid) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(21371::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 30516 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 30516),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.list_blocks AS t WHERE (v_sorted OR t.blocker_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last
      UNION ALL SELECT d.uri, t.* FROM unified_worker.duplicate_records AS d,
        jsonb_populate_record(NULL::public.list_blocks, d.record) AS t
      WHERE d.uri >= x.first AND d.uri < x.last AND d.collection = 'app.bsky.graph.listblock' OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.list_uri::text IS NOT DISTINCT FROM s.subject AND (s.created_at IS NULL OR t.created_at::timestamptz IS NOT DISTINCT FROM s.created_at)) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(30517::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 10426 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 10426),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.list_items AS t WHERE (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last
      UNION ALL SELECT d.uri, t.* FROM unified_worker.duplicate_records AS d,
        jsonb_populate_record(NULL::public.list_items, d.record) AS t
      WHERE d.uri >= x.first AND d.uri < x.last AND d.collection = 'app.bsky.graph.listitem' OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.cid = s.cid) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(10427::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 9574 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 9574),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.starter_packs AS t WHERE (v_sorted OR t.creator_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.cid = s.cid) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(9575::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 28500 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 28500),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.verifications AS t WHERE (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last
      UNION ALL SELECT d.uri, t.* FROM unified_worker.duplicate_records AS d,
        jsonb_populate_record(NULL::public.verifications, d.record) AS t
      WHERE d.uri >= x.first AND d.uri < x.last AND d.collection = 'app.bsky.graph.verification' OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.cid = s.cid) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(28501::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  IF 2964 = ANY (p_kinds) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_uri, p_kind, p_cid, p_subject, p_subject_cid, p_created_at, p_rest)
        WITH ORDINALITY AS o (uri, kind, cid, subject, subject_cid, created_at, rest, place)
      WHERE o.kind = 2964),
    mine AS MATERIALIZED (
      SELECT m.* FROM unnest(p_did, p_first, p_end) AS x (did, first, last) CROSS JOIN LATERAL (
        SELECT t.uri AS record_uri, t.* FROM public.labeler_services AS t WHERE (v_sorted OR t.creator_did = x.did) AND (t.uri) COLLATE "C" >= x.first AND (t.uri) COLLATE "C" < x.last OFFSET 0) AS m),
    gone AS (
      SELECT m.record_uri FROM mine AS m
      WHERE m.record_uri <> ALL (v_refused) AND NOT EXISTS (SELECT FROM said AS s WHERE s.uri = m.record_uri))
    SELECT ARRAY(
      SELECT s.place::int FROM said AS s LEFT JOIN mine AS t ON t.record_uri = s.uri
      WHERE t.record_uri IS NULL OR (t.cid = s.cid) IS NOT TRUE),
      ARRAY(SELECT g.record_uri FROM gone AS g)
    INTO v_different, v_gone;
    p_places := p_places || v_different;
    p_gone := p_gone || v_gone;
    p_gone_kinds := p_gone_kinds || array_fill(2965::smallint, ARRAY[cardinality(v_gone)]);
  END IF;
  SET LOCAL enable_nestloop TO DEFAULT;
  IF EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = ANY (p_did) AND r.held) THEN
    PERFORM unified_worker.close_letters(l.did, l.path, NULL, false, l.rev) FROM (
      SELECT DISTINCT x.did, d.path, x.rev FROM unnest(p_did, p_rev, p_first, p_end, p_words) AS x (did, rev, first, last, word)
      JOIN unified_worker.dead_letters AS d ON d.did = x.did
      WHERE x.word = 'ok' AND d.rev <= x.rev AND NOT d.forged
        AND 'at://' || x.did || '/' || d.path >= x.first COLLATE "C" AND 'at://' || x.did || '/' || d.path < x.last COLLATE "C"
        AND NOT EXISTS (
          SELECT FROM unnest(p_kind, p_uri, p_cid) AS o (kind, uri, cid)
          WHERE o.uri = 'at://' || x.did || '/' || d.path AND (o.kind = -1 OR o.cid = d.record_cid))) AS l;
  END IF;
END $compare$;

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
  v_locked := pg_advisory_xact_lock_shared(1456714798, 1073741824)::text;
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
        WHEN 14 THEN
          v_ahead[i] := to_tsvector('simple', coalesce(v_rest ->> 'search', v_rest ->> 'text'));
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
      WHEN 602 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.likes AS t (uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev) VALUES (v_uri, p_did, v_subject, v_subject_cid, v_rest -> 'via', v_created_at, now(), p_at, p_seq::text, p_rev) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
          INSERT INTO public.post_aggregations AS a (post_uri, like_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET like_count = a.like_count + 1, updated_at = now();
          IF split_part(v_subject, '/', 4) <> 'app.bsky.feed.post' THEN
            PERFORM unified_worker.show_like_count(v_subject);
          END IF;
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET like_uri = excluded.like_uri, updated_at = now();
          END IF;
          IF EXISTS (SELECT FROM public.posts AS p WHERE p.uri = v_subject AND split_part(p.root_uri, '/', 3) = p_did) THEN
            UPDATE public.thread_contexts AS c SET root_author_like_uri = v_uri, updated_at = now() WHERE c.post_uri = v_subject;
          END IF;
          IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'like', v_subject, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'like', v_subject, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_subject, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 483 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'like-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'like-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 483 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/like-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/like-via-repost';
            END IF;
          END IF;
        ELSIF EXISTS (SELECT FROM public.likes AS t WHERE t.uri = v_uri AND t.user_did = p_did AND t.post_uri = v_subject) THEN
          v_again := true;
          PERFORM unified_worker.remove_likes(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.likes AS t SET user_did = p_did, post_uri = v_subject, subject_cid = v_subject_cid, via = v_rest -> 'via', created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev WHERE t.uri = v_uri;
          INSERT INTO public.post_aggregations AS a (post_uri, like_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET like_count = a.like_count + 1, updated_at = now();
          IF split_part(v_subject, '/', 4) <> 'app.bsky.feed.post' THEN
            PERFORM unified_worker.show_like_count(v_subject);
          END IF;
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET like_uri = excluded.like_uri, updated_at = now();
          END IF;
          IF EXISTS (SELECT FROM public.posts AS p WHERE p.uri = v_subject AND split_part(p.root_uri, '/', 3) = p_did) THEN
            UPDATE public.thread_contexts AS c SET root_author_like_uri = v_uri, updated_at = now() WHERE c.post_uri = v_subject;
          END IF;
          IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'like', v_subject, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'like', v_subject, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_subject, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 483 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'like-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'like-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 483 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/like-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/like-via-repost';
            END IF;
          END IF;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_likes(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_likes(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_likes(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.feed.like', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'user_did', p_did, 'post_uri', v_subject, 'subject_cid', v_subject_cid, 'via', v_rest -> 'via', 'created_at', v_created_at, 'indexed_at', now(), 'commit_time', p_at, 'commit_seq', p_seq::text, 'commit_rev', p_rev, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_likes(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 32492 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.reposts AS t (uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev) VALUES (v_uri, p_did, v_subject, v_subject_cid, v_rest -> 'via', v_created_at, now(), p_at, p_seq::text, p_rev) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
          INSERT INTO public.post_aggregations AS a (post_uri, repost_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET repost_count = a.repost_count + 1, updated_at = now();
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET repost_uri = excluded.repost_uri, updated_at = now();
          END IF;
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_subject, p_did, 'repost', least(v_created_at, p_at), coalesce(v_cid, v_subject_cid, ''), v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_subject, p_did, 'repost', least(v_created_at, p_at), coalesce(v_cid, v_subject_cid, ''), v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at, indexed_at = excluded.indexed_at;
          END IF;
          IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'repost', v_subject, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'repost', v_subject, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_subject, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 481 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'repost-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'repost-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 481 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/repost-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/repost-via-repost';
            END IF;
          END IF;
        ELSIF EXISTS (SELECT FROM public.reposts AS t WHERE t.uri = v_uri AND t.user_did = p_did AND t.post_uri = v_subject) THEN
          v_again := true;
          PERFORM unified_worker.remove_reposts(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.reposts AS t SET user_did = p_did, post_uri = v_subject, subject_cid = v_subject_cid, via = v_rest -> 'via', created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev WHERE t.uri = v_uri;
          INSERT INTO public.post_aggregations AS a (post_uri, repost_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET repost_count = a.repost_count + 1, updated_at = now();
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET repost_uri = excluded.repost_uri, updated_at = now();
          END IF;
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_subject, p_did, 'repost', least(v_created_at, p_at), coalesce(v_cid, v_subject_cid, ''), v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_subject, p_did, 'repost', least(v_created_at, p_at), coalesce(v_cid, v_subject_cid, ''), v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at, indexed_at = excluded.indexed_at;
          END IF;
          IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'repost', v_subject, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'repost', v_subject, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_subject, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 481 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'repost-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'repost-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 481 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/repost-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/repost-via-repost';
            END IF;
          END IF;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_reposts(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_reposts(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_reposts(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.feed.repost', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'user_did', p_did, 'post_uri', v_subject, 'subject_cid', v_subject_cid, 'via', v_rest -> 'via', 'created_at', v_created_at, 'indexed_at', now(), 'commit_time', p_at, 'commit_seq', p_seq::text, 'commit_rev', p_rev, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_reposts(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 14 THEN
        INSERT INTO public.posts AS t (uri, cid, author_did, text, langs, parent_uri, parent_cid, root_uri, root_cid, embed, facets, tags, search_vector, violates_thread_gate, violates_embedding_rules, has_thread_gate, has_post_gate, created_at, indexed_at, commit_time, commit_seq, commit_rev, self_labels) VALUES (v_uri, v_cid, p_did, v_rest ->> 'text', v_rest -> 'langs', v_subject, v_subject_cid, v_rest ->> 'root', v_rest ->> 'root_cid', v_rest -> 'embed', v_rest -> 'facets', coalesce(v_rest -> 'tags', '[]'), coalesce(v_ahead[i], to_tsvector('simple', coalesce(v_rest ->> 'search', v_rest ->> 'text'))), v_subject IS NOT NULL AND (unified_worker.violates_thread_gate(v_rest ->> 'root', p_did, p_at) OR v_subject <> v_rest ->> 'root' AND unified_worker.violates_parents_gate(v_subject, v_rest ->> 'root', p_did, p_at, false)), v_rest ? 'quotes' AND EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = CASE WHEN v_rest ? 'quotes' AND length(v_uri) <= 506 THEN unified_worker.quoted(v_rest -> 'embed') END AND split_part(g.post_uri, '/', 3) <> p_did AND unified_worker.disables_quotes(g.embedding_rules)), EXISTS (SELECT FROM public.thread_gates AS g WHERE g.post_uri = v_uri), EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = v_uri), v_created_at, now(), p_at, p_seq::text, p_rev, v_rest -> 'labels') ON CONFLICT (uri) DO NOTHING RETURNING t.has_thread_gate, t.violates_thread_gate, t.violates_embedding_rules INTO v_gated, v_intrudes, v_embeds;
        v_again := NOT FOUND;
        IF v_again THEN
          PERFORM unified_worker.remove_posts(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.posts AS t SET cid = v_cid, author_did = p_did, text = v_rest ->> 'text', langs = v_rest -> 'langs', parent_uri = v_subject, parent_cid = v_subject_cid, root_uri = v_rest ->> 'root', root_cid = v_rest ->> 'root_cid', embed = v_rest -> 'embed', facets = v_rest -> 'facets', tags = coalesce(v_rest -> 'tags', '[]'), search_vector = coalesce(v_ahead[i], to_tsvector('simple', coalesce(v_rest ->> 'search', v_rest ->> 'text'))), violates_thread_gate = v_subject IS NOT NULL AND (unified_worker.violates_thread_gate(v_rest ->> 'root', p_did, p_at) OR v_subject <> v_rest ->> 'root' AND unified_worker.violates_parents_gate(v_subject, v_rest ->> 'root', p_did, p_at, false)), violates_embedding_rules = v_rest ? 'quotes' AND EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = CASE WHEN v_rest ? 'quotes' AND length(v_uri) <= 506 THEN unified_worker.quoted(v_rest -> 'embed') END AND split_part(g.post_uri, '/', 3) <> p_did AND unified_worker.disables_quotes(g.embedding_rules)), has_thread_gate = EXISTS (SELECT FROM public.thread_gates AS g WHERE g.post_uri = v_uri), has_post_gate = EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = v_uri), created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev, self_labels = v_rest -> 'labels' WHERE t.uri = v_uri RETURNING t.has_thread_gate, t.violates_thread_gate, t.violates_embedding_rules INTO v_gated, v_intrudes, v_embeds;
        END IF;
          IF v_subject LIKE 'at://did:%' THEN
          INSERT INTO public.post_aggregations AS a (post_uri, reply_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET reply_count = a.reply_count + 1, updated_at = now();
          END IF;
          IF v_subject IS NOT NULL THEN
            INSERT INTO public.thread_contexts AS c (post_uri, root_author_like_uri, created_at, updated_at)
            VALUES (v_uri, (SELECT l.uri FROM public.likes AS l
              WHERE l.user_did = split_part((v_rest ->> 'root'), '/', 3) AND l.post_uri = v_uri), now(), now())
            ON CONFLICT (post_uri) DO UPDATE SET root_author_like_uri = excluded.root_author_like_uri, updated_at = now();
          ELSIF v_again THEN
            DELETE FROM public.thread_contexts AS c WHERE c.post_uri = v_uri;
          END IF;
          IF NOT v_intrudes AND v_subject LIKE 'at://did:%' AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 493 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/reply', split_part(v_subject, '/', 3), p_did, 'reply', v_uri, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/reply', split_part(v_subject, '/', 3), p_did, 'reply', v_uri, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF NOT v_intrudes AND v_subject LIKE 'at://did:%' AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 493 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_uri, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/reply';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/reply';
            END IF;
          END IF;
          v_quoted := CASE WHEN v_rest ? 'quotes' AND length(v_uri) <= 506 THEN unified_worker.quoted(v_rest -> 'embed') END;
          IF v_quoted IS NOT NULL THEN
            INSERT INTO public.quotes AS q (uri, cid, post_uri, quoted_uri, quoted_cid, created_at, indexed_at)
            VALUES (v_uri || '#quote', v_cid, v_uri, v_quoted, unified_worker.quoted_cid(v_rest -> 'embed'), v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET cid = excluded.cid, post_uri = excluded.post_uri, quoted_uri = excluded.quoted_uri,
              quoted_cid = excluded.quoted_cid, created_at = excluded.created_at;  -- an older application may have left one behind

          INSERT INTO public.post_aggregations AS a (post_uri, quote_count, created_at, updated_at) VALUES (v_quoted, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET quote_count = a.quote_count + 1, updated_at = now();
          END IF;
          IF NOT v_embeds AND split_part(v_quoted, '/', 3) <> p_did AND length(v_uri) <= 493 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/quote', split_part(v_quoted, '/', 3), p_did, 'quote', v_uri, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/quote', split_part(v_quoted, '/', 3), p_did, 'quote', v_uri, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF NOT v_embeds AND split_part(v_quoted, '/', 3) <> p_did AND length(v_uri) <= 493 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_quoted, '/', 3), reason_subject = v_uri, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/quote';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/quote';
            END IF;
          END IF;
          IF v_rest ? 'mentions' AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          SELECT v_uri || '#notification/mention/' || m, m, p_did, 'mention', v_uri, v_cid, v_created_at, now()
          FROM unified_worker.mentioned(v_rest -> 'facets') AS m
          WHERE m <> p_did AND length(v_uri) + length(m) <= 490
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          ELSIF v_again AND v_rest ? 'mentions' THEN
            UPDATE public.notifications AS n SET cid = v_cid, created_at = v_created_at
            FROM unified_worker.mentioned(v_rest -> 'facets') AS m WHERE n.uri = v_uri || '#notification/mention/' || m;
          END IF;
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_uri, p_did, CASE WHEN v_subject IS NULL THEN 'post' ELSE 'reply' END, least(v_created_at, p_at), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_uri, p_did, CASE WHEN v_subject IS NULL THEN 'post' ELSE 'reply' END, least(v_created_at, p_at), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at, indexed_at = excluded.indexed_at;
          END IF;
          IF v_gated THEN
            PERFORM unified_worker.judge_thread(v_uri);
          END IF;
      WHEN 864 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.follows AS t (uri, follower_did, following_did, created_at, indexed_at, commit_time, commit_seq, commit_rev) VALUES (v_uri, p_did, v_subject, v_created_at, now(), p_at, p_seq::text, p_rev) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
          IF true AND v_subject <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', v_subject, p_did, 'follow', NULL, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', v_subject, p_did, 'follow', NULL, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND v_subject <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = v_subject, reason_subject = NULL, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
        ELSIF EXISTS (SELECT FROM public.follows AS t WHERE t.uri = v_uri AND t.follower_did = p_did AND t.following_did = v_subject) THEN
          v_again := true;
          PERFORM unified_worker.remove_follows(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.follows AS t SET follower_did = p_did, following_did = v_subject, created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev WHERE t.uri = v_uri;
          IF true AND v_subject <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', v_subject, p_did, 'follow', NULL, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', v_subject, p_did, 'follow', NULL, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND v_subject <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = v_subject, reason_subject = NULL, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_follows(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_follows(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_follows(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.follow', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'follower_did', p_did, 'following_did', v_subject, 'created_at', v_created_at, 'indexed_at', now(), 'commit_time', p_at, 'commit_seq', p_seq::text, 'commit_rev', p_rev, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_follows(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 13348 THEN
        INSERT INTO public.generic_records AS t (uri, cid, author_did, record_type, record, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, split_part(v_uri, '/', 4), v_rest, v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.generic_records AS t SET cid = v_cid, author_did = p_did, record_type = split_part(v_uri, '/', 4), record = v_rest, created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 26342 THEN
          IF v_rest -> 'record' ? 'joinedViaStarterPack' THEN
            DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
            IF v_quiet THEN
              INSERT INTO unified_worker.commit_times AS c (uri, at, quiet) VALUES (v_uri, coalesce(p_at, now()), true);
            END IF;
          END IF;
        INSERT INTO public.users AS t (did, handle, display_name, avatar_url, banner_url, description, profile_record, pinned_post, search_vector, indexed_at) VALUES (p_did, unified_worker.handle_of(p_did), v_rest ->> 'name', v_rest ->> 'avatar', v_rest ->> 'banner', v_rest ->> 'description', v_rest -> 'record', v_rest -> 'pinned', to_tsvector('simple', nullif(concat_ws(' ', nullif(unified_worker.handle_of(p_did), 'handle.invalid'), v_rest ->> 'search'), '')), now()) ON CONFLICT (did) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          PERFORM unified_worker.remove_users(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.users AS t SET handle = t.handle, display_name = v_rest ->> 'name', avatar_url = v_rest ->> 'avatar', banner_url = v_rest ->> 'banner', description = v_rest ->> 'description', profile_record = v_rest -> 'record', pinned_post = v_rest -> 'pinned', search_vector = to_tsvector('simple', nullif(concat_ws(' ', nullif(t.handle, 'handle.invalid'), v_rest ->> 'search'), '')), indexed_at = now() WHERE t.did = p_did;
        END IF;
          IF (v_rest -> 'record') ? 'joinedViaStarterPack' AND split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3) <> p_did AND length(v_uri) <= 480 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/starterpack-joined', split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3), p_did, 'starterpack-joined', unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/starterpack-joined', split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3), p_did, 'starterpack-joined', unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'record') ? 'joinedViaStarterPack' AND split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3) <> p_did AND length(v_uri) <= 480 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/starterpack-joined';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/starterpack-joined';
            END IF;
          END IF;
      WHEN 28742 THEN
        INSERT INTO public.feed_generators AS t (uri, cid, creator_did, did, display_name, description, avatar_url, like_count, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, v_subject, v_rest ->> 'name', v_rest ->> 'description', v_rest ->> 'avatar', coalesce((SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = v_uri), 0), v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.feed_generators AS t SET cid = v_cid, creator_did = p_did, did = v_subject, display_name = v_rest ->> 'name', description = v_rest ->> 'description', avatar_url = v_rest ->> 'avatar', like_count = coalesce((SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = v_uri), 0), created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 12476 THEN
        INSERT INTO public.post_gates AS t (post_uri, embedding_rules, created_at, detached_embedding_uris) VALUES ('at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5), coalesce(v_rest -> 'rules', '{}'), v_created_at, v_rest -> 'detached') ON CONFLICT (post_uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          PERFORM unified_worker.remove_post_gates(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.post_gates AS t SET embedding_rules = coalesce(v_rest -> 'rules', '{}'), created_at = v_created_at, detached_embedding_uris = v_rest -> 'detached' WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5);
        END IF;
          PERFORM unified_worker.judge_quotes(('at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5)));
      WHEN 30210 THEN
        INSERT INTO unified_worker.commit_times AS c (uri, at, quiet)
        VALUES (v_uri, coalesce(p_at, now()), coalesce(v_quiet, false))
        ON CONFLICT (uri) DO UPDATE SET at = excluded.at, quiet = excluded.quiet;
        INSERT INTO public.thread_gates AS t (post_uri, owner_did, allow_mentions, allow_following, allow_list_members, allow_list_uris, created_at, updated_at, allow_followers, hidden_replies) VALUES ('at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5), p_did, (v_rest -> 'mentions')::boolean, (v_rest -> 'following')::boolean, (v_rest -> 'members')::boolean, v_rest -> 'lists', v_created_at, now(), coalesce((v_rest -> 'followers')::boolean, false), v_rest -> 'hidden') ON CONFLICT (post_uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          PERFORM unified_worker.remove_thread_gates(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.thread_gates AS t SET owner_did = p_did, allow_mentions = (v_rest -> 'mentions')::boolean, allow_following = (v_rest -> 'following')::boolean, allow_list_members = (v_rest -> 'members')::boolean, allow_list_uris = v_rest -> 'lists', created_at = v_created_at, updated_at = now(), allow_followers = coalesce((v_rest -> 'followers')::boolean, false), hidden_replies = v_rest -> 'hidden' WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5);
        END IF;
          PERFORM unified_worker.judge_thread(('at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5)));
      WHEN 5284 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.blocks AS t (uri, blocker_did, blocked_did, created_at, indexed_at, commit_time, commit_seq, commit_rev) VALUES (v_uri, p_did, v_subject, v_created_at, now(), p_at, p_seq::text, p_rev) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
        ELSIF EXISTS (SELECT FROM public.blocks AS t WHERE t.uri = v_uri AND t.blocker_did = p_did AND t.blocked_did = v_subject) THEN
          v_again := true;
          UPDATE public.blocks AS t SET blocker_did = p_did, blocked_did = v_subject, created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev WHERE t.uri = v_uri;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_blocks(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_blocks(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_blocks(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.block', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'blocker_did', p_did, 'blocked_did', v_subject, 'created_at', v_created_at, 'indexed_at', now(), 'commit_time', p_at, 'commit_seq', p_seq::text, 'commit_rev', p_rev, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_blocks(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 21370 THEN
        INSERT INTO public.lists AS t (uri, cid, creator_did, name, purpose, description, avatar_url, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, v_rest ->> 'name', v_rest ->> 'purpose', v_rest ->> 'description', v_rest ->> 'avatar', v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.lists AS t SET cid = v_cid, creator_did = p_did, name = v_rest ->> 'name', purpose = v_rest ->> 'purpose', description = v_rest ->> 'description', avatar_url = v_rest ->> 'avatar', created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 30516 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.list_blocks AS t (uri, blocker_did, list_uri, created_at, indexed_at) VALUES (v_uri, p_did, v_subject, v_created_at, now()) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
        ELSIF EXISTS (SELECT FROM public.list_blocks AS t WHERE t.uri = v_uri AND t.blocker_did = p_did AND t.list_uri = v_subject) THEN
          v_again := true;
          UPDATE public.list_blocks AS t SET blocker_did = p_did, list_uri = v_subject, created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_list_blocks(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_list_blocks(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_list_blocks(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.listblock', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'blocker_did', p_did, 'list_uri', v_subject, 'created_at', v_created_at, 'indexed_at', now(), 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_list_blocks(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 10426 THEN
        PERFORM unified_worker.lock(ARRAY(SELECT unnest(ARRAY[t.list_uri]::text[]) FROM public.list_items AS t WHERE t.uri = ANY (ARRAY[v_uri])
        UNION ALL SELECT unnest(ARRAY[t.list_uri]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.list_items, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.listitem' AND d.uri = ANY (ARRAY[v_uri])));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        INSERT INTO unified_worker.commit_times AS c (uri, at, quiet)
        VALUES (v_uri, coalesce(p_at, now()), coalesce(v_quiet, false))
        ON CONFLICT (uri) DO UPDATE SET at = excluded.at, quiet = excluded.quiet;
        INSERT INTO public.list_items AS t (uri, cid, list_uri, subject_did, created_at, indexed_at) VALUES (v_uri, v_cid, v_rest ->> 'list', v_subject, v_created_at, now()) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
        ELSIF EXISTS (SELECT FROM public.list_items AS t WHERE t.uri = v_uri AND t.list_uri = (v_rest ->> 'list') AND t.subject_did = v_subject) THEN
          v_again := true;
          UPDATE public.list_items AS t SET cid = v_cid, list_uri = v_rest ->> 'list', subject_did = v_subject, created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
          IF v_held OR true THEN
            PERFORM unified_worker.settle_list_items(ARRAY[v_rest ->> 'list', v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_list_items(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR true) THEN
            PERFORM unified_worker.settle_list_items(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.listitem', ARRAY[v_rest ->> 'list', v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'cid', v_cid, 'list_uri', v_rest ->> 'list', 'subject_did', v_subject, 'created_at', v_created_at, 'indexed_at', now(), 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_list_items(ARRAY[v_rest ->> 'list', v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 9574 THEN
        INSERT INTO public.starter_packs AS t (uri, cid, creator_did, name, description, list_uri, feeds, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, v_rest ->> 'name', v_rest ->> 'description', v_subject, v_rest -> 'feeds', v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.starter_packs AS t SET cid = v_cid, creator_did = p_did, name = v_rest ->> 'name', description = v_rest ->> 'description', list_uri = v_subject, feeds = v_rest -> 'feeds', created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 28500 THEN
        PERFORM unified_worker.lock(ARRAY(SELECT unnest(ARRAY[t.subject_did]::text[]) FROM public.verifications AS t WHERE t.uri = ANY (ARRAY[v_uri])
        UNION ALL SELECT unnest(ARRAY[t.subject_did]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.verifications, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.verification' AND d.uri = ANY (ARRAY[v_uri])));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        INSERT INTO unified_worker.commit_times AS c (uri, at, quiet)
        VALUES (v_uri, coalesce(p_at, now()), coalesce(v_quiet, false))
        ON CONFLICT (uri) DO UPDATE SET at = excluded.at, quiet = excluded.quiet;
          DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/unverified';
        INSERT INTO public.verifications AS t (uri, cid, subject_did, handle, verified_at, created_at, indexed_at) VALUES (v_uri, v_cid, v_subject, v_rest ->> 'handle', v_created_at, v_created_at, now()) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
          IF true AND v_subject <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', v_subject, split_part(v_uri, '/', 3), 'verified', NULL, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', v_subject, split_part(v_uri, '/', 3), 'verified', NULL, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND v_subject <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 THEN
              UPDATE public.notifications AS n SET recipient_did = v_subject, reason_subject = NULL, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/verified';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/verified';
            END IF;
          END IF;
        ELSIF EXISTS (SELECT FROM public.verifications AS t WHERE t.uri = v_uri AND t.subject_did = v_subject) THEN
          v_again := true;
          PERFORM unified_worker.remove_verifications(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.verifications AS t SET cid = v_cid, subject_did = v_subject, handle = v_rest ->> 'handle', verified_at = v_created_at, created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
          IF true AND v_subject <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', v_subject, split_part(v_uri, '/', 3), 'verified', NULL, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', v_subject, split_part(v_uri, '/', 3), 'verified', NULL, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND v_subject <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 THEN
              UPDATE public.notifications AS n SET recipient_did = v_subject, reason_subject = NULL, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/verified';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/verified';
            END IF;
          END IF;
          IF v_held OR true THEN
            PERFORM unified_worker.settle_verifications(ARRAY[v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_verifications(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR true) THEN
            PERFORM unified_worker.settle_verifications(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.verification', ARRAY[v_subject]::text[], coalesce(p_at, now()), v_created_at,
            jsonb_build_object('uri', v_uri, 'cid', v_cid, 'subject_did', v_subject, 'handle', v_rest ->> 'handle', 'verified_at', v_created_at, 'created_at', v_created_at, 'indexed_at', now(), 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_verifications(ARRAY[v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 2964 THEN
        INSERT INTO public.labeler_services AS t (uri, cid, creator_did, policies, like_count, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, v_rest -> 'policies', coalesce((SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = v_uri), 0), v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.labeler_services AS t SET cid = v_cid, creator_did = p_did, policies = v_rest -> 'policies', like_count = coalesce((SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = v_uri), 0), created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 603 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_likes(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_likes(v_key);
        END IF;
      WHEN 32493 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_reposts(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_reposts(v_key);
        END IF;
      WHEN 15 THEN
        PERFORM unified_worker.remove_posts(p_did, v_uri, NULL, p_at);
      WHEN 865 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_follows(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_follows(v_key);
        END IF;
      WHEN 13349 THEN
        PERFORM unified_worker.remove_generic_records(p_did, v_uri, NULL, p_at);
      WHEN 26343 THEN
        PERFORM unified_worker.remove_users(p_did, v_uri, NULL, p_at);
      WHEN 28743 THEN
        PERFORM unified_worker.remove_feed_generators(p_did, v_uri, NULL, p_at);
      WHEN 12477 THEN
        PERFORM unified_worker.remove_post_gates(p_did, v_uri, NULL, p_at);
      WHEN 30211 THEN
        PERFORM unified_worker.remove_thread_gates(p_did, v_uri, NULL, p_at);
        DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
      WHEN 5285 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_blocks(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_blocks(v_key);
        END IF;
      WHEN 21371 THEN
        PERFORM unified_worker.remove_lists(p_did, v_uri, NULL, p_at);
      WHEN 30517 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_list_blocks(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_list_blocks(v_key);
        END IF;
      WHEN 10427 THEN
        PERFORM unified_worker.lock(ARRAY(SELECT unnest(ARRAY[t.list_uri]::text[]) FROM public.list_items AS t WHERE t.uri = ANY (ARRAY[v_uri])
        UNION ALL SELECT unnest(ARRAY[t.list_uri]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.list_items, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.listitem' AND d.uri = ANY (ARRAY[v_uri])));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        v_key := unified_worker.remove_list_items(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR true) THEN
          PERFORM unified_worker.settle_list_items(v_key);
        END IF;
        DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
      WHEN 9575 THEN
        PERFORM unified_worker.remove_starter_packs(p_did, v_uri, NULL, p_at);
      WHEN 28501 THEN
        PERFORM unified_worker.lock(ARRAY(SELECT unnest(ARRAY[t.subject_did]::text[]) FROM public.verifications AS t WHERE t.uri = ANY (ARRAY[v_uri])
        UNION ALL SELECT unnest(ARRAY[t.subject_did]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.verifications, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.verification' AND d.uri = ANY (ARRAY[v_uri])));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        v_key := unified_worker.remove_verifications(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR true) THEN
          PERFORM unified_worker.settle_verifications(v_key);
        END IF;
        DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
      WHEN 2965 THEN
        PERFORM unified_worker.remove_labeler_services(p_did, v_uri, NULL, p_at);
    END CASE;
  END LOOP;
  SET CONSTRAINTS ALL IMMEDIATE;
  RETURN 'ok';
END $write$;

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

CREATE OR REPLACE FUNCTION unified_worker.repair_set(
  p_did text[], p_claim int[], p_rev text[], p_looks boolean, p_of int[], p_kind smallint[], p_uri text[], p_cid text[],
  p_subject text[], p_subject_cid text[], p_created_at timestamptz[], p_rest jsonb[], p_times timestamptz[],
  p_quiet boolean[],
  OUT p_words text[], OUT p_left int[])
LANGUAGE plpgsql AS $set$
DECLARE
  v_locked text; v_out text[] := '{}'; v_done text[] := '{}'; v_new text[]; v_held boolean; v_counted text[]; v_like_count text[] := '{}'; v_repost_count text[] := '{}'; v_reply_count text[] := '{}'; v_quote_count text[] := '{}';
BEGIN
  v_locked := pg_advisory_xact_lock_shared(1456714798, 1073741826)::text;
  p_words := ARRAY(SELECT unified_worker.repair_check(r.did, r.claim) FROM unnest(p_did, p_claim) AS r (did, claim));
  p_left := '{}';
  IF 'ok' <> ALL (p_words) THEN
    RETURN;
  ELSIF NOT 'ok' = ALL (p_words) THEN
    v_out := ARRAY(SELECT o.uri FROM unnest(p_of, p_uri) AS o (of, uri) WHERE p_words[o.of] <> 'ok');
  END IF;
  IF EXISTS (SELECT FROM unified_worker.repairs AS r WHERE r.did = ANY (p_did) AND r.touched > 0) THEN
    v_out := v_out || ARRAY(
      SELECT o.uri FROM unnest(p_of, p_uri) AS o (of, uri) WHERE (
        SELECT t.rev > p_rev[o.of] FROM unified_worker.touched AS t
        WHERE t.did = p_did[o.of] AND t.path = unified_worker.path_of(o.uri)));
  END IF;
  IF EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = ANY (p_did) AND r.held) THEN
    v_out := v_out || ARRAY(SELECT d.uri FROM unified_worker.duplicate_records AS d WHERE d.uri = ANY (p_uri));
    PERFORM unified_worker.close_letters(d.did, d.path, NULL, false, r.rev)
    FROM unnest(p_did, p_rev) AS r (did, rev) JOIN unified_worker.dead_letters AS d ON d.did = r.did
    WHERE d.record_cid IS NOT NULL AND d.rev <= r.rev AND 'at://' || d.did || '/' || d.path = ANY (p_uri)
      AND 'at://' || d.did || '/' || d.path <> ALL (v_out);
  END IF;
  IF EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = ANY (p_did) AND NOT r.has_user) THEN
    PERFORM unified_worker.lock(ARRAY(
      SELECT r.handle FROM unified_worker.repos AS r WHERE r.did = ANY (p_did) AND NOT r.has_user));
    PERFORM unified_worker.ensure_user(r.did, r.handle) FROM (
      SELECT x.did, x.handle FROM unified_worker.repos AS x
      WHERE x.did = ANY (p_did) AND NOT x.has_user AND p_words[array_position(p_did, x.did::text)] = 'ok' ORDER BY x.did) AS r;
  END IF;
  -- However few records are expected, none is compared with all others to find its row.
  SET LOCAL enable_nestloop = off;
  IF 602 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 602 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.likes AS t (uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev) SELECT s.uri, p_did[s.of], s.subject, s.subject_cid, s.rest -> 'via', s.created_at, now(), s.came, NULL::bigint::text, p_rev[s.of] FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.user_did, t.post_uri, t.subject_cid, t.via, t.created_at, t.indexed_at, t.commit_time, t.commit_seq, t.commit_rev),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri),
    made_1 AS (
      INSERT INTO public.post_viewer_states AS d (post_uri, viewer_did, like_uri, created_at, updated_at) SELECT t.post_uri AS post_uri, t.user_did AS viewer_did, t.uri AS like_uri, now() AS created_at, now() AS updated_at
      FROM t  WHERE true ORDER BY post_uri, viewer_did
      ON CONFLICT (post_uri, viewer_did) DO UPDATE SET like_uri = excluded.like_uri),
    made_2 AS (
      INSERT INTO public.notifications AS d (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at) SELECT t.uri || '#notification' AS uri, split_part(t.post_uri, '/', 3) AS recipient_did, t.user_did AS author_did, 'like' AS reason, t.post_uri AS reason_subject, t.said_cid AS cid, t.created_at AS created_at, now() AS indexed_at
      FROM t  WHERE NOT t.said_quiet AND true AND split_part(t.post_uri, '/', 3) <> t.user_did AND length(t.uri) <= 499 ORDER BY uri
      ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at),
    made_3 AS (
      INSERT INTO public.notifications AS d (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at) SELECT t.uri || '#notification/like-via-repost' AS uri, split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) AS recipient_did, t.user_did AS author_did, 'like-via-repost' AS reason, unified_worker.referred(t.via, 'app.bsky.feed.repost') AS reason_subject, t.said_cid AS cid, t.created_at AS created_at, now() AS indexed_at
      FROM t  WHERE NOT t.said_quiet AND t.via IS NOT NULL AND split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) <> t.user_did AND length(t.uri) <= 483 ORDER BY uri
      ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at)
    SELECT ARRAY(SELECT t.uri FROM t), v_like_count || ARRAY(SELECT t.post_uri FROM t AS t WHERE true) INTO v_new, v_like_count;
    v_done := v_done || v_new;
  END IF;
  IF 32492 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 32492 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.reposts AS t (uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev) SELECT s.uri, p_did[s.of], s.subject, s.subject_cid, s.rest -> 'via', s.created_at, now(), s.came, NULL::bigint::text, p_rev[s.of] FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.user_did, t.post_uri, t.subject_cid, t.via, t.created_at, t.indexed_at, t.commit_time, t.commit_seq, t.commit_rev),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri),
    made_1 AS (
      INSERT INTO public.post_viewer_states AS d (post_uri, viewer_did, repost_uri, created_at, updated_at) SELECT t.post_uri AS post_uri, t.user_did AS viewer_did, t.uri AS repost_uri, now() AS created_at, now() AS updated_at
      FROM t  WHERE true ORDER BY post_uri, viewer_did
      ON CONFLICT (post_uri, viewer_did) DO UPDATE SET repost_uri = excluded.repost_uri),
    made_2 AS (
      INSERT INTO public.feed_items AS d (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at) SELECT t.uri AS uri, t.post_uri AS post_uri, t.user_did AS originator_did, 'repost' AS type, least(t.created_at, t.commit_time) AS sort_at, coalesce(t.said_cid, t.subject_cid, '') AS cid, t.created_at AS created_at, now() AS indexed_at
      FROM t  WHERE true ORDER BY uri
      ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, originator_did = excluded.originator_did, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at),
    made_3 AS (
      INSERT INTO public.notifications AS d (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at) SELECT t.uri || '#notification' AS uri, split_part(t.post_uri, '/', 3) AS recipient_did, t.user_did AS author_did, 'repost' AS reason, t.post_uri AS reason_subject, t.said_cid AS cid, t.created_at AS created_at, now() AS indexed_at
      FROM t  WHERE NOT t.said_quiet AND true AND split_part(t.post_uri, '/', 3) <> t.user_did AND length(t.uri) <= 499 ORDER BY uri
      ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at),
    made_4 AS (
      INSERT INTO public.notifications AS d (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at) SELECT t.uri || '#notification/repost-via-repost' AS uri, split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) AS recipient_did, t.user_did AS author_did, 'repost-via-repost' AS reason, unified_worker.referred(t.via, 'app.bsky.feed.repost') AS reason_subject, t.said_cid AS cid, t.created_at AS created_at, now() AS indexed_at
      FROM t  WHERE NOT t.said_quiet AND t.via IS NOT NULL AND split_part(unified_worker.referred(t.via, 'app.bsky.feed.repost'), '/', 3) <> t.user_did AND length(t.uri) <= 481 ORDER BY uri
      ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at)
    SELECT ARRAY(SELECT t.uri FROM t), v_repost_count || ARRAY(SELECT t.post_uri FROM t AS t WHERE true) INTO v_new, v_repost_count;
    v_done := v_done || v_new;
  END IF;
  IF 14 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 14 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.posts AS t (uri, cid, author_did, text, langs, parent_uri, parent_cid, root_uri, root_cid, embed, facets, tags, search_vector, violates_thread_gate, violates_embedding_rules, has_thread_gate, has_post_gate, created_at, indexed_at, commit_time, commit_seq, commit_rev, self_labels) SELECT s.uri, s.cid, p_did[s.of], s.rest ->> 'text', s.rest -> 'langs', s.subject, s.subject_cid, s.rest ->> 'root', s.rest ->> 'root_cid', s.rest -> 'embed', s.rest -> 'facets', coalesce(s.rest -> 'tags', '[]'), to_tsvector('simple', coalesce(s.rest ->> 'search', s.rest ->> 'text')), false, false, false, false, s.created_at, now(), s.came, NULL::bigint::text, p_rev[s.of], s.rest -> 'labels' FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.cid, t.author_did, t.text, t.langs, t.parent_uri, t.parent_cid, t.root_uri, t.root_cid, t.embed, t.facets, t.tags, t.violates_thread_gate, t.violates_embedding_rules, t.has_thread_gate, t.has_post_gate, t.created_at, t.indexed_at, t.commit_time, t.commit_seq, t.commit_rev, t.self_labels),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri),
    made_1 AS (
      INSERT INTO public.thread_contexts AS d (post_uri, created_at, updated_at) SELECT t.uri AS post_uri, now() AS created_at, now() AS updated_at
      FROM t  WHERE t.parent_uri IS NOT NULL ORDER BY post_uri
      ON CONFLICT (post_uri) DO NOTHING),
    made_2 AS (
      INSERT INTO public.quotes AS d (uri, cid, post_uri, quoted_uri, quoted_cid, created_at, indexed_at) SELECT t.uri || '#quote' AS uri, t.said_cid AS cid, t.uri AS post_uri, v_quoted AS quoted_uri, unified_worker.quoted_cid(t.embed) AS quoted_cid, t.created_at AS created_at, now() AS indexed_at
      FROM t CROSS JOIN LATERAL (SELECT CASE WHEN t.embed ? 'record' AND length(t.uri) <= 506
    THEN unified_worker.quoted(t.embed) END) AS q (v_quoted) WHERE v_quoted IS NOT NULL ORDER BY uri
      ON CONFLICT (uri) DO UPDATE SET cid = excluded.cid, post_uri = excluded.post_uri, quoted_uri = excluded.quoted_uri, quoted_cid = excluded.quoted_cid, created_at = excluded.created_at RETURNING d.*),
    made_4 AS (
      INSERT INTO public.feed_items AS d (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at) SELECT t.uri AS uri, t.uri AS post_uri, t.author_did AS originator_did, CASE WHEN t.parent_uri IS NULL THEN 'post' ELSE 'reply' END AS type, least(t.created_at, t.commit_time) AS sort_at, t.said_cid AS cid, t.created_at AS created_at, now() AS indexed_at
      FROM t  WHERE true ORDER BY uri
      ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, originator_did = excluded.originator_did, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at)
    SELECT ARRAY(SELECT t.uri FROM t), v_reply_count || ARRAY(SELECT t.parent_uri FROM t AS t WHERE t.parent_uri LIKE 'at://did:%'), v_quote_count || ARRAY(SELECT t.quoted_uri FROM made_2 AS t WHERE true) INTO v_new, v_reply_count, v_quote_count;
    v_done := v_done || v_new;
  END IF;
  IF 864 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 864 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.follows AS t (uri, follower_did, following_did, created_at, indexed_at, commit_time, commit_seq, commit_rev) SELECT s.uri, p_did[s.of], s.subject, s.created_at, now(), s.came, NULL::bigint::text, p_rev[s.of] FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.follower_did, t.following_did, t.created_at, t.indexed_at, t.commit_time, t.commit_seq, t.commit_rev),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri),
    made_0 AS (
      INSERT INTO public.notifications AS d (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at) SELECT t.uri || '#notification' AS uri, t.following_did AS recipient_did, t.follower_did AS author_did, 'follow' AS reason, NULL AS reason_subject, t.said_cid AS cid, t.created_at AS created_at, now() AS indexed_at
      FROM t  WHERE NOT t.said_quiet AND true AND t.following_did <> t.follower_did AND length(t.uri) <= 499 ORDER BY uri
      ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, author_did = excluded.author_did, reason = excluded.reason, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at)
    SELECT ARRAY(SELECT t.uri FROM t) INTO v_new;
    v_done := v_done || v_new;
  END IF;
  IF 13348 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 13348 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.generic_records AS t (uri, cid, author_did, record_type, record, created_at, indexed_at) SELECT s.uri, s.cid, p_did[s.of], split_part(s.uri, '/', 4), s.rest, s.created_at, now() FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.cid, t.author_did, t.record_type, t.record, t.created_at, t.indexed_at),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri)
    SELECT ARRAY(SELECT t.uri FROM t) INTO v_new;
    v_done := v_done || v_new;
  END IF;
  IF 5284 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 5284 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.blocks AS t (uri, blocker_did, blocked_did, created_at, indexed_at, commit_time, commit_seq, commit_rev) SELECT s.uri, p_did[s.of], s.subject, s.created_at, now(), s.came, NULL::bigint::text, p_rev[s.of] FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.blocker_did, t.blocked_did, t.created_at, t.indexed_at, t.commit_time, t.commit_seq, t.commit_rev),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri)
    SELECT ARRAY(SELECT t.uri FROM t) INTO v_new;
    v_done := v_done || v_new;
  END IF;
  IF 21370 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 21370 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.lists AS t (uri, cid, creator_did, name, purpose, description, avatar_url, created_at, indexed_at) SELECT s.uri, s.cid, p_did[s.of], s.rest ->> 'name', s.rest ->> 'purpose', s.rest ->> 'description', s.rest ->> 'avatar', s.created_at, now() FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.cid, t.creator_did, t.name, t.purpose, t.description, t.avatar_url, t.created_at, t.indexed_at),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri)
    SELECT ARRAY(SELECT t.uri FROM t) INTO v_new;
    v_done := v_done || v_new;
  END IF;
  IF 30516 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 30516 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.list_blocks AS t (uri, blocker_did, list_uri, created_at, indexed_at) SELECT s.uri, p_did[s.of], s.subject, s.created_at, now() FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.blocker_did, t.list_uri, t.created_at, t.indexed_at),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri)
    SELECT ARRAY(SELECT t.uri FROM t) INTO v_new;
    v_done := v_done || v_new;
  END IF;
  IF 9574 = ANY (p_kind) THEN
    WITH said AS MATERIALIZED (
      SELECT o.* FROM unnest(p_of, p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest, p_times, p_quiet)
        AS o (of, kind, uri, cid, subject, subject_cid, created_at, rest, came, quiet)
      WHERE o.kind = 9574 AND o.uri <> ALL (v_out)),
    new AS (
      INSERT INTO public.starter_packs AS t (uri, cid, creator_did, name, description, list_uri, feeds, created_at, indexed_at) SELECT s.uri, s.cid, p_did[s.of], s.rest ->> 'name', s.rest ->> 'description', s.subject, s.rest -> 'feeds', s.created_at, now() FROM said AS s ORDER BY s.uri
      ON CONFLICT DO NOTHING RETURNING t.uri, t.cid, t.creator_did, t.name, t.description, t.list_uri, t.feeds, t.created_at, t.indexed_at),
    t AS MATERIALIZED (
      SELECT n.*, s.cid AS said_cid, s.quiet AS said_quiet FROM new AS n JOIN said AS s ON s.uri = n.uri)
    SELECT ARRAY(SELECT t.uri FROM t) INTO v_new;
    v_done := v_done || v_new;
  END IF;
  INSERT INTO public.post_aggregations AS a (post_uri, like_count, repost_count, reply_count, quote_count, created_at, updated_at)
  SELECT c.uri, sum(c.like_count), sum(c.repost_count), sum(c.reply_count), sum(c.quote_count), now(), now() FROM (
    SELECT u AS uri, 1 AS like_count, 0 AS repost_count, 0 AS reply_count, 0 AS quote_count FROM unnest(v_like_count) AS u
    UNION ALL SELECT u AS uri, 0 AS like_count, 1 AS repost_count, 0 AS reply_count, 0 AS quote_count FROM unnest(v_repost_count) AS u
    UNION ALL SELECT u AS uri, 0 AS like_count, 0 AS repost_count, 1 AS reply_count, 0 AS quote_count FROM unnest(v_reply_count) AS u
    UNION ALL SELECT u AS uri, 0 AS like_count, 0 AS repost_count, 0 AS reply_count, 1 AS quote_count FROM unnest(v_quote_count) AS u) AS c
  GROUP BY c.uri ORDER BY c.uri COLLATE "C"
  ON CONFLICT (post_uri) DO UPDATE SET like_count = a.like_count + excluded.like_count, repost_count = a.repost_count + excluded.repost_count, reply_count = a.reply_count + excluded.reply_count, quote_count = a.quote_count + excluded.quote_count, updated_at = now();
  SET LOCAL enable_nestloop TO DEFAULT;
  IF cardinality(v_done) < cardinality(p_uri) THEN
    p_left := ARRAY(
      SELECT o.place::int FROM unnest(p_uri) WITH ORDINALITY AS o (uri, place)
      WHERE o.uri NOT IN (SELECT unnest(v_done)) ORDER BY o.place);
  END IF;
  IF p_looks AND cardinality(v_done) > 0 THEN
    UPDATE unified_worker.repos SET unlooked = true WHERE did = ANY (p_did) AND NOT unlooked;
  END IF;
  SET CONSTRAINTS ALL IMMEDIATE;
END $set$;

CREATE OR REPLACE FUNCTION unified_worker.under_way() RETURNS text[] LANGUAGE sql VOLATILE AS $way$
  SELECT coalesce(array_agg(l.virtualtransaction), '{}') FROM pg_catalog.pg_locks AS l
  WHERE l.locktype = 'advisory' AND l.granted AND (l.classid, l.objid) = (1456714798, 1073741824)
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
$way$;

CREATE OR REPLACE FUNCTION unified_worker.repair_look(p_kind smallint[], p_uri text[]) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off AS $look$
DECLARE
  v_locked text; v_uris text[]; v_uri text; v_meets text[] := '{}'; v_again boolean := false; v_left int;
  v_before text[] := unified_worker.under_way(); v_began timestamptz := clock_timestamp(); v_likes text[] := '{}'; v_posts text[] := '{}';
BEGIN
  WHILE v_before && unified_worker.under_way() LOOP
    IF clock_timestamp() > v_began + current_setting('lock_timeout')::interval THEN
      RAISE lock_not_available USING MESSAGE = 'a commit that began before a repair''s set does not end';
    END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
  v_locked := pg_advisory_xact_lock_shared(1456714798, 1073741824)::text;
  IF 602 = ANY (p_kind) THEN
    v_uris := ARRAY(SELECT o.uri FROM unnest(p_kind, p_uri) AS o (kind, uri) WHERE o.kind = 602);
    v_likes := ARRAY(SELECT t.uri FROM public.likes AS t WHERE t.uri = ANY (v_uris) AND (split_part(t.post_uri, '/', 4) <> 'app.bsky.feed.post' OR (SELECT split_part(p.root_uri, '/', 3) FROM public.posts AS p WHERE p.uri = t.post_uri) = t.user_did) ORDER BY t.uri);
    v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.post_uri]::text[]) FROM public.likes AS t WHERE t.uri = ANY (v_likes));
  END IF;
  IF 14 = ANY (p_kind) THEN
    v_uris := ARRAY(SELECT o.uri FROM unnest(p_kind, p_uri) AS o (kind, uri) WHERE o.kind = 14);
    v_posts := ARRAY(SELECT t.uri FROM public.posts AS t WHERE t.uri = ANY (v_uris) AND ((SELECT l.uri FROM public.likes AS l
        WHERE l.user_did = split_part(t.root_uri, '/', 3) AND l.post_uri = t.uri) IS NOT NULL OR (SELECT true FROM public.thread_gates AS g WHERE g.post_uri IN (t.uri, t.root_uri) LIMIT 1)
      OR (SELECT true FROM public.post_gates AS g WHERE g.post_uri = t.uri LIMIT 1)
      OR (SELECT true FROM public.quotes AS q JOIN public.post_gates AS g ON g.post_uri = q.quoted_uri
        WHERE q.post_uri = t.uri LIMIT 1)
      OR t.parent_uri <> t.root_uri AND (
        SELECT true FROM public.posts AS p JOIN public.thread_gates AS g ON g.post_uri = coalesce(p.root_uri, p.uri)
        WHERE p.uri = t.parent_uri LIMIT 1)) ORDER BY t.uri);
    v_meets := v_meets || ARRAY(SELECT unnest(ARRAY[t.uri, t.parent_uri, t.root_uri, (SELECT q.quoted_uri FROM public.quotes AS q WHERE q.post_uri = t.uri)]::text[]) FROM public.posts AS t WHERE t.uri = ANY (v_posts));
  END IF;
  PERFORM unified_worker.lock(v_meets);
  FOREACH v_uri IN ARRAY v_likes LOOP
    DECLARE
      r public.likes;
    BEGIN
      SELECT t.* INTO r FROM public.likes AS t WHERE t.uri = v_uri;
      CONTINUE WHEN NOT FOUND;
      IF split_part(r.post_uri, '/', 4) <> 'app.bsky.feed.post' THEN
    IF split_part(r.post_uri, '/', 4) <> 'app.bsky.feed.post' THEN
      PERFORM unified_worker.show_like_count(r.post_uri);
    END IF;
      END IF;
      IF (SELECT split_part(p.root_uri, '/', 3) FROM public.posts AS p WHERE p.uri = r.post_uri) = r.user_did THEN
    IF EXISTS (SELECT FROM public.posts AS p WHERE p.uri = r.post_uri AND split_part(p.root_uri, '/', 3) = r.user_did) THEN
      UPDATE public.thread_contexts AS c SET root_author_like_uri = v_uri, updated_at = now() WHERE c.post_uri = r.post_uri;
    END IF;
      END IF;
    END;
  END LOOP;
  FOREACH v_uri IN ARRAY v_posts LOOP
    DECLARE
      r public.posts;
    BEGIN
      SELECT t.* INTO r FROM public.posts AS t WHERE t.uri = v_uri;
      CONTINUE WHEN NOT FOUND;
      IF (SELECT l.uri FROM public.likes AS l
            WHERE l.user_did = split_part(r.root_uri, '/', 3) AND l.post_uri = v_uri) IS NOT NULL THEN
    IF r.parent_uri IS NOT NULL THEN
      INSERT INTO public.thread_contexts AS c (post_uri, root_author_like_uri, created_at, updated_at)
      VALUES (v_uri, (SELECT l.uri FROM public.likes AS l
        WHERE l.user_did = split_part(r.root_uri, '/', 3) AND l.post_uri = v_uri), now(), now())
      ON CONFLICT (post_uri) DO UPDATE SET root_author_like_uri = excluded.root_author_like_uri, updated_at = now();
    ELSIF v_again THEN
      DELETE FROM public.thread_contexts AS c WHERE c.post_uri = v_uri;
    END IF;
      END IF;
      IF (SELECT true FROM public.thread_gates AS g WHERE g.post_uri IN (v_uri, r.root_uri) LIMIT 1)
          OR (SELECT true FROM public.post_gates AS g WHERE g.post_uri = v_uri LIMIT 1)
          OR (SELECT true FROM public.quotes AS q JOIN public.post_gates AS g ON g.post_uri = q.quoted_uri
            WHERE q.post_uri = v_uri LIMIT 1)
          OR r.parent_uri <> r.root_uri AND (
            SELECT true FROM public.posts AS p JOIN public.thread_gates AS g ON g.post_uri = coalesce(p.root_uri, p.uri)
            WHERE p.uri = r.parent_uri LIMIT 1) THEN
    UPDATE public.posts AS p SET has_thread_gate = x.thread_gated, has_post_gate = x.post_gated,
          violates_thread_gate = x.intrudes, violates_embedding_rules = x.embeds,
          search_vector = coalesce(p.search_vector, to_tsvector('simple', unified_worker.searchable(p.text)))
        FROM (
          SELECT t.uri, g.post_uri IS NOT NULL AS thread_gated, e.post_uri IS NOT NULL AS post_gated,
            CASE WHEN t.parent_uri IS NULL OR of_root.post_uri IS NULL THEN false
              WHEN c.came < unified_worker.gate_since(t.root_uri) THEN t.violates_thread_gate  -- judged by a gate that was before
              ELSE unified_worker.violates_thread_gate(t.root_uri, t.author_did, c.came) END
              OR t.parent_uri IS NOT NULL AND t.parent_uri <> t.root_uri AND unified_worker.violates_parents_gate(
                t.parent_uri, t.root_uri, t.author_did, c.came, t.violates_thread_gate) AS intrudes,
            coalesce(unified_worker.disables_quotes(d.embedding_rules), false)
              AND t.author_did <> split_part(q.quoted_uri, '/', 3) AS embeds
          FROM (SELECT o.* FROM public.posts AS o WHERE o.uri = v_uri) AS t
          CROSS JOIN LATERAL (SELECT coalesce(t.commit_time, unified_worker.tid_time(split_part(t.uri, '/', 5)), 'infinity')) AS c (came)
          LEFT JOIN public.thread_gates AS g ON g.post_uri = t.uri
          LEFT JOIN public.post_gates AS e ON e.post_uri = t.uri
          LEFT JOIN public.thread_gates AS of_root ON of_root.post_uri = t.root_uri
          LEFT JOIN public.quotes AS q ON q.post_uri = t.uri
          LEFT JOIN public.post_gates AS d ON d.post_uri = q.quoted_uri) AS x
        WHERE p.uri = x.uri AND (p.search_vector IS NULL OR
          (p.has_thread_gate, p.has_post_gate, p.violates_thread_gate, p.violates_embedding_rules)
            IS DISTINCT FROM (x.thread_gated, x.post_gated, x.intrudes, x.embeds));
    IF (SELECT p.has_thread_gate FROM public.posts AS p WHERE p.uri = v_uri) THEN
      PERFORM unified_worker.judge_thread(v_uri);
    END IF;
      END IF;
    END;
  END LOOP;
END $look$;

CREATE OR REPLACE FUNCTION unified_worker.apply_commit(
  p_mode int,
  p_did text, p_rev text, p_since text, p_data text, p_before text, p_doubt text,
  p_inductive boolean, p_unproven bytea, p_seq bigint, p_at timestamptz, p_user boolean, p_filtered boolean,
  p_frame bytea, p_buckets int[], p_bucket_lo int, p_bucket_hi int, p_lo int, p_hi int,
  p_long boolean, p_kind smallint[], p_uri text[], p_cid text[], p_subject text[], p_subject_cid text[],
  p_created_at timestamptz[], p_rest jsonb[])
RETURNS text LANGUAGE plpgsql AS $apply$
DECLARE
  -- Without defaults, each of which would be evaluated: v_held is set on every way, the others are false where null.
  v_new boolean; v_has_user boolean; v_held boolean; v_active boolean; v_wiping boolean; v_handle text; v_outcome text;
  v_uri text; v_cid text; v_subject text; v_subject_cid text; v_created_at timestamptz; v_rest jsonb; v_key text[];
  v_ahead tsvector[]; v_open text[]; v_locked text; v_left int; v_quoted text; v_again boolean; v_gated boolean;
  v_intrudes boolean; v_embeds boolean; v_doubt text; v_fetching boolean; v_quiet boolean; p_new jsonb;
BEGIN
  v_locked := pg_advisory_xact_lock_shared(1456714798, 1073741824)::text;  -- derived rows are not recomputed while this goes on
  IF p_mode = 0 THEN
    IF p_data IS NULL THEN
      -- Nothing of it can be applied (too big, unreadable): the rev stays, so that a sound copy still can.
      IF p_doubt = 'stale' OR EXISTS (
        SELECT FROM unified_worker.repos WHERE did = p_did AND rev >= p_rev AND p_rev <> '')
      THEN
        RETURN 'stale';
      END IF;
      IF p_doubt IS NOT NULL THEN  -- nothing shows that its account wrote it: so nothing of the account's is marked
        RETURN unified_worker.keep_forged(p_did, p_rev, p_seq, p_frame, p_rest[p_lo:p_hi]);
      END IF;
      IF p_did <> '' THEN
        INSERT INTO unified_worker.repos AS r (did, rev, filtered, refused_rev) VALUES (p_did, '', p_filtered, p_rev)
        ON CONFLICT (did) DO UPDATE SET filtered = r.filtered OR p_filtered, refused_rev = p_rev, refused_data = NULL,
          updated_at = now()
        RETURNING r.active, r.wiping INTO v_active, v_wiping;
        IF NOT p_filtered THEN
          PERFORM unified_worker.desynchronise(p_did, 'refused');
        END IF;
        IF NOT v_active THEN
          RETURN 'inactive';
        END IF;
      END IF;
      v_held := true;
    ELSE
      -- Whose records began with the tree that was empty before is complete from its first commit on.
      INSERT INTO unified_worker.repos AS r (did, rev, data_cid, seq, has_user, filtered, sync, doubt, inductive,
        unproven, unproven_at)
      VALUES (p_did, p_rev, p_data, p_seq, coalesce(p_user, false), p_filtered, CASE WHEN coalesce(p_before = 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm', false) THEN 1 ELSE 0 END,
        p_doubt, p_inductive, p_unproven, CASE WHEN p_unproven IS NOT NULL THEN now() END)
      ON CONFLICT (did) DO UPDATE SET rev = excluded.rev, data_cid = excluded.data_cid, seq = excluded.seq, updated_at = now(),
        filtered = r.filtered OR p_filtered, inductive = r.inductive OR p_inductive,
        refused_rev = NULL, refused_data = NULL,
        blind = r.blind OR NOT (p_inductive OR p_unproven IS NOT NULL OR coalesce(p_before = 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm', false)) AND r.data_cid IS DISTINCT FROM excluded.data_cid,
        sync = CASE WHEN r.rev = '' AND r.sync = 0 AND coalesce(p_before = 'bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm', false) THEN 1 ELSE r.sync END,
        doubt = CASE
          WHEN p_user IS NULL THEN CASE WHEN r.data_cid <> excluded.data_cid THEN 'sync_differs' END
          WHEN p_doubt = 'legacy_commit' AND r.inductive THEN 'downgraded_commit'
          WHEN p_doubt IS NOT NULL THEN p_doubt
          WHEN r.rev = '' OR r.refused_rev = '' THEN NULL
          WHEN p_since = r.refused_rev AND coalesce(p_before IN ('', r.refused_data), true) THEN NULL
          WHEN p_before IS NULL THEN CASE WHEN p_since <> r.rev THEN 'chain_broken' END
          WHEN p_since IS DISTINCT FROM r.rev OR p_before NOT IN ('', r.data_cid) THEN 'chain_broken'
        END,
        unproven = CASE WHEN p_inductive AND p_unproven IS NULL AND p_doubt IS NULL AND p_since = r.rev AND p_before = r.data_cid THEN NULL ELSE coalesce(p_unproven, r.unproven) END,
        unproven_at = CASE WHEN p_inductive AND p_unproven IS NULL AND p_doubt IS NULL AND p_since = r.rev AND p_before = r.data_cid THEN NULL WHEN p_unproven IS NULL THEN r.unproven_at
          ELSE coalesce(r.unproven_at, now()) END
        -- What comes while the account is wiped is kept, for which the frame must have come along.
        WHERE r.rev < excluded.rev AND (p_frame IS NOT NULL OR NOT r.wiping OR NOT r.active OR p_lo > p_hi)
      RETURNING r.has_user, r.held, r.active, r.wiping, r.handle, r.xmax = 0, r.doubt, r.fetching
      INTO v_has_user, v_held, v_active, v_wiping, v_handle, v_new, v_doubt, v_fetching;
      IF NOT FOUND THEN
        SELECT CASE WHEN r.rev < p_rev THEN 'needs_frame' WHEN r.rev = p_rev AND r.data_cid <> p_data THEN 'rev_fork'
          ELSE 'stale' END INTO v_outcome FROM unified_worker.repos AS r WHERE r.did = p_did;
        RETURN v_outcome;
      END IF;
      IF v_doubt IS NOT NULL THEN
        PERFORM unified_worker.desynchronise(p_did, v_doubt);
        v_outcome := v_doubt;
      END IF;
      IF NOT v_active AND p_user IS NOT NULL THEN
        PERFORM unified_worker.desynchronise(p_did, 'inactive');
        RETURN 'inactive';
      END IF;
    END IF;
  ELSIF p_mode = 1 THEN
    SELECT r.has_user, r.active, r.wiping, r.handle, r.fetching
    INTO v_has_user, v_active, v_wiping, v_handle, v_fetching
    FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
    IF NOT v_active OR v_wiping THEN
      RETURN 'inactive';
    END IF;
    v_open := ARRAY(SELECT l.path FROM unified_worker.dead_letters AS l WHERE l.did = p_did AND l.rev = p_rev);
    v_held := true;
  ELSE
    v_held := true;
  END IF;
  IF (v_wiping OR v_fetching) AND p_lo <= p_hi THEN  -- together: both are rare
    IF v_fetching THEN
      PERFORM unified_worker.touch(p_did, p_rev, p_uri[p_lo:p_hi], p_rest[p_lo:p_hi]);
    END IF;
    IF v_wiping THEN
      IF p_user AND NOT v_has_user THEN
        PERFORM unified_worker.ensure_user(p_did, v_handle);
      END IF;
      RETURN unified_worker.keep_wiping(
        p_did, p_rev, p_seq, p_frame, p_kind[p_lo:p_hi], p_uri[p_lo:p_hi], p_rest[p_lo:p_hi], p_unproven IS NOT NULL);
    END IF;
  END IF;

  -- Of many or long texts, what is slow and looks at nobody else's rows, before others may have to wait for this commit.
  IF p_lo < p_hi OR p_long THEN
    FOR i IN p_lo..p_hi LOOP
      v_rest := p_rest[i];
      CASE p_kind[i]
        WHEN 14 THEN
          v_ahead[i] := to_tsvector('simple', coalesce(v_rest ->> 'search', v_rest ->> 'text'));
        ELSE NULL;
      END CASE;
    END LOOP;
    PERFORM unified_worker.lock_commit(p_buckets[p_bucket_lo:p_bucket_hi], p_uri[p_lo:p_hi]);
  ELSE
    FOR i IN p_bucket_lo..p_bucket_hi LOOP
      v_locked := pg_advisory_xact_lock(1456714798, p_buckets[i])::text;
    END LOOP;
  END IF;

  IF p_user AND (v_new OR v_has_user IS NOT TRUE) THEN
    IF v_new THEN
      INSERT INTO public.users (did, handle) VALUES (p_did, 'handle.invalid') ON CONFLICT (did) DO NOTHING;
    ELSE
      PERFORM unified_worker.ensure_user(p_did, v_handle);
    END IF;
  END IF;

  FOR i IN p_lo..p_hi LOOP
    v_uri := p_uri[i];
    v_rest := p_rest[i];
    IF v_held OR p_kind[i] = -1 THEN
      IF p_kind[i] = -1 THEN
        IF NOT unified_worker.keep(
          p_did, p_rev, v_rest ->> 'path', p_seq, v_rest ->> 'reason', v_rest ->> 'detail', p_frame, NULL)
        THEN
          v_outcome := concat_ws(':', v_doubt, 'frame_dropped');
        END IF;
        v_held := true;
        CONTINUE;
      END IF;
      IF p_mode = 1 AND NOT unified_worker.path_of(v_uri) = ANY (v_open) THEN
        CONTINUE;
      END IF;
      IF p_mode <> 3 THEN
        PERFORM unified_worker.close_letters(
          p_did, unified_worker.path_of(v_uri), NULL, false, CASE p_mode WHEN 1 THEN p_rev END);
      END IF;
    END IF;
    v_cid := p_cid[i];
    v_subject := p_subject[i];
    v_subject_cid := p_subject_cid[i];
    v_created_at := p_created_at[i];
    CASE p_kind[i]
      WHEN 602 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.likes AS t (uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev) VALUES (v_uri, p_did, v_subject, v_subject_cid, v_rest -> 'via', v_created_at, now(), p_at, p_seq::text, p_rev) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
          INSERT INTO public.post_aggregations AS a (post_uri, like_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET like_count = a.like_count + 1, updated_at = now();
          IF split_part(v_subject, '/', 4) <> 'app.bsky.feed.post' THEN
            PERFORM unified_worker.show_like_count(v_subject);
          END IF;
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET like_uri = excluded.like_uri, updated_at = now();
          END IF;
          IF EXISTS (SELECT FROM public.posts AS p WHERE p.uri = v_subject AND split_part(p.root_uri, '/', 3) = p_did) THEN
            UPDATE public.thread_contexts AS c SET root_author_like_uri = v_uri, updated_at = now() WHERE c.post_uri = v_subject;
          END IF;
          IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'like', v_subject, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'like', v_subject, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_subject, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 483 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'like-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'like-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 483 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/like-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/like-via-repost';
            END IF;
          END IF;
        ELSIF EXISTS (SELECT FROM public.likes AS t WHERE t.uri = v_uri AND t.user_did = p_did AND t.post_uri = v_subject) THEN
          v_again := true;
          PERFORM unified_worker.remove_likes(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.likes AS t SET user_did = p_did, post_uri = v_subject, subject_cid = v_subject_cid, via = v_rest -> 'via', created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev WHERE t.uri = v_uri;
          INSERT INTO public.post_aggregations AS a (post_uri, like_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET like_count = a.like_count + 1, updated_at = now();
          IF split_part(v_subject, '/', 4) <> 'app.bsky.feed.post' THEN
            PERFORM unified_worker.show_like_count(v_subject);
          END IF;
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, like_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET like_uri = excluded.like_uri, updated_at = now();
          END IF;
          IF EXISTS (SELECT FROM public.posts AS p WHERE p.uri = v_subject AND split_part(p.root_uri, '/', 3) = p_did) THEN
            UPDATE public.thread_contexts AS c SET root_author_like_uri = v_uri, updated_at = now() WHERE c.post_uri = v_subject;
          END IF;
          IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'like', v_subject, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'like', v_subject, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_subject, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 483 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'like-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/like-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'like-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 483 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/like-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/like-via-repost';
            END IF;
          END IF;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_likes(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_likes(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_likes(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.feed.like', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'user_did', p_did, 'post_uri', v_subject, 'subject_cid', v_subject_cid, 'via', v_rest -> 'via', 'created_at', v_created_at, 'indexed_at', now(), 'commit_time', p_at, 'commit_seq', p_seq::text, 'commit_rev', p_rev, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_likes(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 32492 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.reposts AS t (uri, user_did, post_uri, subject_cid, via, created_at, indexed_at, commit_time, commit_seq, commit_rev) VALUES (v_uri, p_did, v_subject, v_subject_cid, v_rest -> 'via', v_created_at, now(), p_at, p_seq::text, p_rev) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
          INSERT INTO public.post_aggregations AS a (post_uri, repost_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET repost_count = a.repost_count + 1, updated_at = now();
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET repost_uri = excluded.repost_uri, updated_at = now();
          END IF;
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_subject, p_did, 'repost', least(v_created_at, p_at), coalesce(v_cid, v_subject_cid, ''), v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_subject, p_did, 'repost', least(v_created_at, p_at), coalesce(v_cid, v_subject_cid, ''), v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at, indexed_at = excluded.indexed_at;
          END IF;
          IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'repost', v_subject, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'repost', v_subject, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_subject, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 481 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'repost-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'repost-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 481 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/repost-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/repost-via-repost';
            END IF;
          END IF;
        ELSIF EXISTS (SELECT FROM public.reposts AS t WHERE t.uri = v_uri AND t.user_did = p_did AND t.post_uri = v_subject) THEN
          v_again := true;
          PERFORM unified_worker.remove_reposts(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.reposts AS t SET user_did = p_did, post_uri = v_subject, subject_cid = v_subject_cid, via = v_rest -> 'via', created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev WHERE t.uri = v_uri;
          INSERT INTO public.post_aggregations AS a (post_uri, repost_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET repost_count = a.repost_count + 1, updated_at = now();
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
          ON CONFLICT (post_uri, viewer_did) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.post_viewer_states AS s (post_uri, viewer_did, repost_uri, created_at, updated_at)
          VALUES (v_subject, p_did, v_uri, now(), now())
            ON CONFLICT (post_uri, viewer_did) DO UPDATE SET repost_uri = excluded.repost_uri, updated_at = now();
          END IF;
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_subject, p_did, 'repost', least(v_created_at, p_at), coalesce(v_cid, v_subject_cid, ''), v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_subject, p_did, 'repost', least(v_created_at, p_at), coalesce(v_cid, v_subject_cid, ''), v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at, indexed_at = excluded.indexed_at;
          END IF;
          IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'repost', v_subject, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', split_part(v_subject, '/', 3), p_did, 'repost', v_subject, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_subject, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 481 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'repost-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/repost-via-repost', split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), p_did, 'repost-via-repost', unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'via') IS NOT NULL AND split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3) <> p_did AND length(v_uri) <= 481 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'via'), 'app.bsky.feed.repost'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/repost-via-repost';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/repost-via-repost';
            END IF;
          END IF;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_reposts(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_reposts(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_reposts(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.feed.repost', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'user_did', p_did, 'post_uri', v_subject, 'subject_cid', v_subject_cid, 'via', v_rest -> 'via', 'created_at', v_created_at, 'indexed_at', now(), 'commit_time', p_at, 'commit_seq', p_seq::text, 'commit_rev', p_rev, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_reposts(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 14 THEN
        INSERT INTO public.posts AS t (uri, cid, author_did, text, langs, parent_uri, parent_cid, root_uri, root_cid, embed, facets, tags, search_vector, violates_thread_gate, violates_embedding_rules, has_thread_gate, has_post_gate, created_at, indexed_at, commit_time, commit_seq, commit_rev, self_labels) VALUES (v_uri, v_cid, p_did, v_rest ->> 'text', v_rest -> 'langs', v_subject, v_subject_cid, v_rest ->> 'root', v_rest ->> 'root_cid', v_rest -> 'embed', v_rest -> 'facets', coalesce(v_rest -> 'tags', '[]'), coalesce(v_ahead[i], to_tsvector('simple', coalesce(v_rest ->> 'search', v_rest ->> 'text'))), v_subject IS NOT NULL AND (unified_worker.violates_thread_gate(v_rest ->> 'root', p_did, p_at) OR v_subject <> v_rest ->> 'root' AND unified_worker.violates_parents_gate(v_subject, v_rest ->> 'root', p_did, p_at, false)), v_rest ? 'quotes' AND EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = CASE WHEN v_rest ? 'quotes' AND length(v_uri) <= 506 THEN unified_worker.quoted(v_rest -> 'embed') END AND split_part(g.post_uri, '/', 3) <> p_did AND unified_worker.disables_quotes(g.embedding_rules)), EXISTS (SELECT FROM public.thread_gates AS g WHERE g.post_uri = v_uri), EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = v_uri), v_created_at, now(), p_at, p_seq::text, p_rev, v_rest -> 'labels') ON CONFLICT (uri) DO NOTHING RETURNING t.has_thread_gate, t.violates_thread_gate, t.violates_embedding_rules INTO v_gated, v_intrudes, v_embeds;
        v_again := NOT FOUND;
        IF v_again THEN
          PERFORM unified_worker.remove_posts(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.posts AS t SET cid = v_cid, author_did = p_did, text = v_rest ->> 'text', langs = v_rest -> 'langs', parent_uri = v_subject, parent_cid = v_subject_cid, root_uri = v_rest ->> 'root', root_cid = v_rest ->> 'root_cid', embed = v_rest -> 'embed', facets = v_rest -> 'facets', tags = coalesce(v_rest -> 'tags', '[]'), search_vector = coalesce(v_ahead[i], to_tsvector('simple', coalesce(v_rest ->> 'search', v_rest ->> 'text'))), violates_thread_gate = v_subject IS NOT NULL AND (unified_worker.violates_thread_gate(v_rest ->> 'root', p_did, p_at) OR v_subject <> v_rest ->> 'root' AND unified_worker.violates_parents_gate(v_subject, v_rest ->> 'root', p_did, p_at, false)), violates_embedding_rules = v_rest ? 'quotes' AND EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = CASE WHEN v_rest ? 'quotes' AND length(v_uri) <= 506 THEN unified_worker.quoted(v_rest -> 'embed') END AND split_part(g.post_uri, '/', 3) <> p_did AND unified_worker.disables_quotes(g.embedding_rules)), has_thread_gate = EXISTS (SELECT FROM public.thread_gates AS g WHERE g.post_uri = v_uri), has_post_gate = EXISTS (SELECT FROM public.post_gates AS g WHERE g.post_uri = v_uri), created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev, self_labels = v_rest -> 'labels' WHERE t.uri = v_uri RETURNING t.has_thread_gate, t.violates_thread_gate, t.violates_embedding_rules INTO v_gated, v_intrudes, v_embeds;
        END IF;
          IF v_subject LIKE 'at://did:%' THEN
          INSERT INTO public.post_aggregations AS a (post_uri, reply_count, created_at, updated_at) VALUES (v_subject, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET reply_count = a.reply_count + 1, updated_at = now();
          END IF;
          IF v_subject IS NOT NULL THEN
            INSERT INTO public.thread_contexts AS c (post_uri, root_author_like_uri, created_at, updated_at)
            VALUES (v_uri, (SELECT l.uri FROM public.likes AS l
              WHERE l.user_did = split_part((v_rest ->> 'root'), '/', 3) AND l.post_uri = v_uri), now(), now())
            ON CONFLICT (post_uri) DO UPDATE SET root_author_like_uri = excluded.root_author_like_uri, updated_at = now();
          ELSIF v_again THEN
            DELETE FROM public.thread_contexts AS c WHERE c.post_uri = v_uri;
          END IF;
          IF NOT v_intrudes AND v_subject LIKE 'at://did:%' AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 493 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/reply', split_part(v_subject, '/', 3), p_did, 'reply', v_uri, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/reply', split_part(v_subject, '/', 3), p_did, 'reply', v_uri, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF NOT v_intrudes AND v_subject LIKE 'at://did:%' AND split_part(v_subject, '/', 3) <> p_did AND length(v_uri) <= 493 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_subject, '/', 3), reason_subject = v_uri, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/reply';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/reply';
            END IF;
          END IF;
          v_quoted := CASE WHEN v_rest ? 'quotes' AND length(v_uri) <= 506 THEN unified_worker.quoted(v_rest -> 'embed') END;
          IF v_quoted IS NOT NULL THEN
            INSERT INTO public.quotes AS q (uri, cid, post_uri, quoted_uri, quoted_cid, created_at, indexed_at)
            VALUES (v_uri || '#quote', v_cid, v_uri, v_quoted, unified_worker.quoted_cid(v_rest -> 'embed'), v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET cid = excluded.cid, post_uri = excluded.post_uri, quoted_uri = excluded.quoted_uri,
              quoted_cid = excluded.quoted_cid, created_at = excluded.created_at;  -- an older application may have left one behind

          INSERT INTO public.post_aggregations AS a (post_uri, quote_count, created_at, updated_at) VALUES (v_quoted, 1, now(), now())
          ON CONFLICT (post_uri) DO UPDATE SET quote_count = a.quote_count + 1, updated_at = now();
          END IF;
          IF NOT v_embeds AND split_part(v_quoted, '/', 3) <> p_did AND length(v_uri) <= 493 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/quote', split_part(v_quoted, '/', 3), p_did, 'quote', v_uri, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/quote', split_part(v_quoted, '/', 3), p_did, 'quote', v_uri, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF NOT v_embeds AND split_part(v_quoted, '/', 3) <> p_did AND length(v_uri) <= 493 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(v_quoted, '/', 3), reason_subject = v_uri, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/quote';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/quote';
            END IF;
          END IF;
          IF v_rest ? 'mentions' AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          SELECT v_uri || '#notification/mention/' || m, m, p_did, 'mention', v_uri, v_cid, v_created_at, now()
          FROM unified_worker.mentioned(v_rest -> 'facets') AS m
          WHERE m <> p_did AND length(v_uri) + length(m) <= 490
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          ELSIF v_again AND v_rest ? 'mentions' THEN
            UPDATE public.notifications AS n SET cid = v_cid, created_at = v_created_at
            FROM unified_worker.mentioned(v_rest -> 'facets') AS m WHERE n.uri = v_uri || '#notification/mention/' || m;
          END IF;
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_uri, p_did, CASE WHEN v_subject IS NULL THEN 'post' ELSE 'reply' END, least(v_created_at, p_at), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.feed_items AS f (uri, post_uri, originator_did, type, sort_at, cid, created_at, indexed_at)
          VALUES (v_uri, v_uri, p_did, CASE WHEN v_subject IS NULL THEN 'post' ELSE 'reply' END, least(v_created_at, p_at), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET post_uri = excluded.post_uri, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, created_at = excluded.created_at, indexed_at = excluded.indexed_at;
          END IF;
          IF v_gated THEN
            PERFORM unified_worker.judge_thread(v_uri);
          END IF;
      WHEN 864 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.follows AS t (uri, follower_did, following_did, created_at, indexed_at, commit_time, commit_seq, commit_rev) VALUES (v_uri, p_did, v_subject, v_created_at, now(), p_at, p_seq::text, p_rev) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
          IF true AND v_subject <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', v_subject, p_did, 'follow', NULL, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', v_subject, p_did, 'follow', NULL, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND v_subject <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = v_subject, reason_subject = NULL, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
        ELSIF EXISTS (SELECT FROM public.follows AS t WHERE t.uri = v_uri AND t.follower_did = p_did AND t.following_did = v_subject) THEN
          v_again := true;
          PERFORM unified_worker.remove_follows(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.follows AS t SET follower_did = p_did, following_did = v_subject, created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev WHERE t.uri = v_uri;
          IF true AND v_subject <> p_did AND length(v_uri) <= 499 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', v_subject, p_did, 'follow', NULL, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification', v_subject, p_did, 'follow', NULL, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND v_subject <> p_did AND length(v_uri) <= 499 THEN
              UPDATE public.notifications AS n SET recipient_did = v_subject, reason_subject = NULL, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification';
            END IF;
          END IF;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_follows(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_follows(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_follows(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.follow', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'follower_did', p_did, 'following_did', v_subject, 'created_at', v_created_at, 'indexed_at', now(), 'commit_time', p_at, 'commit_seq', p_seq::text, 'commit_rev', p_rev, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_follows(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 13348 THEN
        INSERT INTO public.generic_records AS t (uri, cid, author_did, record_type, record, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, split_part(v_uri, '/', 4), v_rest, v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.generic_records AS t SET cid = v_cid, author_did = p_did, record_type = split_part(v_uri, '/', 4), record = v_rest, created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 26342 THEN
          IF v_rest -> 'record' ? 'joinedViaStarterPack' THEN
            DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
            IF v_quiet THEN
              INSERT INTO unified_worker.commit_times AS c (uri, at, quiet) VALUES (v_uri, coalesce(p_at, now()), true);
            END IF;
          END IF;
        INSERT INTO public.users AS t (did, handle, display_name, avatar_url, banner_url, description, profile_record, pinned_post, search_vector, indexed_at) VALUES (p_did, unified_worker.handle_of(p_did), v_rest ->> 'name', v_rest ->> 'avatar', v_rest ->> 'banner', v_rest ->> 'description', v_rest -> 'record', v_rest -> 'pinned', to_tsvector('simple', nullif(concat_ws(' ', nullif(unified_worker.handle_of(p_did), 'handle.invalid'), v_rest ->> 'search'), '')), now()) ON CONFLICT (did) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          PERFORM unified_worker.remove_users(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.users AS t SET handle = t.handle, display_name = v_rest ->> 'name', avatar_url = v_rest ->> 'avatar', banner_url = v_rest ->> 'banner', description = v_rest ->> 'description', profile_record = v_rest -> 'record', pinned_post = v_rest -> 'pinned', search_vector = to_tsvector('simple', nullif(concat_ws(' ', nullif(t.handle, 'handle.invalid'), v_rest ->> 'search'), '')), indexed_at = now() WHERE t.did = p_did;
        END IF;
          IF (v_rest -> 'record') ? 'joinedViaStarterPack' AND split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3) <> p_did AND length(v_uri) <= 480 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/starterpack-joined', split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3), p_did, 'starterpack-joined', unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/starterpack-joined', split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3), p_did, 'starterpack-joined', unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF (v_rest -> 'record') ? 'joinedViaStarterPack' AND split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3) <> p_did AND length(v_uri) <= 480 THEN
              UPDATE public.notifications AS n SET recipient_did = split_part(unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), '/', 3), reason_subject = unified_worker.referred((v_rest -> 'record') -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack'), cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/starterpack-joined';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/starterpack-joined';
            END IF;
          END IF;
      WHEN 28742 THEN
        INSERT INTO public.feed_generators AS t (uri, cid, creator_did, did, display_name, description, avatar_url, like_count, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, v_subject, v_rest ->> 'name', v_rest ->> 'description', v_rest ->> 'avatar', coalesce((SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = v_uri), 0), v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.feed_generators AS t SET cid = v_cid, creator_did = p_did, did = v_subject, display_name = v_rest ->> 'name', description = v_rest ->> 'description', avatar_url = v_rest ->> 'avatar', like_count = coalesce((SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = v_uri), 0), created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 12476 THEN
        INSERT INTO public.post_gates AS t (post_uri, embedding_rules, created_at, detached_embedding_uris) VALUES ('at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5), coalesce(v_rest -> 'rules', '{}'), v_created_at, v_rest -> 'detached') ON CONFLICT (post_uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          PERFORM unified_worker.remove_post_gates(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.post_gates AS t SET embedding_rules = coalesce(v_rest -> 'rules', '{}'), created_at = v_created_at, detached_embedding_uris = v_rest -> 'detached' WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5);
        END IF;
          PERFORM unified_worker.judge_quotes(('at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5)));
      WHEN 30210 THEN
        INSERT INTO unified_worker.commit_times AS c (uri, at, quiet)
        VALUES (v_uri, coalesce(p_at, now()), coalesce(v_quiet, false))
        ON CONFLICT (uri) DO UPDATE SET at = excluded.at, quiet = excluded.quiet;
        INSERT INTO public.thread_gates AS t (post_uri, owner_did, allow_mentions, allow_following, allow_list_members, allow_list_uris, created_at, updated_at, allow_followers, hidden_replies) VALUES ('at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5), p_did, (v_rest -> 'mentions')::boolean, (v_rest -> 'following')::boolean, (v_rest -> 'members')::boolean, v_rest -> 'lists', v_created_at, now(), coalesce((v_rest -> 'followers')::boolean, false), v_rest -> 'hidden') ON CONFLICT (post_uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          PERFORM unified_worker.remove_thread_gates(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.thread_gates AS t SET owner_did = p_did, allow_mentions = (v_rest -> 'mentions')::boolean, allow_following = (v_rest -> 'following')::boolean, allow_list_members = (v_rest -> 'members')::boolean, allow_list_uris = v_rest -> 'lists', created_at = v_created_at, updated_at = now(), allow_followers = coalesce((v_rest -> 'followers')::boolean, false), hidden_replies = v_rest -> 'hidden' WHERE t.post_uri = 'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5);
        END IF;
          PERFORM unified_worker.judge_thread(('at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5)));
      WHEN 5284 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.blocks AS t (uri, blocker_did, blocked_did, created_at, indexed_at, commit_time, commit_seq, commit_rev) VALUES (v_uri, p_did, v_subject, v_created_at, now(), p_at, p_seq::text, p_rev) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
        ELSIF EXISTS (SELECT FROM public.blocks AS t WHERE t.uri = v_uri AND t.blocker_did = p_did AND t.blocked_did = v_subject) THEN
          v_again := true;
          UPDATE public.blocks AS t SET blocker_did = p_did, blocked_did = v_subject, created_at = v_created_at, indexed_at = now(), commit_time = p_at, commit_seq = p_seq::text, commit_rev = p_rev WHERE t.uri = v_uri;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_blocks(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_blocks(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_blocks(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.block', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'blocker_did', p_did, 'blocked_did', v_subject, 'created_at', v_created_at, 'indexed_at', now(), 'commit_time', p_at, 'commit_seq', p_seq::text, 'commit_rev', p_rev, 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_blocks(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 21370 THEN
        INSERT INTO public.lists AS t (uri, cid, creator_did, name, purpose, description, avatar_url, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, v_rest ->> 'name', v_rest ->> 'purpose', v_rest ->> 'description', v_rest ->> 'avatar', v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.lists AS t SET cid = v_cid, creator_did = p_did, name = v_rest ->> 'name', purpose = v_rest ->> 'purpose', description = v_rest ->> 'description', avatar_url = v_rest ->> 'avatar', created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 30516 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        INSERT INTO public.list_blocks AS t (uri, blocker_did, list_uri, created_at, indexed_at) VALUES (v_uri, p_did, v_subject, v_created_at, now()) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
        ELSIF EXISTS (SELECT FROM public.list_blocks AS t WHERE t.uri = v_uri AND t.blocker_did = p_did AND t.list_uri = v_subject) THEN
          v_again := true;
          UPDATE public.list_blocks AS t SET blocker_did = p_did, list_uri = v_subject, created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
          IF v_held OR false THEN
            PERFORM unified_worker.settle_list_blocks(ARRAY[p_did, v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_list_blocks(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR false) THEN
            PERFORM unified_worker.settle_list_blocks(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.listblock', ARRAY[p_did, v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'blocker_did', p_did, 'list_uri', v_subject, 'created_at', v_created_at, 'indexed_at', now(), 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_list_blocks(ARRAY[p_did, v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 10426 THEN
        PERFORM unified_worker.lock(ARRAY(SELECT unnest(ARRAY[t.list_uri]::text[]) FROM public.list_items AS t WHERE t.uri = ANY (ARRAY[v_uri])
        UNION ALL SELECT unnest(ARRAY[t.list_uri]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.list_items, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.listitem' AND d.uri = ANY (ARRAY[v_uri])));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        INSERT INTO unified_worker.commit_times AS c (uri, at, quiet)
        VALUES (v_uri, coalesce(p_at, now()), coalesce(v_quiet, false))
        ON CONFLICT (uri) DO UPDATE SET at = excluded.at, quiet = excluded.quiet;
        INSERT INTO public.list_items AS t (uri, cid, list_uri, subject_did, created_at, indexed_at) VALUES (v_uri, v_cid, v_rest ->> 'list', v_subject, v_created_at, now()) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
        ELSIF EXISTS (SELECT FROM public.list_items AS t WHERE t.uri = v_uri AND t.list_uri = (v_rest ->> 'list') AND t.subject_did = v_subject) THEN
          v_again := true;
          UPDATE public.list_items AS t SET cid = v_cid, list_uri = v_rest ->> 'list', subject_did = v_subject, created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
          IF v_held OR true THEN
            PERFORM unified_worker.settle_list_items(ARRAY[v_rest ->> 'list', v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_list_items(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR true) THEN
            PERFORM unified_worker.settle_list_items(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.listitem', ARRAY[v_rest ->> 'list', v_subject]::text[], 'epoch', v_created_at,
            jsonb_build_object('uri', v_uri, 'cid', v_cid, 'list_uri', v_rest ->> 'list', 'subject_did', v_subject, 'created_at', v_created_at, 'indexed_at', now(), 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_list_items(ARRAY[v_rest ->> 'list', v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 9574 THEN
        INSERT INTO public.starter_packs AS t (uri, cid, creator_did, name, description, list_uri, feeds, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, v_rest ->> 'name', v_rest ->> 'description', v_subject, v_rest -> 'feeds', v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.starter_packs AS t SET cid = v_cid, creator_did = p_did, name = v_rest ->> 'name', description = v_rest ->> 'description', list_uri = v_subject, feeds = v_rest -> 'feeds', created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 28500 THEN
        PERFORM unified_worker.lock(ARRAY(SELECT unnest(ARRAY[t.subject_did]::text[]) FROM public.verifications AS t WHERE t.uri = ANY (ARRAY[v_uri])
        UNION ALL SELECT unnest(ARRAY[t.subject_did]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.verifications, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.verification' AND d.uri = ANY (ARRAY[v_uri])));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        INSERT INTO unified_worker.commit_times AS c (uri, at, quiet)
        VALUES (v_uri, coalesce(p_at, now()), coalesce(v_quiet, false))
        ON CONFLICT (uri) DO UPDATE SET at = excluded.at, quiet = excluded.quiet;
          DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/unverified';
        INSERT INTO public.verifications AS t (uri, cid, subject_did, handle, verified_at, created_at, indexed_at) VALUES (v_uri, v_cid, v_subject, v_rest ->> 'handle', v_created_at, v_created_at, now()) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          v_again := false;
          IF true AND v_subject <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', v_subject, split_part(v_uri, '/', 3), 'verified', NULL, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', v_subject, split_part(v_uri, '/', 3), 'verified', NULL, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND v_subject <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 THEN
              UPDATE public.notifications AS n SET recipient_did = v_subject, reason_subject = NULL, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/verified';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/verified';
            END IF;
          END IF;
        ELSIF EXISTS (SELECT FROM public.verifications AS t WHERE t.uri = v_uri AND t.subject_did = v_subject) THEN
          v_again := true;
          PERFORM unified_worker.remove_verifications(p_did, v_uri, coalesce(v_rest, '{}'), NULL);
          UPDATE public.verifications AS t SET cid = v_cid, subject_did = v_subject, handle = v_rest ->> 'handle', verified_at = v_created_at, created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
          IF true AND v_subject <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 AND v_quiet IS NOT TRUE THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', v_subject, split_part(v_uri, '/', 3), 'verified', NULL, v_cid, v_created_at, now())
          ON CONFLICT (uri) DO NOTHING;
          IF NOT FOUND THEN
          INSERT INTO public.notifications AS n (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
          VALUES (v_uri || '#notification/verified', v_subject, split_part(v_uri, '/', 3), 'verified', NULL, v_cid, v_created_at, now())
            ON CONFLICT (uri) DO UPDATE SET recipient_did = excluded.recipient_did, reason_subject = excluded.reason_subject, cid = excluded.cid, created_at = excluded.created_at;
          END IF;
          ELSIF v_again THEN
            IF true AND v_subject <> split_part(v_uri, '/', 3) AND length(v_uri) <= 490 THEN
              UPDATE public.notifications AS n SET recipient_did = v_subject, reason_subject = NULL, cid = v_cid, created_at = v_created_at WHERE n.uri = v_uri || '#notification/verified';
            ELSE
              DELETE FROM public.notifications AS n WHERE n.uri = v_uri || '#notification/verified';
            END IF;
          END IF;
          IF v_held OR true THEN
            PERFORM unified_worker.settle_verifications(ARRAY[v_subject]::text[]);
          END IF;
        ELSE
          v_key := unified_worker.remove_verifications(p_did, v_uri, NULL, NULL);
          IF v_key IS NOT NULL AND (v_held OR true) THEN
            PERFORM unified_worker.settle_verifications(v_key);
          END IF;
          INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
          VALUES (v_uri, 'app.bsky.graph.verification', ARRAY[v_subject]::text[], coalesce(p_at, now()), v_created_at,
            jsonb_build_object('uri', v_uri, 'cid', v_cid, 'subject_did', v_subject, 'handle', v_rest ->> 'handle', 'verified_at', v_created_at, 'created_at', v_created_at, 'indexed_at', now(), 'record_cid', v_cid, 'quiet', v_quiet))
          ON CONFLICT (uri) DO UPDATE SET key = excluded.key, came_at = excluded.came_at, created_at = excluded.created_at,
            record = excluded.record;
          PERFORM unified_worker.settle_verifications(ARRAY[v_subject]::text[]);
          INSERT INTO unified_worker.repos AS r (did, rev, held) VALUES (p_did, '', true)
          ON CONFLICT (did) DO UPDATE SET held = true WHERE NOT r.held;
          v_held := true;
        END IF;
      WHEN 2964 THEN
        INSERT INTO public.labeler_services AS t (uri, cid, creator_did, policies, like_count, created_at, indexed_at) VALUES (v_uri, v_cid, p_did, v_rest -> 'policies', coalesce((SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = v_uri), 0), v_created_at, now()) ON CONFLICT (uri) DO NOTHING;
        v_again := NOT FOUND;
        IF v_again THEN
          UPDATE public.labeler_services AS t SET cid = v_cid, creator_did = p_did, policies = v_rest -> 'policies', like_count = coalesce((SELECT a.like_count FROM public.post_aggregations AS a WHERE a.post_uri = v_uri), 0), created_at = v_created_at, indexed_at = now() WHERE t.uri = v_uri;
        END IF;
      WHEN 603 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_likes(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_likes(v_key);
        END IF;
      WHEN 32493 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_reposts(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_reposts(v_key);
        END IF;
      WHEN 15 THEN
        PERFORM unified_worker.remove_posts(p_did, v_uri, NULL, p_at);
      WHEN 865 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_follows(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_follows(v_key);
        END IF;
      WHEN 13349 THEN
        PERFORM unified_worker.remove_generic_records(p_did, v_uri, NULL, p_at);
      WHEN 26343 THEN
        PERFORM unified_worker.remove_users(p_did, v_uri, NULL, p_at);
      WHEN 28743 THEN
        PERFORM unified_worker.remove_feed_generators(p_did, v_uri, NULL, p_at);
      WHEN 12477 THEN
        PERFORM unified_worker.remove_post_gates(p_did, v_uri, NULL, p_at);
      WHEN 30211 THEN
        PERFORM unified_worker.remove_thread_gates(p_did, v_uri, NULL, p_at);
        DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
      WHEN 5285 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_blocks(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_blocks(v_key);
        END IF;
      WHEN 21371 THEN
        PERFORM unified_worker.remove_lists(p_did, v_uri, NULL, p_at);
      WHEN 30517 THEN
        IF v_held THEN
          DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        END IF;
        v_key := unified_worker.remove_list_blocks(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR false) THEN
          PERFORM unified_worker.settle_list_blocks(v_key);
        END IF;
      WHEN 10427 THEN
        PERFORM unified_worker.lock(ARRAY(SELECT unnest(ARRAY[t.list_uri]::text[]) FROM public.list_items AS t WHERE t.uri = ANY (ARRAY[v_uri])
        UNION ALL SELECT unnest(ARRAY[t.list_uri]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.list_items, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.listitem' AND d.uri = ANY (ARRAY[v_uri])));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        v_key := unified_worker.remove_list_items(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR true) THEN
          PERFORM unified_worker.settle_list_items(v_key);
        END IF;
        DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
      WHEN 9575 THEN
        PERFORM unified_worker.remove_starter_packs(p_did, v_uri, NULL, p_at);
      WHEN 28501 THEN
        PERFORM unified_worker.lock(ARRAY(SELECT unnest(ARRAY[t.subject_did]::text[]) FROM public.verifications AS t WHERE t.uri = ANY (ARRAY[v_uri])
        UNION ALL SELECT unnest(ARRAY[t.subject_did]::text[])
        FROM unified_worker.duplicate_records AS d, jsonb_populate_record(NULL::public.verifications, d.record) AS t
        WHERE d.collection = 'app.bsky.graph.verification' AND d.uri = ANY (ARRAY[v_uri])));
        DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri;
        v_key := unified_worker.remove_verifications(p_did, v_uri, NULL, p_at);
        IF v_key IS NOT NULL AND (v_held OR true) THEN
          PERFORM unified_worker.settle_verifications(v_key);
        END IF;
        DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
      WHEN 2965 THEN
        PERFORM unified_worker.remove_labeler_services(p_did, v_uri, NULL, p_at);
    END CASE;
  END LOOP;
  -- p_data: neither rows of a caller's, nor of an account that goes, nor of what can't be read.
  IF p_lo <= p_hi AND p_data IS NOT NULL AND current_setting('unified_worker.publish', true) = 'on' THEN
    INSERT INTO unified_worker.outbox (what, did, rev, seq, kinds, uris, cids)
    VALUES (CASE p_mode WHEN 0 THEN 'commit' ELSE 'retried' END, p_did,
      CASE p_mode WHEN 0 THEN p_rev ELSE (SELECT r.rev FROM unified_worker.repos AS r WHERE r.did = p_did) END,
      p_seq, p_kind[p_lo:p_hi], p_uri[p_lo:p_hi], p_cid[p_lo:p_hi]);
  END IF;
  RETURN coalesce(v_outcome, 'applied');
END $apply$;

CREATE OR REPLACE PROCEDURE unified_worker.apply_commits(
  p_lane int, p_relay text, p_durable boolean, p_isolate boolean, p_confirm boolean,
  p_did text[], p_rev text[], p_since text[], p_data text[], p_before text[], p_doubt text[],
  p_inductive boolean[], p_unproven bytea[], p_seq bigint[], p_at timestamptz[], p_user boolean[], p_filtered boolean[],
  p_frame bytea[], p_buckets int[], p_bucket_lo int[], p_bucket_hi int[], p_lo int[], p_hi int[],
  p_long boolean[], p_kind smallint[], p_uri text[], p_cid text[], p_subject text[], p_subject_cid text[],
  p_created_at timestamptz[], p_rest jsonb[],
  INOUT p_outcome text[])
LANGUAGE plpgsql AS $apply$
DECLARE
  v_count int := cardinality(p_did); v_outcome text;
  v_state text; v_message text; v_detail text; v_constraint text; v_schema text; v_table text; v_reason text; v_awaited text[];
  v_waits boolean; v_unproven boolean; v_doubt text;
BEGIN
  FOR i IN 1..v_count LOOP
    IF p_durable AND i = v_count THEN
      PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    IF NOT p_isolate AND p_rev[i] IS NOT NULL THEN
      v_outcome := unified_worker.apply_commit(0,
            p_did[i], p_rev[i], p_since[i], p_data[i], p_before[i], p_doubt[i],
            p_inductive[i], p_unproven[i], p_seq[i], p_at[i], p_user[i], p_filtered[i],
            p_frame[i], p_buckets, p_bucket_lo[i], p_bucket_hi[i], p_lo[i], p_hi[i],
            p_long[i], p_kind, p_uri, p_cid, p_subject, p_subject_cid,
            p_created_at, p_rest);
    ELSIF p_rev[i] IS NULL THEN
      v_outcome := unified_worker.apply_message(p_relay, p_did[i], p_seq[i], p_at[i], p_rest[p_lo[i]], p_confirm);
    ELSE
      BEGIN
        v_state := NULL;
        v_outcome := unified_worker.apply_commit(0,
            p_did[i], p_rev[i], p_since[i], p_data[i], p_before[i], p_doubt[i],
            p_inductive[i], p_unproven[i], p_seq[i], p_at[i], p_user[i], p_filtered[i],
            p_frame[i], p_buckets, p_bucket_lo[i], p_bucket_hi[i], p_lo[i], p_hi[i],
            p_long[i], p_kind, p_uri, p_cid, p_subject, p_subject_cid,
            p_created_at, p_rest);
        SET CONSTRAINTS ALL IMMEDIATE;
      EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL,
          v_constraint = CONSTRAINT_NAME, v_schema = SCHEMA_NAME, v_table = TABLE_NAME;
        IF left(v_state, 2) IN ('08', '40', '53', '57', '58', '0A', '25', '28', '3D', '55', '09', '0B', '0L', '0P', '24', '26', '27', '2B', '2D', '34', '3B', '72', 'F0', 'HV', 'XX', '42', '3F') THEN
          RAISE;
        END IF;
      END;
      IF v_state IS NOT NULL THEN
        SELECT r.reason, r.awaited INTO v_reason, v_awaited
        FROM unified_worker.refusal(v_state, v_schema, v_table, v_constraint, v_detail) AS r;
        v_waits := v_reason IN ('foreign_key', 'referenced', 'wiping');
        v_unproven := v_waits AND p_unproven[i] IS NOT NULL;  -- it waits for its key first: nobody proves what is pending
        SELECT 'refused:' || CASE v_reason WHEN 'referenced' THEN '23001' ELSE v_state END
          || CASE WHEN bool_and(unified_worker.keep(
          p_did[i], p_rev[i], CASE WHEN p_lo[i] <= p_hi[i] THEN coalesce(unified_worker.path_of(p_uri[j]), p_rest[j] ->> 'path')
            ELSE encode(sha256(p_frame[i]), 'hex') END, p_seq[i],
          CASE WHEN v_unproven THEN 'unproven' ELSE v_reason END, concat_ws(E'\n', v_message, nullif(v_detail, '')), p_frame[i],
          CASE WHEN NOT v_unproven THEN v_awaited END))
          THEN '' ELSE ':frame_dropped' END
        INTO v_outcome FROM generate_series(p_lo[i], greatest(p_lo[i], p_hi[i])) AS j;
        v_doubt := NULL;  -- what it said of that was taken back with it
        SELECT CASE
          WHEN p_user[i] IS NULL THEN CASE WHEN r.data_cid <> p_data[i] THEN 'sync_differs' END
          WHEN p_doubt[i] = 'legacy_commit' AND r.inductive THEN 'downgraded_commit'
          WHEN p_doubt[i] IS NOT NULL THEN p_doubt[i]
          WHEN r.rev = '' OR r.refused_rev = '' THEN NULL
          WHEN p_since[i] = r.refused_rev AND coalesce(p_before[i] IN ('', r.refused_data), true) THEN NULL
          WHEN p_before[i] IS NULL THEN CASE WHEN p_since[i] <> r.rev THEN 'chain_broken' END
          WHEN p_since[i] IS DISTINCT FROM r.rev OR p_before[i] NOT IN ('', r.data_cid) THEN 'chain_broken'
        END INTO v_doubt FROM unified_worker.repos AS r WHERE r.did = p_did[i] AND r.rev < p_rev[i];
        UPDATE unified_worker.repos SET refused_rev = p_rev[i], refused_data = p_data[i] WHERE did = p_did[i] AND rev < p_rev[i];
        IF v_doubt IS NOT NULL THEN  -- it did not follow, either
          PERFORM unified_worker.desynchronise(p_did[i], v_doubt);
        END IF;
        IF NOT v_waits THEN
          PERFORM unified_worker.desynchronise(p_did[i], 'refused', true);
        END IF;
        IF v_reason = 'foreign_key' THEN  -- the account's own row may be what is missing: the application deleted it
          UPDATE unified_worker.repos SET has_user = false WHERE did = p_did[i] AND has_user;
        END IF;
        IF p_user[i] THEN  -- its record may be deleted before it comes in
          PERFORM unified_worker.try_user(p_did[i]);
        END IF;
      END IF;
    END IF;
    IF v_outcome <> 'applied' OR i = v_count THEN
      EXIT WHEN v_outcome = 'needs_frame';
      IF p_durable AND i = v_count AND pg_current_xact_id_if_assigned() IS NULL THEN
        INSERT INTO unified_worker.lanes (lane, flushed_at) VALUES (p_lane, now())
        ON CONFLICT (lane) DO UPDATE SET flushed_at = excluded.flushed_at;
      END IF;
    END IF;
    COMMIT;
    p_outcome[i] := v_outcome;
  END LOOP;
END $apply$;
