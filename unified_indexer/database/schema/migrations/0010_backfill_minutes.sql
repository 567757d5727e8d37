-- Step 10: how much was fetched, and when.

CREATE TABLE unified_worker.backfill_minutes (
  minute timestamptz PRIMARY KEY,
  repos bigint NOT NULL,
  records bigint NOT NULL,
  bytes bigint NOT NULL,
  failed bigint NOT NULL,
  unavailable bigint NOT NULL
);
COMMENT ON TABLE unified_worker.backfill_minutes IS 'What all workers fetched in each minute of the last day in which they fetched
      something: repos that are complete, records of theirs that were compared or written, bytes received, attempts that
      failed, repos that are not given out.';

ALTER TABLE unified_worker.backfill
  ADD repos bigint NOT NULL DEFAULT 0,
  ADD records bigint NOT NULL DEFAULT 0,
  ADD bytes bigint NOT NULL DEFAULT 0,
  ADD failed bigint NOT NULL DEFAULT 0,
  ADD unavailable bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN unified_worker.backfill.repos IS 'The sum of unified_worker.backfill_minutes since the beginning, as the columns
      after it.';

ALTER TABLE unified_worker.repos ADD unlooked boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN unified_worker.repos.unlooked IS 'Records of it were written as sets, and it was not settled since: the next
      repair looks once more for what others'' records have to do with them.';
