-- Active accounts with what they say of themselves. Each count reads the rows that it counts, where a query asks for it.
-- {schema}: where the record tables are. {keys}: the collation of their keys.
CREATE OR REPLACE FUNCTION unified_views.profiles() RETURNS TABLE (
  did text, handle text, display_name text, description text, avatar_url text, banner_url text, pinned_post jsonb,
  followers bigint, follows bigint, posts bigint, search_vector tsvector, created_at {schema}.users.created_at%TYPE,
  indexed_at {schema}.users.indexed_at%TYPE
) LANGUAGE sql STABLE AS $$
  SELECT u.did, u.handle, u.display_name, u.description, u.avatar_url, u.banner_url, u.pinned_post,
    (SELECT count(*) FROM {schema}.follows AS f WHERE f.following_did = u.did),
    (SELECT count(*) FROM {schema}.follows AS f WHERE f.follower_did = u.did),
    (SELECT count(*) FROM {schema}.posts AS p WHERE p.author_did = u.did), u.search_vector, u.created_at, u.indexed_at
  FROM {schema}.users AS u
  WHERE NOT EXISTS (SELECT FROM unified_worker.repos AS r WHERE r.did = u.did AND NOT r.active)
$$;
CREATE OR REPLACE VIEW unified_views.profiles AS
SELECT did COLLATE {keys} AS did, handle COLLATE {keys} AS handle, display_name, description, avatar_url, banner_url,
  pinned_post, followers, follows, posts, search_vector, created_at, indexed_at
FROM unified_views.profiles();
