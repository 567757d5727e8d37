-- All locks of a commit of several operations, in one order.
-- {meetings}: for each collection, where the rows at the URIs v_uris meet others.
-- {lock_class}: the first key of these advisory locks.

-- What a commit's records replace or delete has places to meet of its own, which the frame does not name.
CREATE OR REPLACE FUNCTION unified_worker.lock_commit(p_buckets int[], p_uris text[]) RETURNS void LANGUAGE plpgsql AS $lock$
DECLARE
  v_collection text; v_uris text[]; v_meets text[]; v_bucket int; v_locked text;
BEGIN
  FOR v_collection, v_uris IN
    SELECT split_part(u, '/', 4), array_agg(u) FROM unnest(p_uris) AS u WHERE u IS NOT NULL GROUP BY 1
  LOOP
    CASE v_collection
{meetings}
      ELSE NULL;
    END CASE;
  END LOOP;
  FOR v_bucket IN
    SELECT unnest(p_buckets) UNION SELECT unified_worker.bucket(m) FROM unnest(v_meets) AS m WHERE m IS NOT NULL ORDER BY 1
  LOOP
    v_locked := pg_advisory_xact_lock({lock_class}, v_bucket)::text;
  END LOOP;
END $lock$;
