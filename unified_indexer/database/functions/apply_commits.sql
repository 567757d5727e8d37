-- The write path. apply_commit holds the guard and the branches of each record type; apply_commits loops over a batch, calls it,
-- and says COMMIT. A procedure may do that only outside a transaction block, without a SET clause and outside a block with
-- EXCEPTION; so names are qualified, and what needs one transaction calls the function.
-- {schema}: where the record tables are.
-- {parameters}, {arrays}: what write/parameters.py lists, for one commit and for many. {call}: the call for the commit i.
-- {live}, {retry}, {wipe}: modes. {refused}: the kind of an operation that was refused before.
-- {doubt}: what is wrong with a commit or #sync where its repo stands; NULL: nothing. {doubt_in_loop}: the same of the commit i.
-- {begins}: whether the repo had no records before. {blind}: whether a commit may have done more than its operations say.
-- {proves}: whether a commit proves all that came before it.
-- {ahead}, {arms}: the branches of each record type: what is made before the locks are taken, and what puts and deletes.
-- {lock_class}: the first key of the locks where commits meet. {rebuilding}: the keys of the lock that a rebuild holds.
-- {pending}: the reasons of sound operations that wait.
-- {not_data_classes}: the classes of SQLSTATEs that are no fault of the data.
-- {publishes}: whether this session's worker publishes.

-- Every condition is made ready again in each transaction (0.2 µs): what is rare is asked for together, and told apart after that.
CREATE OR REPLACE FUNCTION unified_worker.apply_commit(
  p_mode int,
  {parameters})
RETURNS text LANGUAGE plpgsql AS $apply$
DECLARE
  -- Without defaults, each of which would be evaluated: v_held is set on every way, the others are false where null.
  v_new boolean; v_has_user boolean; v_held boolean; v_active boolean; v_wiping boolean; v_handle text; v_outcome text;
  v_uri text; v_cid text; v_subject text; v_subject_cid text; v_created_at timestamptz; v_rest jsonb; v_key text[];
  v_ahead tsvector[]; v_open text[]; v_locked text; v_left int; v_quoted text; v_again boolean; v_gated boolean;
  v_intrudes boolean; v_embeds boolean; v_doubt text; v_fetching boolean; v_quiet boolean; p_new jsonb;
BEGIN
  v_locked := pg_advisory_xact_lock_shared({rebuilding})::text;  -- derived rows are not recomputed while this goes on
  IF p_mode = {live} THEN
    IF p_data IS NULL THEN
      -- Nothing of it can be applied (too big, unreadable): the rev stays, so that a sound copy still can.
      IF p_doubt = 'stale' OR EXISTS (
        SELECT FROM unified_worker.repos WHERE did = p_did AND rev >= p_rev AND p_rev <> '')
      THEN
        RETURN 'stale';
      END IF;
      IF p_doubt IS NOT NULL THEN  -- nothing shows that its account wrote it: so nothing of the account's is marked
        RETURN unified_worker.keep_forged(p_did, p_rev, p_seq, p_frame, p_rest[p_lo:p_hi]);
      END IF;
      IF p_did <> '' THEN
        INSERT INTO unified_worker.repos AS r (did, rev, filtered, refused_rev) VALUES (p_did, '', p_filtered, p_rev)
        ON CONFLICT (did) DO UPDATE SET filtered = r.filtered OR p_filtered, refused_rev = p_rev, refused_data = NULL,
          updated_at = now()
        RETURNING r.active, r.wiping INTO v_active, v_wiping;
        IF NOT p_filtered THEN
          PERFORM unified_worker.desynchronise(p_did, 'refused');
        END IF;
        IF NOT v_active THEN
          RETURN 'inactive';
        END IF;
      END IF;
      v_held := true;
    ELSE
      -- Whose records began with the tree that was empty before is complete from its first commit on.
      INSERT INTO unified_worker.repos AS r (did, rev, data_cid, seq, has_user, filtered, sync, doubt, inductive,
        unproven, unproven_at)
      VALUES (p_did, p_rev, p_data, p_seq, coalesce(p_user, false), p_filtered, CASE WHEN {begins} THEN 1 ELSE 0 END,
        p_doubt, p_inductive, p_unproven, CASE WHEN p_unproven IS NOT NULL THEN now() END)
      ON CONFLICT (did) DO UPDATE SET rev = excluded.rev, data_cid = excluded.data_cid, seq = excluded.seq, updated_at = now(),
        filtered = r.filtered OR p_filtered, inductive = r.inductive OR p_inductive,
        refused_rev = NULL, refused_data = NULL,
        blind = r.blind OR {blind},
        sync = CASE WHEN r.rev = '' AND r.sync = 0 AND {begins} THEN 1 ELSE r.sync END,
        doubt = {doubt},
        unproven = CASE WHEN {proves} THEN NULL ELSE coalesce(p_unproven, r.unproven) END,
        unproven_at = CASE WHEN {proves} THEN NULL WHEN p_unproven IS NULL THEN r.unproven_at
          ELSE coalesce(r.unproven_at, now()) END
        -- What comes while the account is wiped is kept, for which the frame must have come along.
        WHERE r.rev < excluded.rev AND (p_frame IS NOT NULL OR NOT r.wiping OR NOT r.active OR p_lo > p_hi)
      RETURNING r.has_user, r.held, r.active, r.wiping, r.handle, r.xmax = 0, r.doubt, r.fetching
      INTO v_has_user, v_held, v_active, v_wiping, v_handle, v_new, v_doubt, v_fetching;
      IF NOT FOUND THEN
        SELECT CASE WHEN r.rev < p_rev THEN 'needs_frame' WHEN r.rev = p_rev AND r.data_cid <> p_data THEN 'rev_fork'
          ELSE 'stale' END INTO v_outcome FROM unified_worker.repos AS r WHERE r.did = p_did;
        RETURN v_outcome;
      END IF;
      IF v_doubt IS NOT NULL THEN
        PERFORM unified_worker.desynchronise(p_did, v_doubt);
        v_outcome := v_doubt;
      END IF;
      IF NOT v_active AND p_user IS NOT NULL THEN
        PERFORM unified_worker.desynchronise(p_did, 'inactive');
        RETURN 'inactive';
      END IF;
    END IF;
  ELSIF p_mode = {retry} THEN
    SELECT r.has_user, r.active, r.wiping, r.handle, r.fetching
    INTO v_has_user, v_active, v_wiping, v_handle, v_fetching
    FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
    IF NOT v_active OR v_wiping THEN
      RETURN 'inactive';
    END IF;
    v_open := ARRAY(SELECT l.path FROM unified_worker.dead_letters AS l WHERE l.did = p_did AND l.rev = p_rev);
    v_held := true;
  ELSE
    v_held := true;
  END IF;
  IF (v_wiping OR v_fetching) AND p_lo <= p_hi THEN  -- together: both are rare
    IF v_fetching THEN
      PERFORM unified_worker.touch(p_did, p_rev, p_uri[p_lo:p_hi], p_rest[p_lo:p_hi]);
    END IF;
    IF v_wiping THEN
      IF p_user AND NOT v_has_user THEN
        PERFORM unified_worker.ensure_user(p_did, v_handle);
      END IF;
      RETURN unified_worker.keep_wiping(
        p_did, p_rev, p_seq, p_frame, p_kind[p_lo:p_hi], p_uri[p_lo:p_hi], p_rest[p_lo:p_hi], p_unproven IS NOT NULL);
    END IF;
  END IF;

  -- Of many or long texts, what is slow and looks at nobody else's rows, before others may have to wait for this commit.
  IF p_lo < p_hi OR p_long THEN
    FOR i IN p_lo..p_hi LOOP
      v_rest := p_rest[i];
      CASE p_kind[i]
{ahead}
        ELSE NULL;
      END CASE;
    END LOOP;
    PERFORM unified_worker.lock_commit(p_buckets[p_bucket_lo:p_bucket_hi], p_uri[p_lo:p_hi]);
  ELSE
    FOR i IN p_bucket_lo..p_bucket_hi LOOP
      v_locked := pg_advisory_xact_lock({lock_class}, p_buckets[i])::text;
    END LOOP;
  END IF;

  IF p_user AND (v_new OR v_has_user IS NOT TRUE) THEN
    IF v_new THEN
      INSERT INTO {schema}.users (did, handle) VALUES (p_did, 'handle.invalid') ON CONFLICT (did) DO NOTHING;
    ELSE
      PERFORM unified_worker.ensure_user(p_did, v_handle);
    END IF;
  END IF;

  FOR i IN p_lo..p_hi LOOP
    v_uri := p_uri[i];
    v_rest := p_rest[i];
    IF v_held OR p_kind[i] = {refused} THEN
      IF p_kind[i] = {refused} THEN
        IF NOT unified_worker.keep(
          p_did, p_rev, v_rest ->> 'path', p_seq, v_rest ->> 'reason', v_rest ->> 'detail', p_frame, NULL)
        THEN
          v_outcome := concat_ws(':', v_doubt, 'frame_dropped');
        END IF;
        v_held := true;
        CONTINUE;
      END IF;
      IF p_mode = {retry} AND NOT unified_worker.path_of(v_uri) = ANY (v_open) THEN
        CONTINUE;
      END IF;
      IF p_mode <> {wipe} THEN
        PERFORM unified_worker.close_letters(
          p_did, unified_worker.path_of(v_uri), NULL, false, CASE p_mode WHEN {retry} THEN p_rev END);
      END IF;
    END IF;
    v_cid := p_cid[i];
    v_subject := p_subject[i];
    v_subject_cid := p_subject_cid[i];
    v_created_at := p_created_at[i];
    CASE p_kind[i]
{arms}
    END CASE;
  END LOOP;
  -- p_data: neither rows of a caller's, nor of an account that goes, nor of what can't be read.
  IF p_lo <= p_hi AND p_data IS NOT NULL AND {publishes} THEN
    INSERT INTO unified_worker.outbox (what, did, rev, seq, kinds, uris, cids)
    VALUES (CASE p_mode WHEN {live} THEN 'commit' ELSE 'retried' END, p_did,
      CASE p_mode WHEN {live} THEN p_rev ELSE (SELECT r.rev FROM unified_worker.repos AS r WHERE r.did = p_did) END,
      p_seq, p_kind[p_lo:p_hi], p_uri[p_lo:p_hi], p_cid[p_lo:p_hi]);
  END IF;
  RETURN coalesce(v_outcome, 'applied');
END $apply$;

-- An outcome a commit, up to the first that has to come again with its frame. With p_isolate a data error takes back that commit
-- alone, which is kept. Errors that a repetition may cure, and faults of the schema, go up to the caller: the commits before
-- stand, the rest never ran.
-- Durable on return: sessions run with synchronous_commit off; the last transaction turns it on, and must write something. One
-- that has written nothing has no id.
CREATE OR REPLACE PROCEDURE unified_worker.apply_commits(
  p_lane int, p_relay text, p_durable boolean, p_isolate boolean, p_confirm boolean,
  {arrays},
  INOUT p_outcome text[])
LANGUAGE plpgsql AS $apply$
DECLARE
  v_count int := cardinality(p_did); v_outcome text;
  v_state text; v_message text; v_detail text; v_constraint text; v_schema text; v_table text; v_reason text; v_awaited text[];
  v_waits boolean; v_unproven boolean; v_doubt text;
BEGIN
  FOR i IN 1..v_count LOOP
    IF p_durable AND i = v_count THEN
      PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    IF NOT p_isolate AND p_rev[i] IS NOT NULL THEN
      v_outcome := {call};
    ELSIF p_rev[i] IS NULL THEN
      v_outcome := unified_worker.apply_message(p_relay, p_did[i], p_seq[i], p_at[i], p_rest[p_lo[i]], p_confirm);
    ELSE
      BEGIN
        v_state := NULL;
        v_outcome := {call};
        SET CONSTRAINTS ALL IMMEDIATE;
      EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL,
          v_constraint = CONSTRAINT_NAME, v_schema = SCHEMA_NAME, v_table = TABLE_NAME;
        IF left(v_state, 2) IN ({not_data_classes}) THEN
          RAISE;
        END IF;
      END;
      IF v_state IS NOT NULL THEN
        SELECT r.reason, r.awaited INTO v_reason, v_awaited
        FROM unified_worker.refusal(v_state, v_schema, v_table, v_constraint, v_detail) AS r;
        v_waits := v_reason IN ({pending});
        v_unproven := v_waits AND p_unproven[i] IS NOT NULL;  -- it waits for its key first: nobody proves what is pending
        SELECT 'refused:' || CASE v_reason WHEN 'referenced' THEN '23001' ELSE v_state END
          || CASE WHEN bool_and(unified_worker.keep(
          p_did[i], p_rev[i], CASE WHEN p_lo[i] <= p_hi[i] THEN coalesce(unified_worker.path_of(p_uri[j]), p_rest[j] ->> 'path')
            ELSE encode(sha256(p_frame[i]), 'hex') END, p_seq[i],
          CASE WHEN v_unproven THEN 'unproven' ELSE v_reason END, concat_ws(E'\n', v_message, nullif(v_detail, '')), p_frame[i],
          CASE WHEN NOT v_unproven THEN v_awaited END))
          THEN '' ELSE ':frame_dropped' END
        INTO v_outcome FROM generate_series(p_lo[i], greatest(p_lo[i], p_hi[i])) AS j;
        v_doubt := NULL;  -- what it said of that was taken back with it
        SELECT {doubt_in_loop} INTO v_doubt FROM unified_worker.repos AS r WHERE r.did = p_did[i] AND r.rev < p_rev[i];
        UPDATE unified_worker.repos SET refused_rev = p_rev[i], refused_data = p_data[i] WHERE did = p_did[i] AND rev < p_rev[i];
        IF v_doubt IS NOT NULL THEN  -- it did not follow, either
          PERFORM unified_worker.desynchronise(p_did[i], v_doubt);
        END IF;
        IF NOT v_waits THEN
          PERFORM unified_worker.desynchronise(p_did[i], 'refused', true);
        END IF;
        IF v_reason = 'foreign_key' THEN  -- the account's own row may be what is missing: the application deleted it
          UPDATE unified_worker.repos SET has_user = false WHERE did = p_did[i] AND has_user;
        END IF;
        IF p_user[i] THEN  -- its record may be deleted before it comes in
          PERFORM unified_worker.try_user(p_did[i]);
        END IF;
      END IF;
    END IF;
    IF v_outcome <> 'applied' OR i = v_count THEN
      EXIT WHEN v_outcome = 'needs_frame';
      IF p_durable AND i = v_count AND pg_current_xact_id_if_assigned() IS NULL THEN
        INSERT INTO unified_worker.lanes (lane, flushed_at) VALUES (p_lane, now())
        ON CONFLICT (lane) DO UPDATE SET flushed_at = excluded.flushed_at;
      END IF;
    END IF;
    COMMIT;
    p_outcome[i] := v_outcome;
  END LOOP;
END $apply$;
