-- What records say of other records. The write path and the rebuild call the same functions, so that they cannot differ.
-- {did}: the pattern of a DID.
-- {max_uri_chars}, {max_did_chars}, {max_cid_chars}: the widths of the columns.

-- The URI in a reference, if it is that of a record of the collection (https://atproto.com/specs/at-uri-scheme).
CREATE OR REPLACE FUNCTION unified_worker.referred(p_ref jsonb, p_collection text) RETURNS text LANGUAGE sql IMMUTABLE AS
$referred$
  SELECT CASE WHEN jsonb_typeof(p_ref -> 'uri') = 'string' AND length(p_ref ->> 'uri') <= {max_uri_chars}
    AND p_ref ->> 'uri' ~ '^at://{did}/[^/]+/[a-zA-Z0-9._:~-]+$'
    AND split_part(p_ref ->> 'uri', '/', 4) = p_collection AND split_part(p_ref ->> 'uri', '/', 5) NOT IN ('.', '..')
    AND length(split_part(p_ref ->> 'uri', '/', 3)) <= {max_did_chars}
  THEN p_ref ->> 'uri' END
$referred$;

-- A post embeds a record alone or with media (lexicons app.bsky.embed.record, recordWithMedia); a quote is of a post.
CREATE OR REPLACE FUNCTION unified_worker.quoted_ref(p_embed jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$quoted$
  SELECT CASE p_embed ->> '$type' WHEN 'app.bsky.embed.record' THEN p_embed -> 'record'
    WHEN 'app.bsky.embed.recordWithMedia' THEN p_embed -> 'record' -> 'record' END
$quoted$;

CREATE OR REPLACE FUNCTION unified_worker.quoted_cid(p_embed jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
$quoted$ SELECT unified_worker.quoted_ref(p_embed) ->> 'cid' $quoted$;

CREATE OR REPLACE FUNCTION unified_worker.quoted(p_embed jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
$quoted$
  SELECT CASE WHEN jsonb_typeof(ref -> 'cid') = 'string' AND length(ref ->> 'cid') <= {max_cid_chars}
    THEN unified_worker.referred(ref, 'app.bsky.feed.post') END
  FROM (SELECT unified_worker.quoted_ref(p_embed) AS ref) AS embedded
$quoted$;

-- Whom a text mentions: by its facets' DIDs, each once (lexicon app.bsky.richtext.facet).
CREATE OR REPLACE FUNCTION unified_worker.mentioned(p_facets jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS
$mentioned$
  SELECT DISTINCT feature ->> 'did'
  FROM jsonb_array_elements(CASE jsonb_typeof(p_facets) WHEN 'array' THEN p_facets ELSE '[]' END) AS facet,
    jsonb_array_elements(CASE jsonb_typeof(facet -> 'features') WHEN 'array' THEN facet -> 'features' ELSE '[]' END) AS feature
  WHERE feature ->> '$type' = 'app.bsky.richtext.facet#mention' AND jsonb_typeof(feature -> 'did') = 'string'
    AND length(feature ->> 'did') <= {max_did_chars} AND feature ->> 'did' ~ '^{did}$'
$mentioned$;

-- The instant in a key that is a TID (https://atproto.com/specs/tid), null of any other.
CREATE OR REPLACE FUNCTION unified_worker.tid_time(p_key text) RETURNS timestamptz LANGUAGE sql STABLE AS
$tid$
  SELECT CASE WHEN p_key ~ '^[2-7a-j][2-7a-z]{12}$' THEN to_timestamp(floor((
    SELECT sum((strpos('234567abcdefghijklmnopqrstuvwxyz', substr(p_key, n, 1)) - 1) * 32::numeric ^ (13 - n))
    FROM generate_series(1, 13) AS n) / 1024)::float8 / 1000000) END
$tid$;
