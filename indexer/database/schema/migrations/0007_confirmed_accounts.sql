-- Step 7: what a relay says of an account, and whether its own server confirms it.

ALTER TABLE unified_worker.repos ADD asked_at timestamptz;
COMMENT ON COLUMN unified_worker.repos.asked_at IS 'When the account''s own server was last asked whether the account is active.';
