"""app.bsky.feed.post: a post or a reply."""

from typing import Any

from unified_indexer.records.base.columns import (
    CID,
    COMMIT,
    CREATED_AT,
    INDEXED_AT,
    URI,
    Column,
    author,
    json,
    key,
    subject,
    subject_cid,
    text,
)
from unified_indexer.records.base.effects import (
    NOTIFY_AGAIN,
    Derived,
    Effect,
    authority,
    count,
    feed_item,
    notice,
    notification,
    unless_forbidden,
)
from unified_indexer.records.base.facets import MENTION, TAG, features, too_many
from unified_indexer.records.base.fields import created_at, optional, ornament, required_text, strong_ref, texts
from unified_indexer.records.base.gates import GATED, VERDICTS, VERDICTS_INTO
from unified_indexer.records.base.quotes import QUOTES, quoted
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.search_text import search_text
from unified_indexer.records.base.values import MAX_URI_CHARS, Record, RecordAddress, Row

AUTHOR, PARENT = "{author_did}", "{parent_uri}"
BY_DID = "{parent_uri} LIKE 'at://did:%'"  # a parent that is named by a handle counts for nothing


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
    looks=f"""(SELECT l.uri FROM {{schema}}.likes AS l
        WHERE l.user_did = {authority("{root_uri}")} AND l.post_uri = v_uri) IS NOT NULL""",
    in_set=(Derived("thread_contexts", ("post_uri",), {"post_uri": "v_uri"}, "{parent_uri} IS NOT NULL"),),
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
IF v_rest ? 'mentions' AND v_quiet IS NOT TRUE THEN"""
    + MENTION_TOLD.insert("n", f"SELECT {{}}\nFROM unified_worker.mentioned(v_rest -> 'facets') AS m\nWHERE {MENTIONED}")
    + f"""
  ON CONFLICT (uri) DO UPDATE SET {NOTIFY_AGAIN};
ELSIF v_again AND v_rest ? 'mentions' THEN
  UPDATE {{schema}}.notifications AS n SET cid = v_cid, created_at = {{created_at}}
  FROM unified_worker.mentioned(v_rest -> 'facets') AS m WHERE n.uri = v_uri || '#notification/mention/' || m;
END IF;""",
    """
IF {facets} IS NOT NULL THEN
  DELETE FROM {schema}.notifications AS n WHERE n.uri IN (
    SELECT v_uri || '#notification/mention/' || m FROM unified_worker.mentioned({facets}) AS m
    WHERE p_new IS NULL OR m NOT IN (SELECT unified_worker.mentioned(p_new -> 'facets')));
END IF;""",
    derived=(MENTION_TOLD,),
)


def tags(record: Record, facets: list[Any]) -> list[str]:
    """The record's own tags, then the hashtags of its facets, each once, in order."""
    found = dict.fromkeys(texts(record, "tags") or ())
    for feature in features(facets, TAG):
        if isinstance(feature.get("tag"), str):
            found[feature["tag"]] = None
    return list(found)


def row(record: Record, at: RecordAddress) -> Row:
    """The text and what hangs on it. `subject` is the parent of a reply; the thread's root is in the rest."""
    content = required_text(record, "text")
    facets: list[Any] | None = ornament(record, "facets", list)
    if facets and too_many(facets):
        facets = None
    embed: Record | None = ornament(record, "embed", dict)
    rest: dict[str, Any] = {"text": content}
    meets = [at.uri]
    if (search := search_text(content)) != content:
        rest["search"] = search
    fields = {"langs": texts(record, "langs"), "embed": embed, "facets": facets, "labels": ornament(record, "labels", dict)}
    rest.update((field, value) for field, value in fields.items() if value is not None)
    if found := tags(record, facets or []):
        rest["tags"] = found
    if facets and features(facets, MENTION):
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
        author("author_did"),
        text("text", required=True),
        json("langs"),
        subject("parent_uri", required=False),
        subject_cid("parent_cid"),
        key("root_uri", "root"),
        text("root_cid"),
        json("embed"),
        json("facets"),
        json("tags", default="[]"),
        Column(
            name="search_vector",
            type="tsvector",
            value="to_tsvector('simple', coalesce(v_rest ->> 'search', v_rest ->> 'text'))",
            ahead=True,
        ),
        *VERDICTS,
        CREATED_AT,
        INDEXED_AT,
        *COMMIT,
        json("self_labels", "labels", optional=True),
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
    returning=VERDICTS_INTO,
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
