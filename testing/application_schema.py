"""The tables as an application made them before the worker came: its types, its indexes, its columns that nobody told us of.

They are the page's that lists them (../shared/schema.md; test_application_schema.py compares). Where it leaves a column's type
open, the column has the one that such an application takes: text, and varchar(255) for names of accounts and hosts.
"""

COMMIT = "commit_time timestamp, commit_seq varchar(32), commit_rev varchar(64)"
RECORD = "uri varchar(512) PRIMARY KEY, cid varchar(255) NOT NULL"
TIMES = "created_at timestamp NOT NULL, indexed_at timestamp"
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
CREATE TABLE blocks (
  uri varchar(512) PRIMARY KEY, blocker_did varchar(255) NOT NULL, blocked_did varchar(255) NOT NULL, {TIMES}, {COMMIT}
);
CREATE UNIQUE INDEX unique_block ON blocks (blocker_did, blocked_did);
CREATE TABLE lists (
  {RECORD}, creator_did varchar(255) NOT NULL, name text NOT NULL, purpose varchar(64) NOT NULL, description text,
  avatar_url text, {TIMES}
);
CREATE TABLE list_items ({RECORD}, list_uri varchar(512) NOT NULL, subject_did varchar(255) NOT NULL, {TIMES});
CREATE UNIQUE INDEX unique_list_item ON list_items (list_uri, subject_did);
CREATE TABLE list_blocks (
  uri varchar(512) PRIMARY KEY, blocker_did varchar(255) NOT NULL, list_uri varchar(512) NOT NULL, {TIMES}
);
CREATE UNIQUE INDEX unique_list_block ON list_blocks (blocker_did, list_uri);
CREATE TABLE feed_generators (
  {RECORD}, creator_did varchar(255) NOT NULL, did varchar(255) NOT NULL, display_name text NOT NULL, description text,
  avatar_url text, like_count integer NOT NULL DEFAULT 0, {TIMES}
);
CREATE TABLE starter_packs (
  {RECORD}, creator_did varchar(255) NOT NULL, name text NOT NULL, description text, list_uri varchar(512),
  feeds jsonb NOT NULL DEFAULT '[]', {TIMES}
);
CREATE TABLE labeler_services (
  {RECORD}, creator_did varchar(255) NOT NULL, policies jsonb NOT NULL, like_count integer NOT NULL DEFAULT 0, {TIMES}
);
CREATE TABLE verifications (
  {RECORD}, subject_did varchar(255) NOT NULL, handle varchar(255) NOT NULL, verified_at timestamp NOT NULL, {TIMES}
);
CREATE UNIQUE INDEX unique_verification ON verifications (subject_did);
CREATE TABLE thread_gates (
  post_uri varchar(512) PRIMARY KEY, owner_did varchar(255) NOT NULL, allow_mentions boolean NOT NULL DEFAULT true,
  allow_following boolean NOT NULL DEFAULT true, allow_list_members boolean NOT NULL DEFAULT false,
  allow_list_uris jsonb NOT NULL DEFAULT '[]', created_at timestamp, updated_at timestamp
);
CREATE TABLE post_gates (
  post_uri varchar(512) PRIMARY KEY, embedding_rules jsonb NOT NULL DEFAULT '{{}}', created_at timestamp
);
CREATE TABLE generic_records (
  {RECORD}, author_did varchar(255) NOT NULL, record_type text NOT NULL, record jsonb NOT NULL, {TIMES}
);
CREATE INDEX idx_generic_records_author ON generic_records (author_did);
CREATE INDEX idx_generic_records_type ON generic_records (record_type);
CREATE INDEX idx_generic_records_created ON generic_records (created_at);
CREATE TABLE post_aggregations (
  post_uri varchar(512) PRIMARY KEY, like_count integer NOT NULL DEFAULT 0, repost_count integer NOT NULL DEFAULT 0,
  reply_count integer NOT NULL DEFAULT 0, bookmark_count integer NOT NULL DEFAULT 0, quote_count integer NOT NULL DEFAULT 0,
  created_at timestamp, updated_at timestamp
);
CREATE TABLE feed_items (
  uri varchar(512) PRIMARY KEY, post_uri varchar(512) NOT NULL, originator_did varchar(255) NOT NULL,
  type varchar(32) NOT NULL, sort_at timestamp NOT NULL, cid varchar(255) NOT NULL, {TIMES}
);
CREATE INDEX idx_feed_items_originator ON feed_items (originator_did);
CREATE INDEX idx_feed_items_post ON feed_items (post_uri);
CREATE INDEX idx_feed_items_sort ON feed_items (sort_at);
CREATE INDEX idx_feed_items_type ON feed_items (type);
CREATE INDEX idx_feed_items_originator_sort ON feed_items (originator_did, sort_at DESC);
CREATE TABLE quotes (
  {RECORD}, post_uri varchar(512) NOT NULL, quoted_uri varchar(512) NOT NULL, quoted_cid varchar(255), {TIMES}
);
CREATE UNIQUE INDEX unique_quote ON quotes (post_uri, quoted_uri);
CREATE TABLE post_viewer_states (
  post_uri varchar(512) NOT NULL, viewer_did varchar(255) NOT NULL, like_uri varchar(512), repost_uri varchar(512),
  bookmarked boolean NOT NULL DEFAULT false, thread_muted boolean NOT NULL DEFAULT false,
  reply_disabled boolean NOT NULL DEFAULT false, embedding_disabled boolean NOT NULL DEFAULT false,
  pinned boolean NOT NULL DEFAULT false, created_at timestamp, updated_at timestamp
);
CREATE UNIQUE INDEX unique_viewer_state ON post_viewer_states (post_uri, viewer_did);
CREATE TABLE thread_contexts (
  post_uri varchar(512) PRIMARY KEY, root_author_like_uri varchar(512), created_at timestamp, updated_at timestamp
);
CREATE TABLE notifications (
  id serial PRIMARY KEY, uri varchar(512) NOT NULL UNIQUE, recipient_did varchar(255) NOT NULL,
  author_did varchar(255) NOT NULL, reason varchar(64) NOT NULL, reason_subject varchar(512), cid varchar(255),
  is_read boolean NOT NULL DEFAULT false, {TIMES}
);
CREATE TABLE user_settings (
  user_did varchar(255) PRIMARY KEY, data_collection_forbidden boolean NOT NULL DEFAULT false, theme text,
  blocked_keywords jsonb NOT NULL DEFAULT '[]', muted_users jsonb NOT NULL DEFAULT '[]',
  created_at timestamp NOT NULL DEFAULT now(), updated_at timestamp NOT NULL DEFAULT now()
);
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
UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT tgisinternal
ORDER BY line
"""
