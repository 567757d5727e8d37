"""Thread gates and post gates: whether a gate admits somebody is checked when a post is written, and again when its gate
changes.

The questions themselves are functions of the database (functions/judging.sql).
"""

from typing import Any

from unified_indexer.errors import Rejected
from unified_indexer.records.base.columns import KEY, Column
from unified_indexer.records.base.effects import Effect, came
from unified_indexer.records.base.fields import check_record_uri, optional, required_text
from unified_indexer.records.base.quotes import QUOTED
from unified_indexer.records.base.values import Record, RecordAddress

MAX_RULES = 100  # of a gate; the lexicons say 5

OF_POST = Column(
    name="post_uri",
    type=f"{KEY} PRIMARY KEY",
    value="'at://' || p_did || '/app.bsky.feed.post/' || split_part(v_uri, '/', 5)",
)

# A post's columns that gates decide: what others' gates forbid, and which gates it has itself.
VERDICTS = (
    Column(
        name="violates_thread_gate",
        type="boolean NOT NULL DEFAULT false",
        first="false",
        value="v_subject IS NOT NULL AND (unified_worker.violates_thread_gate(v_rest ->> 'root', p_did, p_at) OR "
        "v_subject <> v_rest ->> 'root' AND "
        "unified_worker.violates_parents_gate(v_subject, v_rest ->> 'root', p_did, p_at, false))",
    ),
    Column(
        name="violates_embedding_rules",
        type="boolean NOT NULL DEFAULT false",
        first="false",
        value="v_rest ? 'quotes' AND EXISTS (SELECT FROM {schema}.post_gates AS g "
        f"WHERE g.post_uri = {QUOTED} AND split_part(g.post_uri, '/', 3) <> p_did "
        "AND unified_worker.disables_quotes(g.embedding_rules))",
    ),
    Column(
        name="has_thread_gate",
        type="boolean NOT NULL DEFAULT false",
        first="false",
        value="EXISTS (SELECT FROM {schema}.thread_gates AS g WHERE g.post_uri = v_uri)",
    ),
    Column(
        name="has_post_gate",
        type="boolean NOT NULL DEFAULT false",
        first="false",
        value="EXISTS (SELECT FROM {schema}.post_gates AS g WHERE g.post_uri = v_uri)",
    ),
)
VERDICTS_INTO = "has_thread_gate, t.violates_thread_gate, t.violates_embedding_rules INTO v_gated, v_intrudes, v_embeds"

# What the gates say, by the functions that the write path asks; and words to be found by, where there are none yet.
JUDGED = f"""UPDATE {{schema}}.posts AS p SET has_thread_gate = x.thread_gated, has_post_gate = x.post_gated,
      violates_thread_gate = x.intrudes, violates_embedding_rules = x.embeds,
      search_vector = coalesce(p.search_vector, to_tsvector('simple', unified_worker.searchable(p.text)))
    FROM (
      SELECT t.uri, g.post_uri IS NOT NULL AS thread_gated, e.post_uri IS NOT NULL AS post_gated,
        CASE WHEN t.parent_uri IS NULL OR of_root.post_uri IS NULL THEN false
          WHEN c.came < unified_worker.gate_since(t.root_uri) THEN t.violates_thread_gate  -- judged by a gate that was before
          ELSE unified_worker.violates_thread_gate(t.root_uri, t.author_did, c.came) END
          OR t.parent_uri IS NOT NULL AND t.parent_uri <> t.root_uri AND unified_worker.violates_parents_gate(
            t.parent_uri, t.root_uri, t.author_did, c.came, t.violates_thread_gate) AS intrudes,
        coalesce(unified_worker.disables_quotes(d.embedding_rules), false)
          AND t.author_did <> split_part(q.quoted_uri, '/', 3) AS embeds
      FROM {{rows}} AS t
      CROSS JOIN LATERAL (SELECT {came("t")}) AS c (came)
      LEFT JOIN {{schema}}.thread_gates AS g ON g.post_uri = t.uri
      LEFT JOIN {{schema}}.post_gates AS e ON e.post_uri = t.uri
      LEFT JOIN {{schema}}.thread_gates AS of_root ON of_root.post_uri = t.root_uri
      LEFT JOIN {{schema}}.quotes AS q ON q.post_uri = t.uri
      LEFT JOIN {{schema}}.post_gates AS d ON d.post_uri = q.quoted_uri) AS x
    WHERE p.uri = x.uri AND (p.search_vector IS NULL OR
      (p.has_thread_gate, p.has_post_gate, p.violates_thread_gate, p.violates_embedding_rules)
        IS DISTINCT FROM (x.thread_gated, x.post_gated, x.intrudes, x.embeds))"""
# Whether a post has a gate, is in a thread that has one, answers into one, or quotes a post that has one.
MEETS_GATE = """(SELECT true FROM {schema}.thread_gates AS g WHERE g.post_uri IN (v_uri, {root_uri}) LIMIT 1)
      OR (SELECT true FROM {schema}.post_gates AS g WHERE g.post_uri = v_uri LIMIT 1)
      OR (SELECT true FROM {schema}.quotes AS q JOIN {schema}.post_gates AS g ON g.post_uri = q.quoted_uri
        WHERE q.post_uri = v_uri LIMIT 1)
      OR {parent_uri} <> {root_uri} AND (
        SELECT true FROM {schema}.posts AS p JOIN {schema}.thread_gates AS g ON g.post_uri = coalesce(p.root_uri, p.uri)
        WHERE p.uri = {parent_uri} LIMIT 1)"""
THIS_ONE = "(SELECT o.* FROM {schema}.posts AS o WHERE o.uri = v_uri)"
JUDGED_ALONE = f"""
{JUDGED.replace("{rows}", THIS_ONE)};
IF (SELECT p.has_thread_gate FROM {{schema}}.posts AS p WHERE p.uri = v_uri) THEN
  PERFORM unified_worker.judge_thread(v_uri);
END IF;"""
# Whom the first post mentions matters to the replies, where a gate admits those.
GATED = Effect(
    """
IF v_gated THEN
  PERFORM unified_worker.judge_thread(v_uri);
END IF;""",
    """
IF p_new IS NULL AND {has_thread_gate} THEN
  PERFORM unified_worker.judge_thread(v_uri);
END IF;""",
    judged=JUDGED,
    looks=MEETS_GATE,
    look=JUDGED_ALONE,
)


def judges(function: str, *, first: str = "") -> Effect:
    """The effect of a gate that is written or deleted: `function` judges its post's replies, or quotes, again."""
    judge = f"PERFORM unified_worker.{function}({{post_uri}});"
    return Effect(f"\n{judge}", f"\nIF p_new IS NULL THEN\n  {judge}\nEND IF;", first=first)


def rules(record: Record, field: str) -> list[Any] | None:
    """The rules of a gate, if it has any; each reply or quote is judged by all of them."""
    found: list[Any] | None = optional(record, field, list)
    if found is not None and len(found) > MAX_RULES:
        raise Rejected("too_many_rules", f"{len(found)} in {field}, at most {MAX_RULES}")
    return found


def own_post(record: Record, at: RecordAddress) -> str:
    """The field `post` of a gate. The post must have the gate's account and key (app.bsky.feed.threadgate, postgate)."""
    post = required_text(record, "post")
    check_record_uri(post, "post")
    if post != f"at://{at.did}/app.bsky.feed.post/{at.rkey}":
        raise Rejected("gate_of_another_post", post)
    return post
