-- Looks for others' rows, for records that were written as sets.
-- {rebuilding}: the keys of the lock that a rebuild holds, and each commit shares.
-- {found}: for each record type that looks, the records that have to do with others' rows, and where they meet; {hits}: the
-- variables that hold them. {looked}: what then follows.

-- Others' commits look before they end, and who had begun before our set ended did not see it: so they are waited for here, by
-- taking the lock that all share, alone and for a moment. Whoever ends second sees the other.
-- What is found is looked up once more under the locks where repos meet, as a commit would.
CREATE OR REPLACE FUNCTION unified_worker.repair_look(p_kind smallint[], p_uri text[]) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off AS $look$
DECLARE
  v_locked text; v_uris text[]; v_uri text; v_meets text[] := '{}'; v_again boolean := false; v_left int; {hits}
BEGIN
  PERFORM pg_advisory_lock({rebuilding});
  PERFORM pg_advisory_unlock({rebuilding});
  v_locked := pg_advisory_xact_lock_shared({rebuilding})::text;
{found}
  PERFORM unified_worker.lock(v_meets);
{looked}
END $look$;
