-- Keeping and closing dead letters: what could not be applied, with its reason and its frame.
-- {letters}: the most letters of an account that keep their frames.
-- {bytes}: the most bytes of all frames. {forged_bytes}: up to where frames that may be forged are taken in.
-- {pending}: the reasons of sound operations that wait.

CREATE OR REPLACE FUNCTION unified_worker.path_of(p_uri text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
$path$ SELECT substring(p_uri FROM '^at://[^/]+/(.*)$') $path$;

-- p_but: the rev whose letter stays (it is the one being kept again). p_spare: so do letters of sound operations, which wait, or
-- which the database refused for now, since what can't be applied replaces nothing. p_upto: the last rev whose letters go.
CREATE OR REPLACE FUNCTION unified_worker.close_letters(
  p_did text, p_path text, p_but text DEFAULT NULL, p_spare boolean DEFAULT false, p_upto text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $close$
DECLARE
  v_sha bytea; v_dropped bytea; v_rev text;
BEGIN
  FOR v_sha, v_dropped, v_rev IN
    DELETE FROM unified_worker.dead_letters
    WHERE did = p_did AND path = p_path AND rev IS DISTINCT FROM p_but
      AND NOT (p_spare AND (reason IN ({pending}, 'unproven') OR reason LIKE 'database_%'))
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

-- Returns whether there is room for a frame, or it is there. Those that may be forged have room of their own for each account:
-- they must not take it from the account's. What other lanes keep at the same time is not counted yet: the size is written by a
-- trigger (count_frames) when a transaction ends, so that nobody waits for another's commit.
CREATE OR REPLACE FUNCTION unified_worker.keep_frame(p_did text, p_sha bytea, p_frame bytea, p_forged boolean)
RETURNS boolean LANGUAGE plpgsql AS $frame$
BEGIN
  IF EXISTS (SELECT FROM unified_worker.dead_frames WHERE sha256 = p_sha) THEN
    RETURN true;
  END IF;
  IF p_did <> '' AND {letters} <= (
    SELECT count(*) FROM (
      SELECT FROM unified_worker.dead_letters WHERE did = p_did AND frame_sha256 IS NOT NULL AND forged = p_forged
      LIMIT {letters}) AS kept)
  THEN
    RETURN false;
  END IF;
  IF p_frame IS NULL OR length(p_frame) + (SELECT bytes FROM unified_worker.dead_frames_size)
    > (CASE WHEN p_forged THEN {forged_bytes} ELSE {bytes} END)
  THEN
    RETURN false;
  END IF;
  INSERT INTO unified_worker.dead_frames (sha256, frame) VALUES (p_sha, p_frame);
  RETURN true;
END $frame$;

-- Keeps what nothing shows to be its account's. It is named by its frame, so that it closes and replaces no letter of the
-- account's, and makes no row in repos. Without room nothing is kept at all: anyone can send any number.
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

-- Returns whether the frame is kept as well.
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
      p_did, p_path, CASE WHEN NOT FOUND THEN p_rev END, p_reason NOT IN ({pending}));
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

-- The reason of what the database refused, and what it waits for where a foreign key was violated: {table, column, value}, or
-- nothing where the key has several columns. `foreign_key`: for that row. `referenced`: for the end of the last such row, which
-- refers to one that was to be deleted. The server tells the two apart only in words, and these depend on its language: but what
-- a row that is still there refers to is there, too. (PostgreSQL 18 gives ON DELETE RESTRICT a state of its own.)
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
