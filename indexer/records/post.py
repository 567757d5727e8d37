"""app.bsky.feed.post: a post or a reply."""

from typing import Any, cast

from indexer.records.base.effects import (
    MAX_URI_CHARS,
    NOTIFY_AGAIN,
    Derived,
    Effect,
    authority,
    came,
    count,
    feed_item,
    notice,
    notification,
)
from indexer.records.base.record_type import (
    CID,
    COMMIT,
    CREATED_AT,
    INDEXED_AT,
    KEY,
    URI,
    Column,
    Place,
    Record,
    RecordType,
    Row,
    created_at,
    optional,
    ornament,
    required_text,
    search_text,
    strong_ref,
    texts,
)

AUTHOR, PARENT = "{author_did}", "{parent_uri}"
BY_DID = "{parent_uri} LIKE 'at://did:%'"  # a parent that is named by a handle counts for nothing
MAX_FACETS = 1_000  # the lexicon's text has 3,000 bytes
MAX_QUOTING_CHARS = MAX_URI_CHARS - len("#quote")
# The quoted post, where the embed is the record of one; the test for the key spares most posts the rest.
QUOTED = (
    f"CASE WHEN v_rest ? 'quotes' AND length(v_uri) <= {MAX_QUOTING_CHARS} THEN unified_worker.quoted(v_rest -> 'embed') END"
)


def unless_forbidden(effect: Effect, judged: str, column: str) -> Effect:
    """The effect, whose condition asks the variable `judged` while the row is written: of a row that is there, this column."""
    return effect._replace(derived=tuple(said._replace(when=said.when.replace(judged, column)) for said in effect.derived))


REPLY_TOLD = unless_forbidden(
    notification(
        "reply",
        suffix="reply",
        author=AUTHOR,
        recipient=authority(PARENT),
        subject="v_uri",
        when=f"NOT v_intrudes AND {BY_DID}",
    ),
    "v_intrudes",
    "{violates_thread_gate}",
)
REPLIES = Effect(
    """
IF {parent_uri} IS NOT NULL THEN
  INSERT INTO {schema}.thread_contexts AS c (post_uri, root_author_like_uri, created_at, updated_at)
  VALUES (v_uri, (SELECT l.uri FROM {schema}.likes AS l
    WHERE l.user_did = split_part({root_uri}, '/', 3) AND l.post_uri = v_uri), now(), now())
  ON CONFLICT (post_uri) DO UPDATE SET root_author_like_uri = excluded.root_author_like_uri, updated_at = now();
ELSIF v_again THEN
  DELETE FROM {schema}.thread_contexts AS c WHERE c.post_uri = v_uri;
END IF;""",
    """
IF p_new IS NULL AND {parent_uri} IS NOT NULL THEN
  DELETE FROM {schema}.thread_contexts AS c WHERE c.post_uri = v_uri;
END IF;""",
    derived=(
        Derived(
            "thread_contexts",
            ("post_uri",),
            {"post_uri": "v_uri", "root_author_like_uri": "l.uri"},
            "{parent_uri} IS NOT NULL",
            f"LEFT JOIN {{schema}}.likes AS l ON l.user_did = {authority('{root_uri}')} AND l.post_uri = v_uri",
        ),
    ),
)

# As QUOTED says it, over a row that is there.
QUOTED_BY_ROW = f"""CROSS JOIN LATERAL (SELECT CASE WHEN {{embed}} ? 'record' AND length(v_uri) <= {MAX_QUOTING_CHARS}
    THEN unified_worker.quoted({{embed}}) END) AS q (v_quoted)"""
QUOTE_TOLD = unless_forbidden(
    notification("quote", suffix="quote", author=AUTHOR, recipient=authority("v_quoted"), subject="v_uri", when="NOT v_embeds"),
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

MENTIONED = f"m <> {AUTHOR} AND length(v_uri) + length(m) <= {MAX_URI_CHARS - len('#notification/mention/')}"
MENTION_TOLD = notice(
    "mention",
    "'#notification/mention/' || m",
    author=AUTHOR,
    recipient="m",
    subject="v_uri",
    when=MENTIONED,
    source="CROSS JOIN LATERAL unified_worker.mentioned({facets}) AS m",
)
MENTIONS = Effect(
    """
IF v_rest ? 'mentions' THEN"""
    + MENTION_TOLD.insert("n", f"SELECT {{}}\nFROM unified_worker.mentioned(v_rest -> 'facets') AS m\nWHERE {MENTIONED}")
    + f"""
  ON CONFLICT (uri) DO UPDATE SET {NOTIFY_AGAIN};
END IF;""",
    """
IF {facets} IS NOT NULL THEN
  DELETE FROM {schema}.notifications AS n WHERE n.uri IN (
    SELECT v_uri || '#notification/mention/' || m FROM unified_worker.mentioned({facets}) AS m
    WHERE p_new IS NULL OR m NOT IN (SELECT unified_worker.mentioned(p_new -> 'facets')));
END IF;""",
    derived=(MENTION_TOLD,),
)

# What the gates say, by the functions that the write path asks; and words to be found by, where there are none yet.
JUDGED = f"""UPDATE {{schema}}.posts AS p SET has_thread_gate = x.thread_gated, has_post_gate = x.post_gated,
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
      FROM {{rows}} AS t
      CROSS JOIN LATERAL (SELECT {came("t")}) AS c (came)
      LEFT JOIN {{schema}}.thread_gates AS g ON g.post_uri = t.uri
      LEFT JOIN {{schema}}.post_gates AS e ON e.post_uri = t.uri
      LEFT JOIN {{schema}}.thread_gates AS r ON r.post_uri = t.root_uri
      LEFT JOIN {{schema}}.quotes AS q ON q.post_uri = t.uri
      LEFT JOIN {{schema}}.post_gates AS d ON d.post_uri = q.quoted_uri) AS x
    WHERE p.uri = x.uri AND (p.search_vector IS NULL OR
      (p.has_thread_gate, p.has_post_gate, p.violates_thread_gate, p.violates_embedding_rules)
        IS DISTINCT FROM (x.thread_gated, x.post_gated, x.intrudes, x.embeds))"""
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
)


def too_many(facets: list[Any]) -> bool:
    """Whether these are more facets, with their features, than a text can have: each reply in a gated thread looks through its
    root's. Then the post is kept without them."""
    count = len(facets)
    for facet in facets:
        match facet:
            case {"features": [*inner]}:
                count += len(inner)
            case _:
                pass
    return count > MAX_FACETS


def features(facets: list[Any], kind: str) -> list[dict[str, Any]]:
    """The features of that kind (lexicon app.bsky.richtext.facet) among the facets, whatever else these hold."""
    found: list[dict[str, Any]] = []
    for facet in facets:
        match facet:
            case {"features": [*inner]}:
                maps = [cast("dict[str, Any]", feature) for feature in inner if isinstance(feature, dict)]
                found += [feature for feature in maps if feature.get("$type") == kind]
            case _:
                pass
    return found


def tags(record: Record, facets: list[Any]) -> list[str]:
    """The record's own tags, then the hashtags of its facets, each once, in order."""
    found = dict.fromkeys(texts(record, "tags") or ())
    for feature in features(facets, "app.bsky.richtext.facet#tag"):
        if isinstance(feature.get("tag"), str):
            found[feature["tag"]] = None
    return list(found)


def quoted(embed: Record) -> str | None:
    """What the embed may quote: the URI of its record, unchecked. By its $type, as `unified_worker.quoted_ref` does."""
    match embed:
        case {"$type": "app.bsky.embed.record", "record": {"uri": str(uri)}}:
            return uri
        case {"$type": "app.bsky.embed.recordWithMedia", "record": {"record": {"uri": str(uri)}}}:
            return uri
        case _:
            return None


def row(record: Record, at: Place) -> Row:
    """The text and what hangs on it. `subject` is the parent of a reply; the thread's root is in the rest."""
    text = required_text(record, "text")
    facets: list[Any] | None = ornament(record, "facets", list)
    if facets and too_many(facets):
        facets = None
    embed: Record | None = ornament(record, "embed", dict)
    rest: dict[str, Any] = {"text": text}
    meets = [at.uri]
    if (search := search_text(text)) != text:
        rest["search"] = search
    fields = {"langs": texts(record, "langs"), "embed": embed, "facets": facets, "labels": ornament(record, "labels", dict)}
    rest.update((field, value) for field, value in fields.items() if value is not None)
    if found := tags(record, facets or []):
        rest["tags"] = found
    if facets and features(facets, "app.bsky.richtext.facet#mention"):
        rest["mentions"] = True
    if embed is not None and (quote := quoted(embed)) is not None:
        rest["quotes"] = True
        meets.append(quote)
    parent = parent_cid = None
    reply: Record | None = optional(record, "reply", dict)
    if reply is not None:
        parent, parent_cid = strong_ref(reply, "parent", handles=True)
        rest["root"], rest["root_cid"] = strong_ref(reply, "root", handles=True)
        meets += (parent, rest["root"])
    return Row(parent, parent_cid, created_at(record), rest, tuple(meets))


RECORD = RecordType(
    collection="app.bsky.feed.post",
    table="posts",
    row=row,
    columns=(
        URI,
        CID,
        Column(name="author_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="text", type="text NOT NULL", value="v_rest ->> 'text'"),
        Column(name="langs", type="jsonb", value="v_rest -> 'langs'"),
        Column(name="parent_uri", type=KEY, value="v_subject"),
        Column(name="parent_cid", type="text", value="v_subject_cid"),
        Column(name="root_uri", type=KEY, value="v_rest ->> 'root'"),
        Column(name="root_cid", type="text", value="v_rest ->> 'root_cid'"),
        Column(name="embed", type="jsonb", value="v_rest -> 'embed'"),
        Column(name="facets", type="jsonb", value="v_rest -> 'facets'"),
        Column(name="tags", type="jsonb NOT NULL DEFAULT '[]'", value="coalesce(v_rest -> 'tags', '[]')"),
        Column(
            name="search_vector",
            type="tsvector",
            value="to_tsvector('simple', coalesce(v_rest ->> 'search', v_rest ->> 'text'))",
            ahead=True,
        ),
        Column(
            name="violates_thread_gate",
            type="boolean NOT NULL DEFAULT false",
            value="v_subject IS NOT NULL AND (unified_worker.violates_thread_gate(v_rest ->> 'root', p_did, p_at) OR "
            "v_subject <> v_rest ->> 'root' AND "
            "unified_worker.violates_parents_gate(v_subject, v_rest ->> 'root', p_did, p_at, false))",
        ),
        Column(
            name="violates_embedding_rules",
            type="boolean NOT NULL DEFAULT false",
            value="v_rest ? 'quotes' AND EXISTS (SELECT FROM {schema}.post_gates AS g "
            f"WHERE g.post_uri = {QUOTED} AND split_part(g.post_uri, '/', 3) <> p_did "
            "AND unified_worker.disables_quotes(g.embedding_rules))",
        ),
        Column(
            name="has_thread_gate",
            type="boolean NOT NULL DEFAULT false",
            value="EXISTS (SELECT FROM {schema}.thread_gates AS g WHERE g.post_uri = v_uri)",
        ),
        Column(
            name="has_post_gate",
            type="boolean NOT NULL DEFAULT false",
            value="EXISTS (SELECT FROM {schema}.post_gates AS g WHERE g.post_uri = v_uri)",
        ),
        CREATED_AT,
        INDEXED_AT,
        *COMMIT,
        Column(name="self_labels", type="jsonb", value="v_rest -> 'labels'", optional=True),
    ),
    indexes=(
        "author_did",
        "indexed_at",
        "created_at DESC, author_did",
        "parent_uri",
        "root_uri",
        "commit_seq, commit_time",
        "USING gin (search_vector)",
    ),
    returning="has_thread_gate, t.violates_thread_gate, t.violates_embedding_rules INTO v_gated, v_intrudes, v_embeds",
    effects=(
        count("reply_count", PARENT, when=BY_DID),
        REPLIES,
        REPLY_TOLD,
        QUOTES,
        MENTIONS,
        feed_item("CASE WHEN {parent_uri} IS NULL THEN 'post' ELSE 'reply' END", "v_uri", AUTHOR, "v_cid"),
        GATED,
    ),
    meets=(
        "t.uri",
        "t.parent_uri",
        "t.root_uri",
        "(SELECT q.quoted_uri FROM {schema}.quotes AS q WHERE q.post_uri = t.uri)",
    ),
    share=0.10,
)
