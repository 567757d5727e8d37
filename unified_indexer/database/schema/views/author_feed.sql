-- The newest posts, replies and reposts of an account.
-- {schema}: where the record tables are.
CREATE OR REPLACE FUNCTION unified_views.author_feed(
  actor text, before {schema}.feed_items.sort_at%TYPE DEFAULT 'infinity', most integer DEFAULT 50
) RETURNS TABLE (sort_at {schema}.feed_items.sort_at%TYPE, type text, uri text, author_did text, text text)
LANGUAGE sql STABLE AS $$
  SELECT f.sort_at, f.type, p.uri, p.author_did, p.text
  FROM {schema}.feed_items AS f
  JOIN {schema}.posts AS p ON p.uri = f.post_uri
  WHERE f.originator_did = actor AND f.sort_at < before
    AND NOT p.violates_thread_gate
    AND NOT EXISTS (
      SELECT FROM unified_worker.repos AS r WHERE r.did IN (f.originator_did, p.author_did) AND NOT r.active)
  ORDER BY f.sort_at DESC
  LIMIT most
$$;
