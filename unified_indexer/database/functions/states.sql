-- How far a repo is complete and proven: unified_worker.repos.sync.
-- {reasons}: why a repo is desynchronised; those that say more come first.
-- {pending}: the reasons of sound operations that wait.

-- Something of the repo is missing or wrong from now on. A reason stays until one comes that says more; sync_at is when the first
-- one came. What comes while it is repaired is not in what the repair has fetched. p_kept: the database has refused it, and it is
-- whole again when the letters of that are applied, if nothing else comes.
CREATE OR REPLACE FUNCTION unified_worker.desynchronise(p_did text, p_reason text, p_kept boolean DEFAULT false)
RETURNS void LANGUAGE sql AS $desynchronise$
  UPDATE unified_worker.repos SET sync = 2, sync_at = CASE WHEN sync >= 2 THEN sync_at ELSE now() END,
    sync_reason = CASE WHEN sync >= 2 AND array_position({reasons}, sync_reason) <= array_position({reasons}, p_reason)
      THEN sync_reason ELSE p_reason END,
    refused_from = CASE WHEN NOT p_kept THEN NULL WHEN sync < 2 THEN sync WHEN sync = 2 THEN refused_from END
  WHERE did = p_did AND (sync <> 2 OR (refused_from IS NOT NULL AND NOT p_kept)
    OR coalesce(array_position({reasons}, sync_reason) > array_position({reasons}, p_reason), true));
$desynchronise$;

-- A letter of the repo was closed: if it was the last of what the database refused, and nothing else is wrong, the repo is as it
-- was before.
CREATE OR REPLACE FUNCTION unified_worker.resynchronise(p_did text) RETURNS void LANGUAGE sql AS $resynchronise$
  UPDATE unified_worker.repos SET sync = refused_from, sync_reason = NULL, sync_at = NULL, refused_from = NULL
  WHERE did = p_did AND refused_from IS NOT NULL AND sync = 2 AND sync_reason = 'refused' AND NOT EXISTS (
    SELECT FROM unified_worker.dead_letters AS l
    WHERE l.did = p_did AND (l.reason IN ({pending}) OR l.reason LIKE 'database_%'));
$resynchronise$;

-- The newest commit whose key was not known is its account's, and with it all before it. Not if a newer one came meanwhile.
CREATE OR REPLACE FUNCTION unified_worker.settle_proven(p_did text, p_block bytea) RETURNS boolean LANGUAGE plpgsql AS $proven$
BEGIN
  UPDATE unified_worker.repos SET unproven = NULL, unproven_at = NULL WHERE did = p_did AND unproven = p_block;
  RETURN FOUND;
END $proven$;

-- It is not: what was applied since the last proven one may be forged, and the rev is not the account's.
CREATE OR REPLACE FUNCTION unified_worker.settle_forged(p_did text, p_block bytea, p_reason text)
RETURNS boolean LANGUAGE plpgsql AS $forged$
BEGIN
  IF NOT unified_worker.settle_proven(p_did, p_block) THEN
    RETURN false;
  END IF;
  PERFORM unified_worker.desynchronise(p_did, p_reason);
  UPDATE unified_worker.repos SET refuted_rev = rev WHERE did = p_did;
  RETURN true;
END $forged$;
