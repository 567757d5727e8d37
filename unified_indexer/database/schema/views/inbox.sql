-- What others did that concerns an account, the newest first.
-- {schema}: where the record tables are.
CREATE OR REPLACE FUNCTION unified_views.inbox(
  viewer text, before {schema}.notifications.created_at%TYPE DEFAULT 'infinity', most integer DEFAULT 50
) RETURNS TABLE (
  created_at {schema}.notifications.created_at%TYPE, reason text, author_did text, reason_subject text, is_read boolean
) LANGUAGE sql STABLE AS $$
  WITH hidden AS (SELECT h.did FROM unified_views.hidden(viewer) AS h)
  SELECT n.created_at, n.reason, n.author_did, n.reason_subject, n.is_read
  FROM {schema}.notifications AS n
  WHERE n.recipient_did = viewer AND n.created_at < before
    AND NOT EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = n.author_did AND NOT r.active)
    AND n.author_did NOT IN (SELECT h.did FROM hidden AS h)
    AND NOT EXISTS (
      SELECT FROM {schema}.posts AS p WHERE n.reason = 'mention' AND p.uri = n.reason_subject AND p.violates_thread_gate)
  ORDER BY n.created_at DESC
  LIMIT most
$$;
