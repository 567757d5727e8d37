-- Step 7: deletions that nobody but a relay has told, handles that were checked, and repos that a retry makes whole.

-- Functions whose parameters are others can't be replaced; and an older worker is to stop.
DO $$
DECLARE
  v_old text;
BEGIN
  FOR v_old IN
    SELECT oid::regprocedure::text FROM pg_catalog.pg_proc WHERE pronamespace = 'unified_worker'::regnamespace
  LOOP
    EXECUTE 'DROP ROUTINE ' || v_old;
  END LOOP;
END $$;

CREATE TABLE unified_worker.deletions (
  did text COLLATE "C" PRIMARY KEY,
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts int NOT NULL DEFAULT 0,
  error text,
  retry_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON unified_worker.deletions (retry_at);
COMMENT ON TABLE unified_worker.deletions IS 'Accounts that a relay says are deleted, until their PDS or the directory says so
      too: hidden, and their rows stay. error: why nobody could be asked the last time. retry_at: when the next attempt comes.';

CREATE TABLE unified_worker.handle_checks (
  did text COLLATE "C" PRIMARY KEY,
  asked bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  attempts int NOT NULL DEFAULT 0,
  retry_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE unified_worker.handle_checks IS 'Accounts whose handle is to be checked, in the order in which they came.
      retry_at: when the next attempt comes, where nobody could be asked.';

ALTER TABLE unified_worker.repos ADD handle_verified boolean, ADD handle_checked_at timestamptz, ADD status_asked_at timestamptz;
COMMENT ON COLUMN unified_worker.repos.status IS 'What the last #account said; or deletion_unconfirmed, while nobody but a relay
      says that the account is deleted.';
COMMENT ON COLUMN unified_worker.repos.handle_place IS 'Where the account stands among those that claim its handle: the
      least holds it, among equals that of the least place_seq. Negative: verified, in seconds from 2020 to then. Null: it claims
      none, is refuted, or is deleted.';
COMMENT ON COLUMN unified_worker.repos.handle_verified IS 'Whether the handle led to the account, and its DID document to the
      handle, at handle_checked_at. Null: not checked yet.';
COMMENT ON COLUMN unified_worker.repos.status_asked_at IS 'When the PDS was asked last whether an account is active that wrote
      although a relay had said that it is not.';

ALTER TABLE unified_worker.repos ADD refused_from smallint;
COMMENT ON COLUMN unified_worker.repos.refused_from IS 'The sync to which it returns when what the database refused is applied.
      Null: something else is missing, too, or nothing.';
