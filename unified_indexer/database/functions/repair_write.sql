-- Writes what sets can't, a few records at a time through the arms of the write path; keeps letters of what can't be written.
-- {rebuilding}: the keys of the lock that a rebuild holds. {ahead}, {arms}: the branches of the write path.

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
