-- Whom an account does not see: who blocks it or is blocked by it, directly or by a list. No rows for nobody (NULL).
-- {schema}: where the record tables are.
CREATE OR REPLACE FUNCTION unified_views.hidden(viewer text) RETURNS TABLE (did text) LANGUAGE sql STABLE AS $$
  SELECT b.blocked_did FROM {schema}.blocks AS b WHERE b.blocker_did = viewer
  UNION SELECT b.blocker_did FROM {schema}.blocks AS b WHERE b.blocked_did = viewer
  UNION SELECT i.subject_did FROM {schema}.list_blocks AS l JOIN {schema}.list_items AS i ON i.list_uri = l.list_uri
    WHERE l.blocker_did = viewer
  UNION SELECT l.blocker_did FROM {schema}.list_items AS i JOIN {schema}.list_blocks AS l ON l.list_uri = i.list_uri
    WHERE i.subject_did = viewer
$$;
