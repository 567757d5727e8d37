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
