-- The locks where records of several repos meet.
-- {lock_class}: the first key of these advisory locks.

-- As `batch.bucket` says it in Python.
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
    v_locked := pg_advisory_xact_lock({lock_class}, v_bucket)::text;  -- PERFORM would cost ten times as much
  END LOOP;
END $lock$;
