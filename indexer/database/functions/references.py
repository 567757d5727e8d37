"""What records say of other records, read by SQL functions: the write path and the rebuilding of derived rows must not differ.

And the locks where records of several repos meet (a like and the reply that it is of, a gate and a reply). A commit takes them
before it looks at, or writes, anything of another repo's: all at once, in order, so that two commits never wait for each other.
They are advisory locks, whose keys are numbers: 30 bits of the place's hash.
"""

import hashlib
from collections.abc import Mapping

from indexer.records.base.effects import MAX_URI_CHARS
from indexer.records.base.record_type import MAX_CID_CHARS, MAX_DID_CHARS

LOCK_CLASS = int.from_bytes(hashlib.sha256(b"unified_worker:meet").digest()[:4], "big") >> 1

DID = "did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]"

# The URI in a reference, if it is that of a record of the collection (https://atproto.com/specs/at-uri-scheme).
REFERRED = f"""
CREATE OR REPLACE FUNCTION unified_worker.referred(p_ref jsonb, p_collection text) RETURNS text LANGUAGE sql IMMUTABLE AS
$referred$
  SELECT CASE WHEN jsonb_typeof(p_ref -> 'uri') = 'string' AND length(p_ref ->> 'uri') <= {MAX_URI_CHARS}
    AND p_ref ->> 'uri' ~ '^at://{DID}/[^/]+/[a-zA-Z0-9._:~-]+$'
    AND split_part(p_ref ->> 'uri', '/', 4) = p_collection AND split_part(p_ref ->> 'uri', '/', 5) NOT IN ('.', '..')
    AND length(split_part(p_ref ->> 'uri', '/', 3)) <= {MAX_DID_CHARS}
  THEN p_ref ->> 'uri' END
$referred$;
"""
# A post embeds a record alone or with media (lexicons app.bsky.embed.record, recordWithMedia); a quote is of a post.
QUOTED_REF = """
CREATE OR REPLACE FUNCTION unified_worker.quoted_ref(p_embed jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$quoted$
  SELECT CASE p_embed ->> '$type' WHEN 'app.bsky.embed.record' THEN p_embed -> 'record'
    WHEN 'app.bsky.embed.recordWithMedia' THEN p_embed -> 'record' -> 'record' END
$quoted$;
"""
QUOTED_CID = """
CREATE OR REPLACE FUNCTION unified_worker.quoted_cid(p_embed jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
$quoted$ SELECT unified_worker.quoted_ref(p_embed) ->> 'cid' $quoted$;
"""
QUOTED = f"""
CREATE OR REPLACE FUNCTION unified_worker.quoted(p_embed jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
$quoted$
  SELECT CASE WHEN jsonb_typeof(ref -> 'cid') = 'string' AND length(ref ->> 'cid') <= {MAX_CID_CHARS}
    THEN unified_worker.referred(ref, 'app.bsky.feed.post') END
  FROM (SELECT unified_worker.quoted_ref(p_embed) AS ref) AS embedded
$quoted$;
"""
# Whom a text mentions: by its facets' DIDs, each once (lexicon app.bsky.richtext.facet).
MENTIONED = f"""
CREATE OR REPLACE FUNCTION unified_worker.mentioned(p_facets jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS
$mentioned$
  SELECT DISTINCT feature ->> 'did'
  FROM jsonb_array_elements(CASE jsonb_typeof(p_facets) WHEN 'array' THEN p_facets ELSE '[]' END) AS facet,
    jsonb_array_elements(CASE jsonb_typeof(facet -> 'features') WHEN 'array' THEN facet -> 'features' ELSE '[]' END) AS feature
  WHERE feature ->> '$type' = 'app.bsky.richtext.facet#mention' AND jsonb_typeof(feature -> 'did') = 'string'
    AND length(feature ->> 'did') <= {MAX_DID_CHARS} AND feature ->> 'did' ~ '^{DID}$'
$mentioned$;
"""

# As `batch.bucket` says it in Python.
BUCKET = """
CREATE OR REPLACE FUNCTION unified_worker.bucket(p_meet text) RETURNS int LANGUAGE sql STABLE AS
$bucket$
  SELECT (get_byte(sha, 0) % 64 << 24) + (get_byte(sha, 1) << 16) + (get_byte(sha, 2) << 8) + get_byte(sha, 3)
  FROM (SELECT sha256(convert_to(p_meet, 'UTF8')) AS sha) AS hashed
$bucket$;
"""
LOCK = f"""
CREATE OR REPLACE FUNCTION unified_worker.lock(p_meets text[]) RETURNS void LANGUAGE plpgsql AS
$lock$
DECLARE
  v_bucket int; v_locked text;
BEGIN
  FOR v_bucket IN
    SELECT DISTINCT unified_worker.bucket(m) AS b FROM unnest(p_meets) AS m WHERE m IS NOT NULL ORDER BY b
  LOOP
    v_locked := pg_advisory_xact_lock({LOCK_CLASS}, v_bucket)::text;  -- PERFORM would cost ten times as much
  END LOOP;
END $lock$;
"""

# What a commit's records replace or delete has places to meet of its own, which the frame does not name.
LOCK_COMMIT = """
CREATE OR REPLACE FUNCTION unified_worker.lock_commit(p_buckets int[], p_uris text[]) RETURNS void LANGUAGE plpgsql AS $lock$
DECLARE
  v_collection text; v_uris text[]; v_meets text[]; v_bucket int; v_locked text;
BEGIN
  FOR v_collection, v_uris IN
    SELECT split_part(u, '/', 4), array_agg(u) FROM unnest(p_uris) AS u WHERE u IS NOT NULL GROUP BY 1
  LOOP
    CASE v_collection
{meetings}
      ELSE NULL;
    END CASE;
  END LOOP;
  FOR v_bucket IN
    SELECT unnest(p_buckets) UNION SELECT unified_worker.bucket(m) FROM unnest(v_meets) AS m WHERE m IS NOT NULL ORDER BY 1
  LOOP
    v_locked := pg_advisory_xact_lock({lock_class}, v_bucket)::text;
  END LOOP;
END $lock$;
"""
LOCK_ARM = """\
      WHEN '{collection}' THEN
        v_meets := v_meets || ARRAY({meeting});"""

# The instant in a key that is a TID (https://atproto.com/specs/tid), null of any other.
TID_TIME = """
CREATE OR REPLACE FUNCTION unified_worker.tid_time(p_key text) RETURNS timestamptz LANGUAGE sql STABLE AS
$tid$
  SELECT CASE WHEN p_key ~ '^[2-7a-j][2-7a-z]{12}$' THEN to_timestamp(floor((
    SELECT sum((strpos('234567abcdefghijklmnopqrstuvwxyz', substr(p_key, n, 1)) - 1) * 32::numeric ^ (13 - n))
    FROM generate_series(1, 13) AS n) / 1024)::float8 / 1000000) END
$tid$;
"""

REFERENCES = (REFERRED, QUOTED_REF, QUOTED_CID, QUOTED, MENTIONED, TID_TIME, BUCKET, LOCK)


def lock_commit(meetings: Mapping[str, str]) -> str:
    """The function that takes all locks of a commit of several operations. `meetings`: by collection, the query for where the
    rows at the URIs `v_uris` meet others."""
    arms = "\n".join(LOCK_ARM.format(collection=collection, meeting=meeting) for collection, meeting in meetings.items())
    return LOCK_COMMIT.format(meetings=arms, lock_class=LOCK_CLASS)
