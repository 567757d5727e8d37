-- A post and the replies below it, as the viewer sees them (NULL: as anybody does). to_jsonb, since an application's gates may
-- lack the column.
-- {schema}: where the record tables are.
CREATE OR REPLACE FUNCTION unified_views.thread(
  post text, viewer text DEFAULT NULL, deepest integer DEFAULT 50, most integer DEFAULT 1000
) RETURNS TABLE (
  depth integer, uri text, parent_uri text, author_did text, text text, created_at {schema}.posts.created_at%TYPE
) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE hidden AS (SELECT h.did FROM unified_views.hidden(viewer) AS h), below AS (
    SELECT 0 AS depth, p.uri, p.parent_uri, p.author_did, p.text, p.created_at
    FROM {schema}.posts AS p
    WHERE p.uri = post
      AND NOT p.violates_thread_gate
      AND NOT EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = p.author_did AND NOT r.active)
      AND p.author_did NOT IN (SELECT h.did FROM hidden AS h)
    UNION ALL
    SELECT t.depth + 1, p.uri, p.parent_uri, p.author_did, p.text, p.created_at
    FROM below AS t
    JOIN {schema}.posts AS p ON p.parent_uri = t.uri
    WHERE t.depth < deepest
      AND NOT p.violates_thread_gate
      AND NOT EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = p.author_did AND NOT r.active)
      AND p.author_did NOT IN (SELECT h.did FROM hidden AS h)
      AND NOT EXISTS (
        SELECT FROM {schema}.blocks AS b
        WHERE (b.blocker_did, b.blocked_did) IN ((p.author_did, t.author_did), (t.author_did, p.author_did)))
      AND NOT EXISTS (
        SELECT FROM {schema}.thread_gates AS g
        WHERE g.post_uri = p.root_uri AND to_jsonb(g) -> 'hidden_replies' ? p.uri)
  )
  SELECT b.depth, b.uri, b.parent_uri, b.author_did, b.text, b.created_at
  FROM below AS b ORDER BY b.depth, b.created_at, b.uri LIMIT most
$$;
