-- What of slices of repos differs from the rows that are there.
-- {refused}: the kind of a record that is kept instead of written. {compared}: for each record type, what differs.

-- A slice is what one of the repos p_did has at URIs from p_first to before p_end; the records of all slices are parallel arrays.
-- p_kinds: the types that may have rows in them. p_kind {refused}: a record that is refused, whose row stays as it is.
-- p_created_at is null where the record does not say it; p_places are what is missing or different, by place; p_gone what the
-- repos do not have any more. p_words: of each repo what `repair_check` says.
-- Letters of what a repo tells anew are closed, so that no retry brings back what was before; not of records that are there as
-- they were when a repair kept them, and none where p_rev is null.
-- Where keys are in the order of bytes, one plan serves for all ranges: making one took longer than comparing. Elsewhere every
-- plan is made for its own ranges: whatever the planner knows of the table, it reads no more than that.
CREATE OR REPLACE FUNCTION unified_worker.repair_compare(
  p_did text[], p_claim int[], p_rev text[], p_first text[], p_end text[], p_kinds smallint[],
  p_kind smallint[], p_uri text[], p_cid text[], p_subject text[], p_subject_cid text[], p_created_at timestamptz[],
  p_rest jsonb[],
  OUT p_words text[], OUT p_places int[], OUT p_gone text[], OUT p_gone_kinds smallint[])
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $compare$
DECLARE
  v_different int[]; v_gone text[];
  v_refused text[] := ARRAY(SELECT o.uri FROM unnest(p_kind, p_uri) AS o (kind, uri) WHERE o.kind = {refused});
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
{compared}
  SET LOCAL enable_nestloop TO DEFAULT;
  IF EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = ANY (p_did) AND r.held) THEN
    PERFORM unified_worker.close_letters(l.did, l.path, NULL, false, l.rev) FROM (
      SELECT DISTINCT x.did, d.path, x.rev FROM unnest(p_did, p_rev, p_first, p_end, p_words) AS x (did, rev, first, last, word)
      JOIN unified_worker.dead_letters AS d ON d.did = x.did
      WHERE x.word = 'ok' AND d.rev <= x.rev AND NOT d.forged
        AND 'at://' || x.did || '/' || d.path >= x.first COLLATE "C" AND 'at://' || x.did || '/' || d.path < x.last COLLATE "C"
        AND NOT EXISTS (
          SELECT FROM unnest(p_kind, p_uri, p_cid) AS o (kind, uri, cid)
          WHERE o.uri = 'at://' || x.did || '/' || d.path AND (o.kind = {refused} OR o.cid = d.record_cid))) AS l;
  END IF;
END $compare$;
