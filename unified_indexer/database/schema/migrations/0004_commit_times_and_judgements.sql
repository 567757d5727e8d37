-- Step 4: when commits came, gates that are judged in the background, columns that tables may lack, the places of handles,
-- broken chains of revs, sweeps, and wipes that the database refuses.

-- Functions whose parameters have other names can't be replaced; and an older worker is to stop.
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

CREATE INDEX ON unified_worker.repos (did) WHERE status = 'deleted' AND NOT active;
CREATE TABLE unified_worker.sweep (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  swept_at timestamptz NOT NULL
);
COMMENT ON TABLE unified_worker.sweep IS 'When the last sweep began that came to its end: what was there then of
      notifications to deleted accounts is gone.';

CREATE TABLE unified_worker.closed_letters (
  did text COLLATE "C" NOT NULL,
  path text COLLATE "C" NOT NULL,
  frame_sha256 bytea NOT NULL,
  closed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (did, path, frame_sha256)
);
CREATE INDEX ON unified_worker.closed_letters (closed_at);
COMMENT ON TABLE unified_worker.closed_letters IS 'Closed dead letters of which no rev was known, by which else a replay
      would be known. They are kept for as long as a relay may have the frame.';

CREATE TABLE unified_worker.stuck_wipes (
  did text COLLATE "C" PRIMARY KEY,
  attempts int NOT NULL DEFAULT 1,
  error text NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  retry_at timestamptz NOT NULL DEFAULT now() + interval '1 second'
);
COMMENT ON TABLE unified_worker.stuck_wipes IS 'Deleted accounts with rows that the database does not let go, and why.
      since: the first attempt in vain. retry_at: when the next one comes.';

COMMENT ON COLUMN unified_worker.gaps.reason IS 'Besides the table''s: other_relay (this relay had no cursor of its own;
      after_seq is of the one that was followed before).';
ALTER TABLE unified_worker.repos ADD refused_rev text COLLATE "C", ADD broken_rev text COLLATE "C";
COMMENT ON COLUMN unified_worker.repos.refused_rev IS 'The rev of a commit that was refused as a whole after the stored one
      (empty: not known), on which the next may follow.';
COMMENT ON COLUMN unified_worker.repos.broken_rev IS 'The rev of the last commit that followed on one that never came.';

ALTER TABLE unified_worker.dead_letters ADD retry_at timestamptz;
COMMENT ON COLUMN unified_worker.dead_letters.retry_at IS 'Of a letter that waits and was applied again in vain: when it is
      tried next, at the earliest.';
DROP INDEX unified_worker.dead_letters_id_idx;
CREATE INDEX ON unified_worker.dead_letters (id) WHERE reason IN ('foreign_key', 'referenced', 'wiping');

CREATE TABLE unified_worker.kept_values (
  table_name text NOT NULL,
  key text COLLATE "C" NOT NULL,
  column_name text NOT NULL,
  value text NOT NULL,
  PRIMARY KEY (table_name, key, column_name)
);
COMMENT ON TABLE unified_worker.kept_values IS 'What the worker needs of records, but an application''s table has no
      column for. Without a row here the column''s default counts.';

CREATE TABLE unified_worker.commit_times (
  uri text COLLATE "C" PRIMARY KEY,
  at timestamptz NOT NULL
);
COMMENT ON TABLE unified_worker.commit_times IS 'When the commit came that wrote a record last, where its own table has no
      column for that: thread gates, list items and verifications.';

ALTER TABLE unified_worker.duplicate_records ADD came_at timestamptz NOT NULL DEFAULT 'epoch';
COMMENT ON COLUMN unified_worker.duplicate_records.came_at IS 'Where accounts compete for a key: when the commit came. The
      earliest holds the key; created_at decides among equals, and where an account competes with itself alone.';
DROP INDEX unified_worker.duplicate_records_collection_key_created_at_uri_idx;
CREATE INDEX ON unified_worker.duplicate_records (collection, key, came_at, created_at, uri);

ALTER TABLE unified_worker.dead_letters ADD dropped_sha256 bytea;
COMMENT ON COLUMN unified_worker.dead_letters.dropped_sha256 IS 'The hash of a frame that there was no room for, where no
      rev is known: a replay is known by it once the letter is closed.';

CREATE TABLE unified_worker.judgements (
  kind text NOT NULL,
  uri text COLLATE "C" NOT NULL,
  asked bigint GENERATED ALWAYS AS IDENTITY,
  after text COLLATE "C" NOT NULL DEFAULT '',
  cleared boolean NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, uri)
);
CREATE INDEX ON unified_worker.judgements (asked);
COMMENT ON TABLE unified_worker.judgements IS 'Posts whose gate changed and that have too many replies or quotes to judge in
      the same transaction: a worker judges them in steps. kind: replies or quotes. after: the last URI that was judged.
      asked: another number each time that the gate changes. cleared: it was deleted meanwhile, so that nothing older is
      forbidden any more.';

-- Before, the last claim by its own time held the handle: who holds one keeps it.
ALTER TABLE unified_worker.repos ADD handle_place int, ADD place_relay text, ADD place_seq bigint,
  ADD placed_at timestamptz;
UPDATE unified_worker.repos AS r SET handle_place = CASE WHEN p.from_last = 1 THEN 0 ELSE p.from_first END, place_seq = 0
FROM (SELECT did, row_number() OVER (PARTITION BY handle ORDER BY coalesce(handle_at, '-infinity'), did) AS from_first,
    row_number() OVER (PARTITION BY handle ORDER BY coalesce(handle_at, '-infinity') DESC, did DESC) AS from_last
  FROM unified_worker.repos WHERE handle IS NOT NULL AND (active OR status IS DISTINCT FROM 'deleted')) AS p
WHERE r.did = p.did;
DROP INDEX unified_worker.repos_handle_handle_at_idx;
CREATE INDEX ON unified_worker.repos (handle, handle_place, place_seq, did) WHERE handle_place IS NOT NULL;
CREATE INDEX ON unified_worker.repos (handle, place_relay, place_seq) WHERE handle_place IS NOT NULL;
COMMENT ON COLUMN unified_worker.repos.handle_place IS 'Where the account stands among those that claim its handle: the
      least holds it, among equals that of the least place_seq. Null: it claims none, or is deleted.';
COMMENT ON COLUMN unified_worker.repos.place_seq IS 'The seq (place_relay''s) of the message that brought the place.';
