-- Step 1: repos with their revs, dead letters with their frames, records that wait for a unique key, and lanes.
-- Revs are TIDs, and URIs decide among duplicates: both compare by their bytes, hence COLLATE "C".

CREATE TABLE unified_worker.repos (
  did text COLLATE "C" PRIMARY KEY,
  rev text COLLATE "C" NOT NULL,
  data_cid text,
  seq bigint,
  has_user boolean NOT NULL DEFAULT false,
  held boolean NOT NULL DEFAULT false,
  desynchronized boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
COMMENT ON TABLE unified_worker.repos IS 'A row for each repo seen: the rev of the last commit applied.
      has_user: its row in users was written. held: a dead letter or a waiting duplicate may exist.
      desynchronized: an event of it could not be applied.';

CREATE TABLE unified_worker.dead_frames (
  sha256 bytea PRIMARY KEY,
  frame bytea NOT NULL
);
ALTER TABLE unified_worker.dead_frames ALTER COLUMN frame SET STORAGE EXTERNAL;

CREATE TABLE unified_worker.dead_frames_size (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  bytes bigint NOT NULL
);
INSERT INTO unified_worker.dead_frames_size (bytes) VALUES (0);

CREATE TABLE unified_worker.dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  did text COLLATE "C" NOT NULL,
  rev text COLLATE "C" NOT NULL,
  path text COLLATE "C" NOT NULL,
  seq bigint,
  reason text NOT NULL,
  detail text NOT NULL,
  frame_sha256 bytea,
  awaited text[],
  first_seen timestamptz NOT NULL DEFAULT now(),
  last_seen timestamptz NOT NULL DEFAULT now(),
  attempts int NOT NULL DEFAULT 1,
  UNIQUE (did, path, rev)
);
CREATE INDEX ON unified_worker.dead_letters (frame_sha256);
CREATE INDEX ON unified_worker.dead_letters (id) WHERE reason = 'foreign_key';

CREATE TABLE unified_worker.duplicate_records (
  uri text COLLATE "C" PRIMARY KEY,
  collection text NOT NULL,
  key text[] NOT NULL,
  created_at timestamptz NOT NULL,
  record jsonb NOT NULL
);
CREATE INDEX ON unified_worker.duplicate_records (collection, key, created_at, uri);

CREATE TABLE unified_worker.lanes (
  lane int PRIMARY KEY,
  flushed_at timestamptz NOT NULL
);
