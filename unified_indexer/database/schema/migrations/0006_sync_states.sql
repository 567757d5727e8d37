-- Step 6: how far each repo is complete and proven.

ALTER TABLE unified_worker.repos
  ADD sync smallint NOT NULL DEFAULT 0,
  ADD sync_reason text,
  ADD sync_at timestamptz,
  ADD filtered boolean NOT NULL DEFAULT false,
  ADD doubt text,
  ADD inductive boolean NOT NULL DEFAULT false,
  ADD unproven bytea,
  ADD unproven_at timestamptz;
-- Which of them only lacks what was left out by COLLECTIONS or by the account's wish is not known.
UPDATE unified_worker.repos SET sync = 2, sync_reason = CASE WHEN broken_rev IS NULL THEN 'unknown' ELSE 'chain_broken' END
WHERE desynchronized;
ALTER TABLE unified_worker.repos DROP desynchronized, DROP broken_rev;
CREATE INDEX ON unified_worker.repos (sync_reason, sync_at) WHERE sync = 2;
CREATE INDEX ON unified_worker.repos (did) WHERE sync = 3;
CREATE INDEX ON unified_worker.repos (unproven_at) WHERE unproven_at IS NOT NULL;
COMMENT ON TABLE unified_worker.repos IS 'A row for each repo seen: the rev of the last commit applied, or empty.
      active, status: what the last #account said; an application shows rows of active accounts only.
      handle: what the last #identity claimed; users.handle is what the account holds.
      has_user: its row in users was written. held: a dead letter or a waiting duplicate may exist.
      filtered: something was left out by COLLECTIONS, or because the account forbids it.
      wiping: deleted, and its rows are still going. wiped_at: when the last of them went.';
COMMENT ON COLUMN unified_worker.repos.sync IS '0: what it wrote before the worker saw it is not known. 1: complete.
      2: something is missing or wrong, sync_reason says what. 3: being repaired.';
COMMENT ON COLUMN unified_worker.repos.sync_at IS 'Of sync 2 and 3: since when something is missing; null: not known.';
COMMENT ON COLUMN unified_worker.repos.doubt IS 'What was wrong with the commit of this rev, though it was applied.';
COMMENT ON COLUMN unified_worker.repos.inductive IS 'It has sent prevData: from then on it always must.';
COMMENT ON COLUMN unified_worker.repos.unproven IS 'The newest commit block whose signature is not yet checked, because the key
      is not known; unproven_at: since when there is one.';

ALTER TABLE unified_worker.dead_letters ADD forged boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN unified_worker.dead_letters.forged IS 'Nothing shows that its account wrote it: its path is its frame''s
      SHA-256, and it marks nothing of the account''s.';
