"""The worker's own bookkeeping, in a schema of its own: numbered steps, each run once, in order, in one transaction."""

# Revs are TIDs, and uris break ties among duplicates: both compare by their bytes, hence COLLATE "C".
MIGRATIONS: tuple[str, ...] = (
    """
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
    """,
    """
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
    """,
    """
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
    """,
    """
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
    """,
)
