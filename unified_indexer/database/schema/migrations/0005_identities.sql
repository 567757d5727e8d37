-- Step 5: who signs for an account, and where it is kept.

CREATE TABLE unified_worker.hosts (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  url text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE unified_worker.hosts IS 'The servers that keep repos (PDS), as their accounts'' DID documents name them.';

CREATE TABLE unified_worker.identities (
  did text COLLATE "C" PRIMARY KEY,
  key bytea,
  pds int,
  checked int NOT NULL,
  state smallint NOT NULL DEFAULT 0
);
COMMENT ON TABLE unified_worker.identities IS 'What the DID documents said, as far as the worker needs it.
      key: the signing key, compressed, after its multicodec prefix. pds: of unified_worker.hosts.
      checked: when it was read, in seconds since 1970. state: 0 known, 1 to be asked again at the next use, 2 the directory
      does not know the DID, 3 it was deleted there, 4 its document has no usable key.';

CREATE TABLE unified_worker.exports (
  source text COLLATE "C" PRIMARY KEY,
  position bigint NOT NULL,
  through int NOT NULL,
  complete boolean NOT NULL
);
COMMENT ON TABLE unified_worker.exports IS 'How far the log of the did:plc directory is in unified_worker.identities.
      source: the directory, or a file. position: its last seq, or line. through: up to when what the log said is known, in
      seconds since 1970. complete: its end was reached; a directory is followed from then on.';
