"""The rebuild's statements that no record type declares: for rows without content, and for tables that show a count themselves.

Texts are templates: {schema} is where the tables are, {rows} a chunk's rows, {range} the condition on the alias t by which they
are found. What is right is not touched. `posts.tags` holds record fields, and stays.
"""

from unified_indexer.records.base.derived_tables import COUNTS, FLAGS

EMPTY_STATES = f"""DELETE FROM {{schema}}.post_viewer_states AS t
    WHERE {{range}} AND t.like_uri IS NULL AND t.repost_uri IS NULL AND NOT ({" OR ".join(f"t.{flag}" for flag in FLAGS)})"""
EMPTY_COUNTS = f"""DELETE FROM {{schema}}.post_aggregations AS t
    WHERE {{range}} AND {" AND ".join(f"t.{count} = 0" for count in (*COUNTS, "bookmark_count"))}"""


def shown(column: str, table: str) -> str:
    """The statement for a count that the subject's own table shows."""
    return f"""UPDATE {{schema}}.{table} AS s SET {column} = x.shown
    FROM (SELECT t.uri, coalesce(a.{column}, 0) AS shown FROM {{rows}} AS t
      LEFT JOIN {{schema}}.post_aggregations AS a ON a.post_uri = t.uri) AS x
    WHERE s.uri = x.uri AND s.{column} <> x.shown"""
