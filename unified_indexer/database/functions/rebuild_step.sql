-- One function for each step of a rebuild: a chunk of one table a call.
-- {name}: the step's. {pages}: the queries for the next keys. {columns}: the key's columns. {last}: the chunk's last key.
-- {work}: the statements that correct the chunk. {rebuilding}, {sets}: the keys of the locks that a rebuild holds
-- alone: commits share the one, and sets of records of whole repos the other.

CREATE OR REPLACE FUNCTION unified_worker.rebuild_{name}(p_most int, p_skip boolean, p_indexed boolean,
  OUT p_read bigint, OUT p_changed bigint, OUT p_done boolean, OUT p_ms float8, OUT p_waited boolean)
LANGUAGE plpgsql SET lock_timeout = '2s' AS $rebuild$
DECLARE
  v_began timestamptz; v_after text[]; v_last text[]; v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock({sets});  -- first: no commit is to wait while sets end
  PERFORM pg_advisory_xact_lock({rebuilding});
  v_began := clock_timestamp();
  IF p_indexed THEN  -- a chunk's rows are few, whatever the planner takes a range for
    PERFORM set_config(s, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS s;
  END IF;
  SELECT r.after INTO v_after FROM unified_worker.rebuild AS r WHERE r.step = '{name}' AND NOT r.done;
  SELECT count(*), ARRAY[{last}] INTO p_read, v_last FROM (
    SELECT * FROM ({pages}) AS p ORDER BY {columns} LIMIT p_most) AS k;
  p_changed := 0;
  IF p_read > 0 AND NOT p_skip THEN{work}
  END IF;
  p_done := p_read < p_most;
  UPDATE unified_worker.rebuild SET after = CASE WHEN p_read > 0 THEN v_last ELSE after END, rows = rows + p_read,
    changed = changed + p_changed, skipped = skipped + CASE WHEN p_skip THEN p_read ELSE 0 END,
    done = p_done, updated_at = now()
  WHERE step = '{name}';
  p_ms := extract(epoch FROM clock_timestamp() - v_began) * 1000;
  p_waited := EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = ({rebuilding})
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END $rebuild$;
