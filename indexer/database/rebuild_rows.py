"""What derived rows should be, as SQL over the record tables: queries of rows, and the statements that make it so.

Texts are templates: {schema} is where the tables are, {rows} a chunk's rows, {range} the condition on the alias t by which they
are found. What is right is not touched.

The CIDs of likes, reposts and follows, and when a profile was written, are in no record table: rows that are there keep them; a
repost's missing feed item gets its subject's CID, a missing notification none. `posts.tags` holds record fields, and stays.
"""

from collections.abc import Sequence

from indexer.database.derived import COUNTS, FLAGS
from indexer.effects import MAX_URI_CHARS, authority


def correct(
    table: str,
    expected: str,
    compared: Sequence[str],
    *,
    kept: Sequence[str] = (),
    key: str = "uri",
    times: Sequence[str] = ("indexed_at",),
    unless: str = "false",
) -> str:
    """The statement that inserts the rows of the query `expected` that are missing, and corrects those that differ.

    `kept`: columns that only a missing row is given. `unless`: a condition on a row x that is not to be inserted."""
    columns = (key, *compared, *kept)
    updates = [f"{name} = excluded.{name}" for name in compared] + [
        "updated_at = now()" for name in times if name == "updated_at"
    ]
    old, new = (", ".join(f"{alias}.{name}" for name in compared) for alias in "ox")
    return f"""INSERT INTO {{schema}}.{table} ({", ".join((*columns, *times))})
    SELECT {", ".join((*(f"x.{name}" for name in columns), *("now()" for _ in times)))}
    FROM ({expected}) AS x LEFT JOIN {{schema}}.{table} AS o ON o.{key} = x.{key}
    WHERE CASE WHEN o.{key} IS NULL THEN NOT ({unless}) ELSE ({old}) IS DISTINCT FROM ({new}) END
    ON CONFLICT ({key}) DO UPDATE SET {", ".join(updates)}"""


QUOTED = f"""CASE WHEN t.embed ? 'record' AND length(t.uri) <= {MAX_URI_CHARS - len("#quote")}
      THEN unified_worker.quoted(t.embed) END"""
WRONG_QUOTES = f"""DELETE FROM {{schema}}.quotes AS q USING (SELECT t.uri, {QUOTED} AS quoted FROM {{rows}} AS t) AS x
    WHERE q.post_uri = x.uri AND (q.uri, q.quoted_uri) IS DISTINCT FROM (x.uri || '#quote', x.quoted)"""
QUOTES = correct(
    "quotes",
    f"""SELECT * FROM (SELECT t.uri || '#quote' AS uri, t.cid, t.uri AS post_uri, {QUOTED} AS quoted_uri,
      unified_worker.quoted_cid(t.embed) AS quoted_cid, t.created_at FROM {{rows}} AS t WHERE t.embed ? 'record') AS q
      WHERE q.quoted_uri IS NOT NULL""",
    ("cid", "post_uri", "quoted_uri", "quoted_cid", "created_at"),
)
# What the gates say, by the functions that the write path asks; and words to be found by, where there are none yet.
POST_COLUMNS = """UPDATE {schema}.posts AS p SET has_thread_gate = x.thread_gated, has_post_gate = x.post_gated,
      violates_thread_gate = x.intrudes, violates_embedding_rules = x.embeds,
      search_vector = coalesce(p.search_vector, to_tsvector('simple', left(p.text, 25000)))
    FROM (
      SELECT t.uri, g.post_uri IS NOT NULL AS thread_gated, e.post_uri IS NOT NULL AS post_gated,
        CASE WHEN t.parent_uri IS NOT NULL AND r.post_uri IS NOT NULL THEN
          unified_worker.violates_thread_gate(t.root_uri, t.author_did, coalesce(t.commit_time, t.created_at))
        ELSE false END AS intrudes,
        coalesce(unified_worker.disables_quotes(d.embedding_rules), false) AS embeds
      FROM {rows} AS t LEFT JOIN {schema}.thread_gates AS g ON g.post_uri = t.uri
      LEFT JOIN {schema}.post_gates AS e ON e.post_uri = t.uri
      LEFT JOIN {schema}.thread_gates AS r ON r.post_uri = t.root_uri
      LEFT JOIN {schema}.quotes AS q ON q.post_uri = t.uri
      LEFT JOIN {schema}.post_gates AS d ON d.post_uri = q.quoted_uri) AS x
    WHERE p.uri = x.uri AND (p.search_vector IS NULL OR
      (p.has_thread_gate, p.has_post_gate, p.violates_thread_gate, p.violates_embedding_rules)
        IS DISTINCT FROM (x.thread_gated, x.post_gated, x.intrudes, x.embeds))"""
POST_ITEMS = correct(
    "feed_items",
    """SELECT t.uri, t.uri AS post_uri, t.author_did AS originator_did, t.cid, t.created_at,
      CASE WHEN t.parent_uri IS NULL THEN 'post' ELSE 'reply' END AS type, least(t.created_at, t.commit_time) AS sort_at
      FROM {rows} AS t""",
    ("post_uri", "originator_did", "type", "sort_at", "created_at", "cid"),
)
REPOST_ITEMS = correct(
    "feed_items",
    """SELECT t.uri, t.post_uri, t.user_did AS originator_did, coalesce(t.subject_cid, '') AS cid, t.created_at,
      'repost' AS type, least(t.created_at, t.commit_time) AS sort_at FROM {rows} AS t""",
    ("post_uri", "originator_did", "type", "sort_at", "created_at"),
    kept=("cid",),
)
THREAD_CONTEXTS = correct(
    "thread_contexts",
    f"""SELECT t.uri AS post_uri, l.uri AS root_author_like_uri FROM {{rows}} AS t LEFT JOIN {{schema}}.likes AS l
      ON l.user_did = {authority("t.root_uri")} AND l.post_uri = t.uri WHERE t.parent_uri IS NOT NULL""",
    ("root_author_like_uri",),
    key="post_uri",
    times=("created_at", "updated_at"),
)


# Before the posts, whose deletion asks for it.
THREAD_GATED = """UPDATE {schema}.posts AS p SET has_thread_gate = true FROM {rows} AS t
    WHERE p.uri = t.post_uri AND NOT p.has_thread_gate"""


def viewer_states(column: str) -> str:
    """The statement for `column` of the states that likes or reposts t make; those of no record are seen to by WRONG_STATES."""
    return f"""INSERT INTO {{schema}}.post_viewer_states (post_uri, viewer_did, {column}, created_at, updated_at)
    SELECT t.post_uri, t.user_did, t.uri, now(), now() FROM {{rows}} AS t LEFT JOIN {{schema}}.post_viewer_states AS o
      ON o.post_uri = t.post_uri AND o.viewer_did = t.user_did
    WHERE o.{column} IS DISTINCT FROM t.uri
    ON CONFLICT (post_uri, viewer_did) DO UPDATE SET {column} = excluded.{column}, updated_at = now()"""


# Words to be found by, where there are none yet.
USER_SEARCH = """UPDATE {schema}.users AS t SET search_vector = to_tsvector('simple', left(concat_ws(
      ' ', nullif(t.handle, 'handle.invalid'), nullif(t.display_name, ''), nullif(t.description, '')), 25000))
    WHERE {range} AND t.search_vector IS NULL AND (
      t.handle <> 'handle.invalid' OR t.display_name <> '' OR t.description <> '')"""
WRONG_STATES = """UPDATE {schema}.post_viewer_states AS s
    SET like_uri = x.like_uri, repost_uri = x.repost_uri, updated_at = now()
    FROM (SELECT t.post_uri, t.viewer_did, l.uri AS like_uri, r.uri AS repost_uri FROM {rows} AS t
      LEFT JOIN {schema}.likes AS l ON l.user_did = t.viewer_did AND l.post_uri = t.post_uri
      LEFT JOIN {schema}.reposts AS r ON r.user_did = t.viewer_did AND r.post_uri = t.post_uri) AS x
    WHERE s.post_uri = x.post_uri AND s.viewer_did = x.viewer_did
      AND (s.like_uri, s.repost_uri) IS DISTINCT FROM (x.like_uri, x.repost_uri)"""
EMPTY_STATES = f"""DELETE FROM {{schema}}.post_viewer_states AS t
    WHERE {{range}} AND t.like_uri IS NULL AND t.repost_uri IS NULL AND NOT ({" OR ".join(f"t.{flag}" for flag in FLAGS)})"""
LOST_QUOTES = """DELETE FROM {schema}.quotes AS t WHERE {range} AND NOT EXISTS (
      SELECT FROM {schema}.posts AS p WHERE p.uri = t.post_uri)"""
LOST_ITEMS = """DELETE FROM {schema}.feed_items AS t WHERE {range}
    AND NOT EXISTS (SELECT FROM {schema}.posts AS p WHERE p.uri = t.uri)
    AND NOT EXISTS (SELECT FROM {schema}.reposts AS r WHERE r.uri = t.uri)"""
LOST_CONTEXTS = """DELETE FROM {schema}.thread_contexts AS t WHERE {range} AND NOT EXISTS (
      SELECT FROM {schema}.posts AS p WHERE p.uri = t.post_uri AND p.parent_uri IS NOT NULL)"""


# Each count of post_aggregations: of the rows of a table whose column names the post.
COUNTED = {
    "like_count": ("likes", "post_uri"),
    "repost_count": ("reposts", "post_uri"),
    "reply_count": ("posts", "parent_uri"),
    "quote_count": ("quotes", "quoted_uri"),
}


def counts() -> str:
    """The statement for all counts of the URIs in the chunk's range, those that nothing names any more included."""
    sources = [f"SELECT s.post_uri, {', '.join(f'0 AS {count}' for count in COUNTS)} FROM {{schema}}.post_aggregations AS s"]
    sources += (
        f"SELECT s.{of}, {', '.join(str(int(count == counted)) for count in COUNTS)} FROM {{schema}}.{table} AS s"
        for counted, (table, of) in COUNTED.items()
    )
    separator = "\n      UNION ALL "
    return correct(
        "post_aggregations",
        f"""SELECT t.post_uri, {", ".join(f"sum(t.{count}) AS {count}" for count in COUNTS)} FROM (
      {separator.join(sources)}) AS t
      WHERE {{range}} GROUP BY t.post_uri""",
        COUNTS,
        key="post_uri",
        times=("created_at", "updated_at"),
    )


EMPTY_COUNTS = f"""DELETE FROM {{schema}}.post_aggregations AS t
    WHERE {{range}} AND {" AND ".join(f"t.{count} = 0" for count in (*COUNTS, "bookmark_count"))}"""


def shown(column: str, table: str) -> str:
    """The statement for the same count where the subject's own table shows it."""
    return f"""UPDATE {{schema}}.{table} AS s SET {column} = x.shown
    FROM (SELECT t.uri, coalesce(a.{column}, 0) AS shown FROM {{rows}} AS t
      LEFT JOIN {{schema}}.post_aggregations AS a ON a.post_uri = t.uri) AS x
    WHERE s.uri = x.uri AND s.{column} <> x.shown"""
