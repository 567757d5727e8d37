"""The post that a post quotes: its row in `quotes`, its count, and its author's notification."""

from unified_indexer.records.base.effects import Derived, Effect, authority, count, notification, unless_forbidden
from unified_indexer.records.base.values import MAX_URI_CHARS, Record

MAX_QUOTING_CHARS = MAX_URI_CHARS - len("#quote")
# The quoted post, where the embed is the record of one; the test for the key spares most posts the rest.
QUOTED = (
    f"CASE WHEN v_rest ? 'quotes' AND length(v_uri) <= {MAX_QUOTING_CHARS} THEN unified_worker.quoted(v_rest -> 'embed') END"
)

# As QUOTED says it, over a row that is there.
QUOTED_BY_ROW = f"""CROSS JOIN LATERAL (SELECT CASE WHEN {{embed}} ? 'record' AND length(v_uri) <= {MAX_QUOTING_CHARS}
    THEN unified_worker.quoted({{embed}}) END) AS q (v_quoted)"""
QUOTE_TOLD = unless_forbidden(
    notification(
        "quote", suffix="quote", author="{author_did}", recipient=authority("v_quoted"), subject="v_uri", when="NOT v_embeds"
    ),
    "v_embeds",
    "{violates_embedding_rules}",
)
# An older application's rows under another key, or of another quoted post.
ITS_QUOTE = QUOTED_BY_ROW.format(embed="t.embed").replace("v_uri", "t.uri")
WRONG_QUOTES = f"""DELETE FROM {{schema}}.quotes AS q
    USING (SELECT t.uri, q.v_quoted AS quoted FROM {{rows}} AS t {ITS_QUOTE}) AS x
    WHERE q.post_uri = x.uri AND (q.uri, q.quoted_uri) IS DISTINCT FROM (x.uri || '#quote', x.quoted)"""
# Taking a quote away needs no look at the embed: its row says whom it counted for.
QUOTES = Effect(
    f"""
v_quoted := {QUOTED};
IF v_quoted IS NOT NULL THEN
  INSERT INTO {{schema}}.quotes AS q (uri, cid, post_uri, quoted_uri, quoted_cid, created_at, indexed_at)
  VALUES (v_uri || '#quote', v_cid, v_uri, v_quoted, unified_worker.quoted_cid(v_rest -> 'embed'), {{created_at}}, now())
  ON CONFLICT (uri) DO UPDATE SET cid = excluded.cid, post_uri = excluded.post_uri, quoted_uri = excluded.quoted_uri,
    quoted_cid = excluded.quoted_cid, created_at = excluded.created_at;  -- an older application may have left one behind
  {count("quote_count", "v_quoted").added}
END IF;"""
    + QUOTE_TOLD.added,
    f"""
DELETE FROM {{schema}}.quotes AS q WHERE q.post_uri = v_uri RETURNING q.quoted_uri INTO v_quoted;
IF FOUND THEN
  {count("quote_count", "v_quoted").removed}
  IF p_new IS NULL THEN
    DELETE FROM {{schema}}.notifications AS n WHERE n.uri = v_uri || '#notification/quote';
  END IF;
END IF;""",
    derived=(
        Derived(
            "quotes",
            ("uri",),
            {
                "uri": "v_uri || '#quote'",
                "cid": "v_cid",
                "post_uri": "v_uri",
                "quoted_uri": "v_quoted",
                "quoted_cid": "unified_worker.quoted_cid({embed})",
                "created_at": "{created_at}",
            },
            "v_quoted IS NOT NULL",
            QUOTED_BY_ROW,
        ),
        Derived("post_aggregations", ("post_uri",), {"post_uri": "{quoted_uri}", "quote_count": "1"}, of="quotes"),
        *(derived._replace(source=QUOTED_BY_ROW) for derived in QUOTE_TOLD.derived),
    ),
    first=WRONG_QUOTES,
)


def quoted(embed: Record) -> str | None:
    """The URI that the embed may quote, unchecked. Its $type decides, as in `unified_worker.quoted_ref`."""
    match embed:
        case {"$type": "app.bsky.embed.record", "record": {"uri": str(uri)}}:
            return uri
        case {"$type": "app.bsky.embed.recordWithMedia", "record": {"record": {"uri": str(uri)}}}:
            return uri
        case _:
            return None
