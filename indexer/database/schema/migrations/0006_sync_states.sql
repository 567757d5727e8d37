-- Step 6: how far each repo is complete and proven.

ALTER TABLE unified_worker.repos
  ADD sync smallint NOT NULL DEFAULT 0,
  ADD sync_reason text,
  ADD sync_at timestamptz,
  ADD inductive boolean NOT NULL DEFAULT false,
  ADD unproven bytea;
CREATE INDEX ON unified_worker.repos (did) WHERE unproven IS NOT NULL;
COMMENT ON COLUMN unified_worker.repos.sync IS '0: what it wrote before the worker saw it is not known. 1: complete.
      2: something is missing or wrong, sync_reason says what, since sync_at. 3: being repaired.';
COMMENT ON COLUMN unified_worker.repos.inductive IS 'It has sent prevData: from then on it always must.';
COMMENT ON COLUMN unified_worker.repos.unproven IS 'The newest commit block whose signature is not yet checked, because the key
      is not known.';
