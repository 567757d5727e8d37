-- Step 9: the lists on which repos are found.

CREATE TABLE unified_worker.listings (
  job bigint NOT NULL,
  host int NOT NULL,
  cursor text,
  found bigint NOT NULL DEFAULT 0,
  wanted bigint NOT NULL DEFAULT 0,
  failures int NOT NULL DEFAULT 0,
  turn_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  error text,
  PRIMARY KEY (job, host)
);
CREATE INDEX ON unified_worker.listings (job, turn_at) WHERE ended_at IS NULL;
COMMENT ON TABLE unified_worker.listings IS 'Lists of repos that are read for a job of unified_worker.backfill_jobs, one a server.
      cursor: behind the last page that was stored. found, wanted: as those of the job. turn_at: when the next page may be
      asked for. ended_at, error: when and why the list came to an end, if that was not its own.';

ALTER TABLE unified_worker.backfill_jobs
  ADD phase text NOT NULL DEFAULT 'begin',
  ADD holder text,
  ADD lease_until timestamptz;
COMMENT ON COLUMN unified_worker.backfill_jobs.phase IS 'begin; hosts (the relay''s list of servers is read, up to cursor);
      repos (lists of repos are read); again (the list of servers is read once more).';
COMMENT ON COLUMN unified_worker.backfill_jobs.holder IS 'The relay whose worker has it, until lease_until.';

ALTER TABLE unified_worker.schema_version ADD functions text;
COMMENT ON COLUMN unified_worker.schema_version.functions IS 'Which functions a start has installed: a digest of the
      statements, and one of what the catalogue then held. NULL in rows that are not the newest.';
