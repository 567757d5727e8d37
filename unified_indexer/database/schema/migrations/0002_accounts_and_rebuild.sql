-- Step 2: the accounts' states and handles, wipes, and the rebuild of derived rows.

-- An older worker's functions would write without what follows from a record: it is to stop.
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

ALTER TABLE unified_worker.repos
  ADD active boolean NOT NULL DEFAULT true,
  ADD status text,
  ADD account_at timestamptz,
  ADD account_seq bigint,
  ADD account_relay text,
  ADD handle text,
  ADD handle_at timestamptz,
  ADD handle_seq bigint,
  ADD handle_relay text,
  ADD wiping boolean NOT NULL DEFAULT false,
  ADD wiped_at timestamptz;
CREATE INDEX ON unified_worker.repos (handle) WHERE handle IS NOT NULL;
CREATE INDEX ON unified_worker.repos (did) WHERE wiping;
DROP INDEX unified_worker.dead_letters_id_idx;
CREATE INDEX ON unified_worker.dead_letters (id) WHERE reason IN ('foreign_key', 'wiping');
COMMENT ON TABLE unified_worker.repos IS 'A row for each repo seen: the rev of the last commit applied, or empty.
      active, status: what the last #account said; an application shows rows of active accounts only.
      handle: what the last #identity claimed; users.handle is what the account holds.
      has_user: its row in users was written. held: a dead letter or a waiting duplicate may exist.
      desynchronized: an event of it could not be applied, or was left out.
      wiping: deleted, and its rows are still going. wiped_at: when the last of them went.';

CREATE TABLE unified_worker.rebuild (
  step text PRIMARY KEY,
  number int NOT NULL,
  after text[] NOT NULL DEFAULT ARRAY['', ''],
  rows bigint NOT NULL DEFAULT 0,
  changed bigint NOT NULL DEFAULT 0,
  skipped bigint NOT NULL DEFAULT 0,
  done boolean NOT NULL DEFAULT false,
  started_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE unified_worker.rebuild IS 'The passes of the last rebuild of derived rows, and how far each has come.
      after: the key up to which its table was gone through. rows: gone through. changed: derived rows that were not right.
      skipped: rows whose derived rows the database refused.';
