-- Looks for others' rows, for records that were written as sets.
-- {rebuilding}: the keys of the lock that a rebuild holds, and each commit shares.
-- {found}: for each record type that looks, the records that have to do with others' rows, and where they meet; {hits}: the
-- variables that hold them. {looked}: what then follows.

-- The transactions that have the lock which all commits share.
CREATE OR REPLACE FUNCTION unified_worker.under_way() RETURNS text[] LANGUAGE sql VOLATILE AS $way$
  SELECT coalesce(array_agg(l.virtualtransaction), '{}') FROM pg_catalog.pg_locks AS l
  WHERE l.locktype = 'advisory' AND l.granted AND (l.classid, l.objid) = ({rebuilding})
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
$way$;

-- Others' commits look before they end, and who had begun before our set ended did not see it: so they are waited for here.
-- Whoever ends second sees the other. Who takes the lock from now on looks later, and sees the set: nobody has to wait for us,
-- as all commits would behind one who asks for the lock alone.
-- What is found is looked up once more under the locks where repos meet, as a commit would.
CREATE OR REPLACE FUNCTION unified_worker.repair_look(p_kind smallint[], p_uri text[]) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off AS $look$
DECLARE
  v_locked text; v_uris text[]; v_uri text; v_meets text[] := '{}'; v_again boolean := false; v_left int;
  v_before text[] := unified_worker.under_way(); v_began timestamptz := clock_timestamp(); {hits}
BEGIN
  WHILE v_before && unified_worker.under_way() LOOP
    IF clock_timestamp() > v_began + current_setting('lock_timeout')::interval THEN
      RAISE lock_not_available USING MESSAGE = 'a commit that began before a repair''s set does not end';
    END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
  v_locked := pg_advisory_xact_lock_shared({rebuilding})::text;
{found}
  PERFORM unified_worker.lock(v_meets);
{looked}
END $look$;
