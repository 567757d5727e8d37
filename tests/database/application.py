"""The tables as an application made them before the worker came: its types, its indexes, its columns that nobody told us of."""

COMMIT = "commit_time timestamp, commit_seq varchar(32), commit_rev varchar(64)"
POINTER = f"""
  uri varchar(512) PRIMARY KEY, user_did varchar(255) NOT NULL, post_uri varchar(512) NOT NULL, subject_cid varchar(255),
  via jsonb, created_at timestamp NOT NULL, indexed_at timestamp NOT NULL DEFAULT now(), {COMMIT}
"""
TABLES = f"""
CREATE TABLE users (
  did varchar(255) PRIMARY KEY, handle varchar(255) NOT NULL, display_name text, avatar_url text, banner_url text,
  description text, profile_record jsonb, pinned_post jsonb, search_vector tsvector,
  created_at timestamp NOT NULL DEFAULT now(), indexed_at timestamp NOT NULL DEFAULT now()
);
CREATE INDEX idx_users_handle ON users (handle);
CREATE TABLE posts (
  uri varchar(512) PRIMARY KEY, cid varchar(255) NOT NULL, author_did varchar(255) NOT NULL, text text NOT NULL, langs jsonb,
  parent_uri varchar(512), parent_cid varchar(255), root_uri varchar(512), root_cid varchar(255), embed jsonb, facets jsonb,
  violates_thread_gate boolean NOT NULL DEFAULT false, violates_embedding_rules boolean NOT NULL DEFAULT false,
  has_thread_gate boolean NOT NULL DEFAULT false, has_post_gate boolean NOT NULL DEFAULT false,
  tags jsonb NOT NULL DEFAULT '[]', search_vector tsvector,
  created_at timestamp NOT NULL, indexed_at timestamp NOT NULL DEFAULT now(), {COMMIT}
);
CREATE INDEX idx_posts_author ON posts (author_did);
CREATE INDEX idx_posts_indexed_at ON posts (indexed_at);
CREATE INDEX idx_posts_created ON posts (created_at DESC, author_did);
CREATE INDEX idx_posts_parent ON posts (parent_uri);
CREATE INDEX idx_posts_root ON posts (root_uri);
CREATE INDEX idx_posts_search ON posts USING gin (search_vector);
CREATE INDEX idx_posts_commit ON posts (commit_seq, commit_time);
CREATE TABLE likes ({POINTER});
CREATE INDEX idx_likes_user ON likes (user_did);
CREATE INDEX idx_likes_post ON likes (post_uri);
CREATE UNIQUE INDEX unique_like ON likes (user_did, post_uri);
CREATE TABLE reposts ({POINTER});
CREATE INDEX idx_reposts_user ON reposts (user_did);
CREATE INDEX idx_reposts_post ON reposts (post_uri);
CREATE UNIQUE INDEX unique_repost ON reposts (user_did, post_uri);
CREATE TABLE follows (
  uri varchar(512) PRIMARY KEY, follower_did varchar(255) NOT NULL, following_did varchar(255) NOT NULL,
  created_at timestamp NOT NULL, indexed_at timestamp NOT NULL DEFAULT now(), {COMMIT}
);
CREATE INDEX idx_follows_follower ON follows (follower_did);
CREATE INDEX idx_follows_following ON follows (following_did);
CREATE UNIQUE INDEX unique_follow ON follows (follower_did, following_did);
CREATE TABLE firehose_cursor (
  id serial PRIMARY KEY, service varchar(255) NOT NULL, cursor text, last_event_time timestamp,
  updated_at timestamp NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX unique_service ON firehose_cursor (service);
"""

# What stands in the catalog about the tables of `public`: equal before and after, nothing was altered.
CATALOG = """
SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
  || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '') AS line
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S', 'v') AND a.attnum > 0
UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class AS c ON c.oid = indrelid
WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
ORDER BY line
"""
