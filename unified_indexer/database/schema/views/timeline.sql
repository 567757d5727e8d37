-- What an account sees at home: the newest of those that it follows, and its own. Of four times as many as it shows it leaves
-- out what the account must not see.
-- {schema}: where the record tables are.
CREATE OR REPLACE FUNCTION unified_views.timeline(
  viewer text, before {schema}.feed_items.sort_at%TYPE DEFAULT 'infinity', most integer DEFAULT 50
) RETURNS TABLE (
  sort_at {schema}.feed_items.sort_at%TYPE, type text, originator_did text, uri text, author_did text, text text
) LANGUAGE sql STABLE AS $$
  WITH hidden AS (SELECT h.did FROM unified_views.hidden(viewer) AS h), followed (did) AS (
    SELECT w.following_did FROM {schema}.follows AS w WHERE w.follower_did = viewer
    UNION SELECT viewer
  ), newest AS (
    SELECT f.* FROM followed
    CROSS JOIN LATERAL (
      SELECT i.post_uri, i.originator_did, i.type, i.sort_at FROM {schema}.feed_items AS i
      WHERE i.originator_did = followed.did AND i.sort_at < before ORDER BY i.sort_at DESC LIMIT most
    ) AS f
    ORDER BY f.sort_at DESC LIMIT 4 * most
  )
  SELECT f.sort_at, f.type, f.originator_did, p.uri, p.author_did, p.text
  FROM newest AS f
  JOIN {schema}.posts AS p ON p.uri = f.post_uri
  WHERE NOT p.violates_thread_gate
    AND NOT EXISTS (
      SELECT FROM unified_worker.repos AS r WHERE r.did IN (f.originator_did, p.author_did) AND NOT r.active)
    AND f.originator_did NOT IN (SELECT h.did FROM hidden AS h)
    AND p.author_did NOT IN (SELECT h.did FROM hidden AS h)
  ORDER BY f.sort_at DESC
  LIMIT most
$$;
