-- Posts that anybody may see, with their author's names and their counts. A view, so that any condition finds its index.
-- {schema}: where the record tables are. {keys}: the collation of their keys.
CREATE OR REPLACE FUNCTION unified_views.active_posts() RETURNS TABLE (
  uri text, cid text, author_did text, handle text, display_name text, text text, langs jsonb, tags jsonb, facets jsonb,
  embed jsonb, parent_uri text, root_uri text, like_count integer, repost_count integer, reply_count integer,
  quote_count integer, search_vector tsvector, created_at {schema}.posts.created_at%TYPE,
  indexed_at {schema}.posts.indexed_at%TYPE
) LANGUAGE sql STABLE AS $$
  SELECT p.uri, p.cid, p.author_did, u.handle, u.display_name, p.text, p.langs, p.tags, p.facets,
    CASE WHEN NOT p.violates_embedding_rules THEN p.embed END, p.parent_uri, p.root_uri, coalesce(a.like_count, 0),
    coalesce(a.repost_count, 0), coalesce(a.reply_count, 0), coalesce(a.quote_count, 0), p.search_vector, p.created_at,
    p.indexed_at
  FROM {schema}.posts AS p
  LEFT JOIN {schema}.users AS u ON u.did = p.author_did
  LEFT JOIN {schema}.post_aggregations AS a ON a.post_uri = p.uri
  WHERE NOT p.violates_thread_gate
    AND NOT EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = p.author_did AND NOT r.active)
$$;
CREATE OR REPLACE VIEW unified_views.active_posts AS
SELECT uri COLLATE {keys} AS uri, cid, author_did COLLATE {keys} AS author_did, handle COLLATE {keys} AS handle, display_name,
  text, langs, tags, facets, embed, parent_uri COLLATE {keys} AS parent_uri, root_uri COLLATE {keys} AS root_uri, like_count,
  repost_count, reply_count, quote_count, search_vector, created_at, indexed_at
FROM unified_views.active_posts();
