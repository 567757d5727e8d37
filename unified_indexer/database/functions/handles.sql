-- Which account holds a handle: the one whose claim came first. And what #identity messages do.
-- An account's claim is the handle of its last #identity. It stands until the account claims another or none, or is deleted. As
-- long as it stands, nobody else's claim takes the handle. No time decides which came first, because an account chooses its times
-- itself: what counts is the order in which claims are applied, or of claims of one relay, that of their seqs.
-- With p_confirm (VERIFY is not off) a claim is checked too: whether the handle leads to the account, and its DID document names the
-- handle. Of such claims the last one checked holds the handle, before all others: its name led to that account then, and so to no
-- other. One that was refuted holds none. The verified handle of an account changes by a check alone.
-- {schema}: where the record tables are.
-- {checked_for}: how long the answer of a check counts. {again_after}: how long one counts that refuted the claim.
-- {most_checks}: the most handles that wait for one.

-- Only a claim that stands has a place: the least holds the handle. Verified ones have negative places.
CREATE OR REPLACE FUNCTION unified_worker.handle_of(p_did text) RETURNS text LANGUAGE sql STABLE AS
$handle$
  SELECT coalesce((
    -- As a CASE, so that the account is found by its key: the partial index of claims would be read whole.
    SELECT CASE WHEN r.handle_place IS NOT NULL AND r.did = (
      SELECT o.did FROM unified_worker.repos AS o WHERE o.handle = r.handle AND o.handle_place IS NOT NULL
      ORDER BY o.handle_place, o.place_seq, o.did LIMIT 1) THEN r.handle END
    FROM unified_worker.repos AS r WHERE r.did = p_did), 'handle.invalid')
$handle$;

CREATE OR REPLACE FUNCTION unified_worker.show_handle(p_did text) RETURNS void LANGUAGE plpgsql AS $show$
DECLARE
  v_handle text := unified_worker.handle_of(p_did);
BEGIN
  UPDATE {schema}.users SET handle = v_handle, search_vector = to_tsvector('simple', nullif(concat_ws(' ',
    nullif(v_handle, 'handle.invalid'),
    unified_worker.searchable(concat_ws(' ', nullif(display_name, ''), nullif(description, '')))), ''))
  WHERE did = p_did AND handle <> v_handle;
END $show$;

-- The handle's lock: somebody may be claiming it just now, who would not see this row yet.
CREATE OR REPLACE FUNCTION unified_worker.ensure_user(p_did text, p_handle text) RETURNS void LANGUAGE plpgsql AS $ensure$
BEGIN
  PERFORM unified_worker.lock(ARRAY[p_handle]);
  INSERT INTO {schema}.users (did, handle) VALUES (p_did, 'handle.invalid') ON CONFLICT (did) DO NOTHING;
  IF FOUND THEN
    PERFORM unified_worker.show_handle(p_did);
  END IF;
  UPDATE unified_worker.repos SET has_user = true WHERE did = p_did AND NOT has_user;
END $ensure$;

-- Of all others that claim these handles, only the first may hold one, or have held it: thousands may claim it.
CREATE OR REPLACE FUNCTION unified_worker.show_firsts(p_did text, p_handles text[]) RETURNS void LANGUAGE plpgsql AS $firsts$
DECLARE
  v_did text;
BEGIN
  FOR v_did IN
    SELECT DISTINCT c.did FROM unnest(p_handles) AS h (handle), LATERAL (
      SELECT r.did FROM unified_worker.repos AS r
      WHERE r.handle = h.handle AND r.handle_place IS NOT NULL AND r.did <> p_did
      ORDER BY r.handle_place, r.place_seq, r.did LIMIT 1) AS c
  LOOP
    PERFORM unified_worker.show_handle(v_did);
  END LOOP;
END $firsts$;

-- Lanes apply the claims of one relay in another order than that of their seqs: one that was overtaken gets the place of the
-- next by seq, and the lower seq goes first. Not after an hour: then the relay began its seqs again.
CREATE OR REPLACE FUNCTION unified_worker.claim(p_relay text, p_did text, p_seq bigint, p_old text)
RETURNS void LANGUAGE plpgsql AS $claim$
DECLARE
  v_handle text; v_place int;
BEGIN
  SELECT CASE WHEN (r.active OR r.status IS DISTINCT FROM 'deleted') AND r.handle_verified IS NOT FALSE THEN r.handle END,
    r.handle_place INTO v_handle, v_place FROM unified_worker.repos AS r WHERE r.did = p_did;
  PERFORM unified_worker.lock(ARRAY[p_old, v_handle]);
  IF v_place IS NULL OR v_handle IS DISTINCT FROM p_old THEN
    UPDATE unified_worker.repos SET place_relay = p_relay, place_seq = p_seq, placed_at = now(),
      handle_place = CASE WHEN v_handle IS NOT NULL THEN coalesce((
        SELECT CASE WHEN o.placed_at > now() - interval '1 hour' THEN o.handle_place END FROM unified_worker.repos AS o
        WHERE o.handle = v_handle AND o.handle_place IS NOT NULL AND o.did <> p_did
          AND o.place_relay = p_relay AND o.place_seq > p_seq
        ORDER BY o.place_seq LIMIT 1), (
        SELECT greatest(o.handle_place, 0) + 1 FROM unified_worker.repos AS o
        WHERE o.handle = v_handle AND o.handle_place IS NOT NULL AND o.did <> p_did
        ORDER BY o.handle_place DESC LIMIT 1), 1) END
    WHERE did = p_did;
  END IF;
  PERFORM unified_worker.show_handle(p_did);
  PERFORM unified_worker.show_firsts(p_did, ARRAY[p_old, v_handle]);
END $claim$;

CREATE OR REPLACE FUNCTION unified_worker.apply_identity(
  p_relay text, p_did text, p_seq bigint, p_at timestamptz, p_handle text, p_confirm boolean)
RETURNS text LANGUAGE plpgsql AS $identity$
DECLARE
  v_old text; v_keeps boolean; v_checked boolean;
BEGIN
  SELECT r.handle, p_confirm AND coalesce(r.handle_verified, false),
    r.handle IS NOT DISTINCT FROM p_handle AND r.handle_verified AND r.handle_checked_at > now() - {checked_for}
  INTO v_old, v_keeps, v_checked FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  INSERT INTO unified_worker.repos AS r (did, rev, handle, handle_at, handle_seq, handle_relay)
  VALUES (p_did, '', p_handle, p_at, p_seq, p_relay)
  ON CONFLICT (did) DO UPDATE SET handle = CASE WHEN v_keeps THEN r.handle ELSE excluded.handle END,
    handle_verified = CASE WHEN v_keeps OR r.handle = excluded.handle THEN r.handle_verified END,
    handle_checked_at = CASE WHEN v_keeps OR r.handle = excluded.handle THEN r.handle_checked_at END,
    handle_at = excluded.handle_at, handle_seq = excluded.handle_seq, handle_relay = excluded.handle_relay, updated_at = now()
    WHERE CASE WHEN r.handle_relay = p_relay THEN r.handle_seq < p_seq ELSE coalesce(r.handle_at < p_at, true) END;
  IF NOT FOUND THEN
    RETURN 'stale_message';
  END IF;
  IF v_keeps IS NOT TRUE THEN
    PERFORM unified_worker.claim(p_relay, p_did, p_seq, v_old);
  END IF;
  IF p_confirm AND v_checked IS NOT TRUE THEN
    PERFORM unified_worker.ask_handle(p_did);
  END IF;
  RETURN 'applied';
END $identity$;

-- An account's handle is to be checked, once however often that is asked for; one that was refuted just now, a little later.
-- A check that is under way, or was postponed, may not know of what is new: it is to be made again, behind the others. Only of
-- such a one, so that no flood of messages makes `asked` grow faster than the checks.
CREATE OR REPLACE FUNCTION unified_worker.ask_handle(p_did text) RETURNS void LANGUAGE plpgsql AS $ask$
DECLARE
  v_due timestamptz := greatest(now(), (
    SELECT r.handle_checked_at + {again_after} FROM unified_worker.repos AS r WHERE r.did = p_did AND NOT r.handle_verified));
BEGIN
  UPDATE unified_worker.handle_checks SET asked = DEFAULT, retry_at = v_due WHERE did = p_did AND retry_at > v_due;
  IF NOT FOUND THEN
    INSERT INTO unified_worker.handle_checks (did, retry_at)
    SELECT p_did, v_due WHERE NOT EXISTS (SELECT FROM unified_worker.handle_checks WHERE did = p_did)
      AND coalesce((SELECT max(asked) - min(asked) FROM unified_worker.handle_checks), 0) < {most_checks}
    ON CONFLICT (did) DO NOTHING;
  END IF;
END $ask$;

-- What a check found. p_handle: the one that the account's DID document names, if that leads to the account. NULL: there is none,
-- and what the account claims is refuted. False: nothing is known of the account.
CREATE OR REPLACE FUNCTION unified_worker.settle_handle(p_did text, p_handle text) RETURNS boolean LANGUAGE plpgsql AS $settle$
DECLARE
  v_old text; v_gone boolean;
BEGIN
  SELECT r.handle, NOT r.active AND coalesce(r.status = 'deleted', false) INTO v_old, v_gone
  FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM unified_worker.lock(ARRAY[v_old, p_handle]);
  UPDATE unified_worker.repos SET handle = coalesce(p_handle, handle), handle_verified = p_handle IS NOT NULL,
    handle_checked_at = clock_timestamp(), place_relay = NULL, place_seq = NULL, placed_at = now(),
    -- In seconds since 2020, so that the last one checked comes first.
    handle_place = CASE WHEN p_handle IS NOT NULL AND NOT v_gone
      THEN -extract(epoch FROM clock_timestamp() - '2020-01-01 00:00Z'::timestamptz)::int END
  WHERE did = p_did;
  PERFORM unified_worker.show_handle(p_did);
  PERFORM unified_worker.show_firsts(p_did, ARRAY[v_old, p_handle]);
  RETURN true;
END $settle$;
