-- One function for each kind of gate: judge_thread and judge_quotes.
-- {schema}: where the record tables are.
-- {name}: the function's name.
-- {gates}: the gates' table. {shown}: the column of posts that says whether there is a gate.
-- {table}, {uri}, {of}: where to find what the gate judges: a table, its URI, and the column that names the gated post.
-- {judge}: the function that judges. {kind}: the kind of a judgement that is put off. {most}: a commit judges as many.

-- What a gate that came, changed or went says: on its post, and on the replies in its thread (the posts that quote it).
CREATE OR REPLACE FUNCTION unified_worker.{name}(p_uri text) RETURNS void LANGUAGE plpgsql AS $judge$
DECLARE
  v_gated boolean := EXISTS (SELECT FROM {schema}.{gates} AS g WHERE g.post_uri = p_uri);
  v_uris text[];
  v_left int := {most} - coalesce(nullif(current_setting('unified_worker.judged', true), ''), '0')::int;  -- for this commit
BEGIN
  UPDATE {schema}.posts AS p SET {shown} = v_gated WHERE p.uri = p_uri AND p.{shown} <> v_gated;
  v_uris := ARRAY(SELECT {uri} FROM {schema}.{table} AS t WHERE t.{of} = p_uri LIMIT v_left + 1);
  IF cardinality(v_uris) = 0 THEN
    RETURN;
  ELSIF cardinality(v_uris) <= v_left THEN
    PERFORM set_config('unified_worker.judged', ({most} - v_left + cardinality(v_uris))::text, true);
    PERFORM unified_worker.{judge}(p_uri, v_uris, NOT v_gated);
  ELSE
    INSERT INTO unified_worker.judgements AS j (kind, uri, cleared) VALUES ('{kind}', p_uri, NOT v_gated)
    ON CONFLICT (kind, uri) DO UPDATE
    SET asked = DEFAULT, after = '', asked_at = now(), cleared = j.cleared OR excluded.cleared;
  END IF;
END $judge$;
