"""The statements of a rebuild that no effect says as rows: what gates say of posts, words, rows that are empty.

Texts are templates: {schema} is where the tables are, {rows} a chunk's rows, {range} the condition on the alias t by which they
are found. What is right is not touched. `posts.tags` holds record fields, and stays.
"""

from indexer.database.derived import COUNTS, FLAGS
from indexer.database.judging import came
from indexer.effects import MAX_URI_CHARS

QUOTED = f"""CASE WHEN t.embed ? 'record' AND length(t.uri) <= {MAX_URI_CHARS - len("#quote")}
      THEN unified_worker.quoted(t.embed) END"""
WRONG_QUOTES = f"""DELETE FROM {{schema}}.quotes AS q USING (SELECT t.uri, {QUOTED} AS quoted FROM {{rows}} AS t) AS x
    WHERE q.post_uri = x.uri AND (q.uri, q.quoted_uri) IS DISTINCT FROM (x.uri || '#quote', x.quoted)"""
# What the gates say, by the functions that the write path asks; and words to be found by, where there are none yet.
POST_COLUMNS = """UPDATE {schema}.posts AS p SET has_thread_gate = x.thread_gated, has_post_gate = x.post_gated,
      violates_thread_gate = x.intrudes, violates_embedding_rules = x.embeds,
      search_vector = coalesce(p.search_vector, to_tsvector('simple', left(p.text, 25000)))
    FROM (
      SELECT t.uri, g.post_uri IS NOT NULL AS thread_gated, e.post_uri IS NOT NULL AS post_gated,
        CASE WHEN t.parent_uri IS NULL OR r.post_uri IS NULL THEN false
          WHEN c.came < unified_worker.gate_since(t.root_uri) THEN t.violates_thread_gate  -- judged by a gate that was before
          ELSE unified_worker.violates_thread_gate(t.root_uri, t.author_did, c.came) END
          OR t.parent_uri IS NOT NULL AND t.parent_uri <> t.root_uri AND unified_worker.violates_parents_gate(
            t.parent_uri, t.root_uri, t.author_did, c.came, t.violates_thread_gate) AS intrudes,
        coalesce(unified_worker.disables_quotes(d.embedding_rules), false)
          AND t.author_did <> split_part(q.quoted_uri, '/', 3) AS embeds
      FROM {rows} AS t
      CROSS JOIN LATERAL (SELECT {came}) AS c (came)
      LEFT JOIN {schema}.thread_gates AS g ON g.post_uri = t.uri
      LEFT JOIN {schema}.post_gates AS e ON e.post_uri = t.uri
      LEFT JOIN {schema}.thread_gates AS r ON r.post_uri = t.root_uri
      LEFT JOIN {schema}.quotes AS q ON q.post_uri = t.uri
      LEFT JOIN {schema}.post_gates AS d ON d.post_uri = q.quoted_uri) AS x
    WHERE p.uri = x.uri AND (p.search_vector IS NULL OR
      (p.has_thread_gate, p.has_post_gate, p.violates_thread_gate, p.violates_embedding_rules)
        IS DISTINCT FROM (x.thread_gated, x.post_gated, x.intrudes, x.embeds))""".replace("{came}", came("t"))
# Before the posts, whose deletion asks for it.
THREAD_GATED = """UPDATE {schema}.posts AS p SET has_thread_gate = true FROM {rows} AS t
    WHERE p.uri = t.post_uri AND NOT p.has_thread_gate"""


# Words to be found by, where there are none yet.
USER_SEARCH = """UPDATE {schema}.users AS t SET search_vector = to_tsvector('simple', left(concat_ws(
      ' ', nullif(t.handle, 'handle.invalid'), nullif(t.display_name, ''), nullif(t.description, '')), 25000))
    WHERE {range} AND t.search_vector IS NULL AND (
      t.handle <> 'handle.invalid' OR t.display_name <> '' OR t.description <> '')"""
# By record table: before quotes are written, and after.
BEFORE = {"posts": (WRONG_QUOTES,), "thread_gates": (THREAD_GATED,), "users": (USER_SEARCH,)}
COLUMNS = {"posts": (POST_COLUMNS,)}
EMPTY_STATES = f"""DELETE FROM {{schema}}.post_viewer_states AS t
    WHERE {{range}} AND t.like_uri IS NULL AND t.repost_uri IS NULL AND NOT ({" OR ".join(f"t.{flag}" for flag in FLAGS)})"""
EMPTY_COUNTS = f"""DELETE FROM {{schema}}.post_aggregations AS t
    WHERE {{range}} AND {" AND ".join(f"t.{count} = 0" for count in (*COUNTS, "bookmark_count"))}"""


def shown(column: str, table: str) -> str:
    """The statement for the same count where the subject's own table shows it."""
    return f"""UPDATE {{schema}}.{table} AS s SET {column} = x.shown
    FROM (SELECT t.uri, coalesce(a.{column}, 0) AS shown FROM {{rows}} AS t
      LEFT JOIN {{schema}}.post_aggregations AS a ON a.post_uri = t.uri) AS x
    WHERE s.uri = x.uri AND s.{column} <> x.shown"""
