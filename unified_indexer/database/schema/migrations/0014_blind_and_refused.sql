-- Step 14: what only a whole comparison can find, and what follows on a refused commit.

ALTER TABLE unified_worker.repos ADD blind boolean NOT NULL DEFAULT true;  -- of what came before this step, nobody noted it
ALTER TABLE unified_worker.repos ALTER blind SET DEFAULT false;
COMMENT ON COLUMN unified_worker.repos.blind IS 'A commit came since the repo was compared, of which nothing shows that it did no
more than its operations say (VERIFY=off or signatures): an equal tree does not show that nothing is missing.';

ALTER TABLE unified_worker.repos ADD refused_data text;
COMMENT ON COLUMN unified_worker.repos.refused_data IS 'The CID of the tree after the commit of refused_rev; NULL where that is not
known. The next commit must start from it.';
