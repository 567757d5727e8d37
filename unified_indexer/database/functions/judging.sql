-- What gates say of replies and quotes.
-- {schema}: where the record tables are.
-- {follow_came}, {listed_came}, {reply_came}: when the row f of follows, l of list_items, p of posts came.
-- {reply_notices}, {quote_notices}: the statements that bring and take the notifications of what was judged.
-- {rebuilding}: the keys of the lock that a rebuild holds.

-- A gate judges what is not older than it (a gate of before the worker noted that, all). Follows and list items count if their
-- commit came before the reply's: createdAt is a client's word, and so is a TID, which stands in only where nothing was noted.
CREATE OR REPLACE FUNCTION unified_worker.gate_since(p_root text) RETURNS timestamptz LANGUAGE sql STABLE AS $since$
  SELECT coalesce((SELECT c.at FROM unified_worker.commit_times AS c
    WHERE c.uri = replace(p_root, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/')), '-infinity')
$since$;

-- Those of the replies p_authors (parallel to p_times) whom the gate does not admit, by their place in the arrays.
CREATE OR REPLACE FUNCTION unified_worker.intruders(p_root text, p_authors text[], p_times timestamptz[])
RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $intruders$
DECLARE
  g {schema}.thread_gates; v_owner text := split_part(p_root, '/', 3); v_since timestamptz; v_followers boolean;
  v_mentioned text[] := '{}'; v_lists text[];
BEGIN
  SELECT t.* INTO g FROM {schema}.thread_gates AS t WHERE t.post_uri = p_root;
  IF NOT FOUND OR (g.allow_mentions AND g.allow_following AND g.allow_list_members AND g.allow_list_uris = '[]') THEN
    RETURN;
  END IF;
  v_since := unified_worker.gate_since(p_root);
  v_followers := unified_worker.thread_gates_allow_followers(p_root);
  IF g.allow_mentions THEN
    v_mentioned := ARRAY(
      SELECT unified_worker.mentioned(p.facets) FROM {schema}.posts AS p WHERE p.uri = p_root AND p.facets IS NOT NULL);
  END IF;
  v_lists := ARRAY(SELECT jsonb_array_elements_text(g.allow_list_uris) WHERE g.allow_list_members);
  RETURN QUERY
  SELECT a.place FROM unnest(p_authors, p_times) WITH ORDINALITY AS a (author, at, place)
  WHERE a.author <> v_owner AND a.at >= v_since AND a.author <> ALL (v_mentioned)
    AND NOT (g.allow_following AND EXISTS (
      SELECT FROM {schema}.follows AS f WHERE f.follower_did = v_owner AND f.following_did = a.author
        AND {follow_came} <= a.at))
    AND NOT (v_followers AND EXISTS (
      SELECT FROM {schema}.follows AS f WHERE f.follower_did = a.author AND f.following_did = v_owner
        AND {follow_came} <= a.at))
    AND NOT EXISTS (
      SELECT FROM unnest(v_lists) AS u (list_uri) JOIN {schema}.list_items AS l
        ON l.list_uri = u.list_uri AND l.subject_did = a.author
      WHERE {listed_came} <= a.at);
END $intruders$;

CREATE OR REPLACE FUNCTION unified_worker.violates_thread_gate(p_root text, p_author text, p_at timestamptz)
RETURNS boolean LANGUAGE plpgsql STABLE AS $violates$
BEGIN
  RETURN EXISTS (SELECT FROM {schema}.thread_gates AS g WHERE g.post_uri = p_root)
    AND EXISTS (SELECT FROM unified_worker.intruders(p_root, ARRAY[p_author], ARRAY[coalesce(p_at, 'infinity')]));
END $violates$;

-- A reply may name another root than its parent does: then the gate of the parent's root judges it too, or whoever names a
-- thread of their own could answer in any. A reply that is older than that gate keeps what it has (p_before).
CREATE OR REPLACE FUNCTION unified_worker.violates_parents_gate(
  p_parent text, p_root text, p_author text, p_at timestamptz, p_before boolean)
RETURNS boolean LANGUAGE plpgsql STABLE AS $violates$
DECLARE
  v_root text;
BEGIN
  SELECT coalesce(p.root_uri, p.uri) INTO v_root FROM {schema}.posts AS p WHERE p.uri = p_parent;
  IF v_root IS NULL OR v_root = p_root THEN
    RETURN false;
  ELSIF p_at < unified_worker.gate_since(v_root) THEN
    RETURN p_before AND EXISTS (SELECT FROM {schema}.thread_gates AS g WHERE g.post_uri = v_root);
  END IF;
  RETURN unified_worker.violates_thread_gate(v_root, p_author, p_at);
END $violates$;

-- One step of a judgement that was put off; false where the gate has changed since its URIs were looked for.
CREATE OR REPLACE FUNCTION unified_worker.judge_part(p_kind text, p_uri text, p_asked bigint, p_uris text[], p_last boolean)
RETURNS boolean LANGUAGE plpgsql AS $part$
DECLARE
  v_locked text; v_cleared boolean;
BEGIN
  v_locked := pg_advisory_xact_lock_shared({rebuilding})::text;
  PERFORM unified_worker.lock(ARRAY[p_uri]);
  SELECT j.cleared INTO v_cleared
  FROM unified_worker.judgements AS j WHERE j.kind = p_kind AND j.uri = p_uri AND j.asked = p_asked;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF p_kind = 'replies' THEN
    PERFORM unified_worker.judge_replies(p_uri, p_uris, v_cleared);
  ELSE
    PERFORM unified_worker.judge_quoting(p_uri, p_uris, v_cleared);
  END IF;
  IF p_last THEN
    DELETE FROM unified_worker.judgements AS j WHERE j.kind = p_kind AND j.uri = p_uri;
  ELSE
    UPDATE unified_worker.judgements AS j SET after = p_uris[cardinality(p_uris)] WHERE j.kind = p_kind AND j.uri = p_uri;
  END IF;
  RETURN true;
END $part$;

CREATE OR REPLACE FUNCTION unified_worker.to_judge(p_kind text, p_uri text, p_after text, p_most int) RETURNS SETOF text
LANGUAGE plpgsql STABLE AS $to_judge$
BEGIN
  IF p_kind = 'replies' THEN
    RETURN QUERY SELECT p.uri::text FROM {schema}.posts AS p
    WHERE p.root_uri = p_uri AND p.uri COLLATE "C" > p_after ORDER BY p.uri COLLATE "C" LIMIT p_most;
  ELSE
    RETURN QUERY SELECT q.post_uri::text FROM {schema}.quotes AS q
    WHERE q.quoted_uri = p_uri AND q.post_uri COLLATE "C" > p_after ORDER BY q.post_uri COLLATE "C" LIMIT p_most;
  END IF;
END $to_judge$;

-- Replies older than the gate keep what they have, but where a gate was deleted (p_cleared): without one nothing is violated.
CREATE OR REPLACE FUNCTION unified_worker.judge_replies(p_root text, p_uris text[], p_cleared boolean)
RETURNS void LANGUAGE plpgsql AS $judge$
DECLARE
  v_since timestamptz := unified_worker.gate_since(p_root); v_uris text[]; v_authors text[]; v_times timestamptz[];
  v_intruders text[];
BEGIN
  SELECT array_agg(p.uri), array_agg(p.author_did), array_agg(x.came) INTO v_uris, v_authors, v_times
  FROM {schema}.posts AS p CROSS JOIN LATERAL (SELECT {reply_came}) AS x (came)
  WHERE p.uri = ANY (p_uris) AND p.root_uri = p_root AND p.parent_uri IS NOT NULL AND (p_cleared OR x.came >= v_since);
  v_intruders := ARRAY(
    SELECT v_uris[i] FROM unified_worker.intruders(p_root, v_authors, v_times) AS i
    UNION SELECT p.uri FROM {schema}.posts AS p
    WHERE p.uri = ANY (v_uris) AND p.parent_uri <> p_root
      AND unified_worker.violates_parents_gate(p.parent_uri, p_root, p.author_did, {reply_came}, p.violates_thread_gate));
  WITH changed AS (
    UPDATE {schema}.posts AS p SET violates_thread_gate = NOT p.violates_thread_gate
    FROM (SELECT u, i IS NOT NULL FROM unnest(v_uris) AS u LEFT JOIN unnest(v_intruders) AS i ON i = u) AS x (uri, forbidden)
    WHERE p.uri = x.uri AND p.violates_thread_gate <> x.forbidden
    RETURNING p.uri, x.forbidden, p.author_did, p.parent_uri AS other, p.cid, p.created_at,
      p.commit_seq IS NULL AS quiet){reply_notices}
END $judge$;

CREATE OR REPLACE FUNCTION unified_worker.judge_quoting(p_post text, p_uris text[], p_cleared boolean)
RETURNS void LANGUAGE plpgsql AS $judge$
DECLARE
  v_disabled boolean := coalesce((
    SELECT unified_worker.disables_quotes(g.embedding_rules) FROM {schema}.post_gates AS g WHERE g.post_uri = p_post), false);
BEGIN
  WITH changed AS (
    UPDATE {schema}.posts AS p SET violates_embedding_rules = NOT p.violates_embedding_rules
    FROM {schema}.quotes AS q
    WHERE q.post_uri = ANY (p_uris) AND q.quoted_uri = p_post AND p.uri = q.post_uri
      AND p.violates_embedding_rules <> (v_disabled AND p.author_did <> split_part(p_post, '/', 3))
    RETURNING p.uri, p.violates_embedding_rules AS forbidden, p.author_did, q.quoted_uri AS other, p.cid, p.created_at,
      p.commit_seq IS NULL AS quiet){quote_notices}
END $judge$;
