-- Step 3: gaps of a relay's stream, the worker's runs, and the sizes of tables.

CREATE TABLE unified_worker.gaps (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  service text NOT NULL,
  after_seq bigint NOT NULL,
  after_time timestamptz,
  upto_seq bigint,
  upto_time timestamptz,
  reason text NOT NULL,
  noticed_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (service, after_seq, upto_seq)
);
CREATE UNIQUE INDEX ON unified_worker.gaps (service) WHERE upto_seq IS NULL;
COMMENT ON TABLE unified_worker.gaps IS 'Stretches of a relay''s stream that did not come: between after_seq and upto_seq,
      which is null while the first event after a --reset-cursor has not come. Times are those of the events.
      reason: retention (the relay no longer had them), unreadable (a message could not be read), reset (--reset-cursor),
      renumbered (--reset-cursor, and the relay counts anew: upto_seq is of another numbering).';

CREATE TABLE unified_worker.runs (
  service text NOT NULL,
  started_at timestamptz NOT NULL,
  version text NOT NULL,
  host text NOT NULL,
  pid int NOT NULL,
  updated_at timestamptz NOT NULL,
  stopped_at timestamptz,
  how text,
  counts jsonb NOT NULL,
  PRIMARY KEY (service, started_at)
);
COMMENT ON TABLE unified_worker.runs IS 'The last runs of a relay''s worker, with what it counted, as of updated_at.
      how: what it stopped by; null while it runs, and for ever where it was killed.';

CREATE TABLE unified_worker.sizes (
  name text NOT NULL,
  day date NOT NULL,
  taken_at timestamptz NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  PRIMARY KEY (name, day)
);
COMMENT ON TABLE unified_worker.sizes IS 'How large each table was, once a day: rows (estimated), bytes with its indexes.';

-- Work that others' claims and letters make must not grow with their number.
DROP INDEX unified_worker.repos_handle_idx;
CREATE INDEX ON unified_worker.repos (handle, handle_at) WHERE handle IS NOT NULL;
CREATE INDEX ON unified_worker.dead_letters (did) WHERE frame_sha256 IS NOT NULL;
