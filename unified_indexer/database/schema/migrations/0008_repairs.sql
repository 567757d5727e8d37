-- Step 8: repair of repos from their hosts, and backfill.

-- An older worker would not note what it writes while a repo is fetched: it is to stop.
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
  ADD fetching boolean NOT NULL DEFAULT false,
  ADD synced_at timestamptz,
  ADD refuted_rev text COLLATE "C";
CREATE INDEX ON unified_worker.repos (did) WHERE sync = 2 AND active AND NOT wiping;
COMMENT ON COLUMN unified_worker.repos.fetching IS 'The whole repo is being fetched or compared: what commits touch meanwhile
      is noted in unified_worker.touched.';
COMMENT ON COLUMN unified_worker.repos.synced_at IS 'When the whole repo was compared last.';
COMMENT ON COLUMN unified_worker.repos.refuted_rev IS 'The rev that the repo had when its newest commits turned out not to be
      the account''s: while it is the repo''s rev, the host''s may be older.';

CREATE TABLE unified_worker.repairs (
  did text COLLATE "C" PRIMARY KEY,
  why text NOT NULL,
  priority smallint NOT NULL DEFAULT 10,
  state text NOT NULL DEFAULT 'wanted',
  host int,
  job bigint,
  check_only boolean NOT NULL DEFAULT false,
  listed_rev text COLLATE "C",
  claim int NOT NULL DEFAULT 0,
  holder text,
  lease_until timestamptz,
  floor_rev text COLLATE "C",
  floor_sync smallint,
  car_rev text COLLATE "C",
  touched int NOT NULL DEFAULT 0,
  kept int NOT NULL DEFAULT 0,
  records bigint,
  bytes bigint,
  failures int NOT NULL DEFAULT 0,
  retry_at timestamptz NOT NULL DEFAULT now(),
  reason text,
  asked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON unified_worker.repairs (host, priority, retry_at) WHERE state IN ('wanted', 'failed');
CREATE INDEX ON unified_worker.repairs (holder, lease_until) WHERE holder IS NOT NULL;
CREATE INDEX ON unified_worker.repairs (did) WHERE state IN ('wanted', 'fetching', 'writing');
COMMENT ON TABLE unified_worker.repairs IS 'Repos that are to be fetched whole, or are being fetched; a row goes when its repo is
      done. why: missed (something is missing), asked (by an operator), chosen or network (a backfill), gap.
      priority: the lowest comes first. state: wanted, fetching, writing, failed (retry_at says when it is tried again),
      unavailable (the host does not give it out; retry_at is when it said so, and it is asked again a day later, or when its
      account returns; a backfill forgets such a repo). host: of unified_worker.hosts; null: its document
      says which. claim: counts those who took it; holder: the relay whose worker has it, until lease_until.
      floor_rev, floor_sync: the repo''s rev and sync before it was fetched. car_rev: that of what was fetched.
      touched: paths noted in unified_worker.touched. kept: records that the database refused. failures: attempts in vain.';

CREATE TABLE unified_worker.touched (
  did text COLLATE "C" NOT NULL,
  path text COLLATE "C" NOT NULL,
  rev text COLLATE "C" NOT NULL,
  PRIMARY KEY (did, path)
);
COMMENT ON TABLE unified_worker.touched IS 'What commits wrote or deleted while their repo was being fetched, and the rev of the
      last of them: where that is newer than what was fetched, the commit counts.';

ALTER TABLE unified_worker.hosts
  ADD source text NOT NULL DEFAULT 'document',
  ADD accounts bigint,
  ADD repos_done bigint NOT NULL DEFAULT 0,
  ADD records_done bigint NOT NULL DEFAULT 0,
  ADD bytes_done bigint NOT NULL DEFAULT 0,
  ADD unavailable bigint NOT NULL DEFAULT 0,
  ADD failed bigint NOT NULL DEFAULT 0;
COMMENT ON TABLE unified_worker.hosts IS 'The servers that keep repos (PDS). source: who named it first (document: the DID
      document of an account; relay, operator). accounts: how many it has, as the relay says. repos_done,
      records_done, bytes_done: fetched from it. unavailable, failed: repos that it did not give out.';

CREATE TABLE unified_worker.backfill_jobs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  argument text,
  cursor text,
  found bigint NOT NULL DEFAULT 0,
  wanted bigint NOT NULL DEFAULT 0,
  paused boolean NOT NULL DEFAULT false,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  error text
);
COMMENT ON TABLE unified_worker.backfill_jobs IS 'What operators asked to have fetched. kind: what names the repos. cursor: up to
      where they were looked for. found: repos seen; wanted: those of them that were not complete yet.';

CREATE TABLE unified_worker.backfill (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  paused boolean NOT NULL DEFAULT false,
  since timestamptz NOT NULL DEFAULT now(),
  collections text[]
);
INSERT INTO unified_worker.backfill DEFAULT VALUES;
COMMENT ON TABLE unified_worker.backfill IS 'paused: an operator stopped all fetching. since: from then on repos are followed;
      nobody is told of what is older and comes with a whole repo. collections: COLLECTIONS at the last start.';

ALTER TABLE unified_worker.commit_times ADD quiet boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN unified_worker.commit_times.quiet IS 'The record came with a whole repo: nobody is told of it. (Where its own
      table has the column, commit_seq is null then.)';

-- By the CID a later repair knows a record that is refused again.
ALTER TABLE unified_worker.dead_letters ADD record_cid text;
COMMENT ON COLUMN unified_worker.dead_letters.record_cid IS 'Of a record that came with a whole repo: its CID. Its frame never
      was; the next repair tries it again.';
