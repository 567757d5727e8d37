-- Writes records that are not there yet, of one repo or of many, as sets: the rows of each type by one statement, and what
-- follows from them. No locks where repos meet are held meanwhile: what looks for others' rows is looked for afterwards, by
-- `repair_look`, and until then the repo is `unlooked`.
-- {sets}: the keys of the lock by which a rebuild waits for sets.
-- {written}: for each record type, its rows and what follows from them.
-- {counted}: counts what the variables {counts} hold, of all types together.

-- p_of: of each record, the place of its repo in p_did. p_times: when its commit came, as far as its key tells. p_quiet: false
-- where somebody is to be told of it. p_words: of each repo what `repair_check` says; p_left: the places of records that a set
-- can't write: their row or their unique key is there, or they wait for one, or a newer commit touched them.
-- p_looks: somebody else's rows are to be looked for.
CREATE OR REPLACE FUNCTION unified_worker.repair_set(
  p_did text[], p_claim int[], p_rev text[], p_looks boolean, p_of int[], p_kind smallint[], p_uri text[], p_cid text[],
  p_subject text[], p_subject_cid text[], p_created_at timestamptz[], p_rest jsonb[], p_times timestamptz[],
  p_quiet boolean[],
  OUT p_words text[], OUT p_left int[])
LANGUAGE plpgsql AS $set$
DECLARE
  v_locked text; v_out text[] := '{}'; v_done text[] := '{}'; v_new text[]; v_held boolean; v_counted text[]; {counts}
BEGIN
  v_locked := pg_advisory_xact_lock_shared({sets})::text;
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
{written}
{counted}
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
