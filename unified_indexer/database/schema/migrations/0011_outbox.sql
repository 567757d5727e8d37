-- Step 11: what other services are told (PUBLISH).

CREATE TABLE unified_worker.outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  what text NOT NULL,
  did text NOT NULL,
  rev text NOT NULL,
  seq bigint,
  kinds smallint[],
  uris text[],
  cids text[],
  active boolean,
  status text,
  written_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
COMMENT ON TABLE unified_worker.outbox IS 'What PUBLISH is still to say, written in the transaction that it tells of, and deleted
      some seconds after the stream has it. Empty without PUBLISH.';
COMMENT ON COLUMN unified_worker.outbox.what IS 'commit, retried (dead letters that were applied), repaired (the repo was written
      anew), account (its status changed).';
COMMENT ON COLUMN unified_worker.outbox.rev IS 'The repo''s rev after this transaction.';
COMMENT ON COLUMN unified_worker.outbox.kinds IS 'An element per operation, as those of uris and cids: what it is to the worker.';

CREATE TABLE unified_worker.published (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  upto bigint NOT NULL DEFAULT 0,
  at timestamptz
);
COMMENT ON TABLE unified_worker.published IS 'How far the outbox is published. Its one row is written before each batch, so that
      the batch is on disk before anybody is told of it.';
COMMENT ON COLUMN unified_worker.published.upto IS 'All ids of the outbox up to this one were published, but for what committed
      late.';
INSERT INTO unified_worker.published DEFAULT VALUES;
