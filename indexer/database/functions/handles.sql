-- Which account holds a handle: the one whose claim came first. And what #identity messages do.
-- An account's claim is the handle of its last #identity. It stands until the account claims another or none, or is deleted. As
-- long as it stands, nobody else's claim takes the handle. No time decides which came first, because an account chooses its times
-- itself: what counts is the order in which claims are applied, or of claims of one relay, that of their seqs.
-- {schema}: where the record tables are.

-- Only a claim that stands has a place: the least holds the handle.
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
  UPDATE {schema}.users SET handle = v_handle, search_vector = to_tsvector('simple', nullif(left(
    concat_ws(' ', nullif(v_handle, 'handle.invalid'), display_name, description), 25000), ''))
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

-- Lanes apply the claims of one relay in another order than that of their seqs: one that was overtaken gets the place of the
-- next by seq, and the lower seq goes first. Not after an hour: then the relay began its seqs again.
-- Of all others that claim the old or the new handle, only the first may hold it, or have held it: thousands may claim one.
CREATE OR REPLACE FUNCTION unified_worker.claim(p_relay text, p_did text, p_seq bigint, p_old text)
RETURNS void LANGUAGE plpgsql AS $claim$
DECLARE
  v_handle text; v_place int; v_did text;
BEGIN
  SELECT CASE WHEN r.active OR r.status IS DISTINCT FROM 'deleted' THEN r.handle END, r.handle_place INTO v_handle, v_place
  FROM unified_worker.repos AS r WHERE r.did = p_did;
  PERFORM unified_worker.lock(ARRAY[p_old, v_handle]);
  IF v_place IS NULL OR v_handle IS DISTINCT FROM p_old THEN
    UPDATE unified_worker.repos SET place_relay = p_relay, place_seq = p_seq, placed_at = now(),
      handle_place = CASE WHEN v_handle IS NOT NULL THEN coalesce((
        SELECT CASE WHEN o.placed_at > now() - interval '1 hour' THEN o.handle_place END FROM unified_worker.repos AS o
        WHERE o.handle = v_handle AND o.handle_place IS NOT NULL AND o.did <> p_did
          AND o.place_relay = p_relay AND o.place_seq > p_seq
        ORDER BY o.place_seq LIMIT 1), (
        SELECT o.handle_place + 1 FROM unified_worker.repos AS o
        WHERE o.handle = v_handle AND o.handle_place IS NOT NULL AND o.did <> p_did
        ORDER BY o.handle_place DESC LIMIT 1), 1) END
    WHERE did = p_did;
  END IF;
  PERFORM unified_worker.show_handle(p_did);
  FOR v_did IN
    SELECT DISTINCT c.did FROM unnest(ARRAY[p_old, v_handle]) AS h (handle), LATERAL (
      SELECT r.did FROM unified_worker.repos AS r
      WHERE r.handle = h.handle AND r.handle_place IS NOT NULL AND r.did <> p_did
      ORDER BY r.handle_place, r.place_seq, r.did LIMIT 1) AS c
  LOOP
    PERFORM unified_worker.show_handle(v_did);
  END LOOP;
END $claim$;

CREATE OR REPLACE FUNCTION unified_worker.apply_identity(
  p_relay text, p_did text, p_seq bigint, p_at timestamptz, p_handle text) RETURNS text LANGUAGE plpgsql AS $identity$
DECLARE
  v_old text;
BEGIN
  SELECT r.handle INTO v_old FROM unified_worker.repos AS r WHERE r.did = p_did FOR UPDATE;
  INSERT INTO unified_worker.repos AS r (did, rev, handle, handle_at, handle_seq, handle_relay)
  VALUES (p_did, '', p_handle, p_at, p_seq, p_relay)
  ON CONFLICT (did) DO UPDATE SET handle = excluded.handle, handle_at = excluded.handle_at, handle_seq = excluded.handle_seq,
    handle_relay = excluded.handle_relay, updated_at = now()
    WHERE CASE WHEN r.handle_relay = p_relay THEN r.handle_seq < p_seq ELSE coalesce(r.handle_at < p_at, true) END;
  IF NOT FOUND THEN
    RETURN 'stale_message';
  END IF;
  PERFORM unified_worker.claim(p_relay, p_did, p_seq, v_old);
  RETURN 'applied';
END $identity$;
