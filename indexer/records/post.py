"""app.bsky.feed.post: a post or a reply."""

from typing import Any

from indexer.record_type import (
    COMMIT,
    CREATED_AT,
    INDEXED_AT,
    KEY,
    URI,
    Column,
    Record,
    RecordType,
    Row,
    created_at,
    optional,
    optional_texts,
    required_text,
    search_text,
    strong_ref,
)


def tags(record: Record, facets: list[Any]) -> list[str]:
    """The record's own tags, then the hashtags of its facets, each once, in order."""
    found = dict.fromkeys(optional_texts(record, "tags") or ())
    for facet in facets:
        match facet:
            case {"features": [*features]}:
                for feature in features:
                    match feature:
                        case {"$type": "app.bsky.richtext.facet#tag", "tag": str(tag)}:
                            found[tag] = None
                        case _:
                            pass
            case _:
                pass
    return list(found)


def row(record: Record) -> Row:
    """The text and what hangs on it. `subject` is the parent of a reply; the thread's root is in the rest."""
    text = required_text(record, "text")
    facets: list[Any] | None = optional(record, "facets", list)
    rest: dict[str, Any] = {"text": text}
    if (search := search_text(text)) != text:
        rest["search"] = search
    fields = {"langs": optional_texts(record, "langs"), "embed": optional(record, "embed", dict), "facets": facets}
    rest.update((field, value) for field, value in fields.items() if value is not None)
    if found := tags(record, facets or []):
        rest["tags"] = found
    parent = parent_cid = None
    reply: Record | None = optional(record, "reply", dict)
    if reply is not None:
        parent, parent_cid = strong_ref(reply, "parent")
        rest["root"], rest["root_cid"] = strong_ref(reply, "root")
    return Row(parent, parent_cid, created_at(record), rest)


RECORD = RecordType(
    collection="app.bsky.feed.post",
    table="posts",
    row=row,
    columns=(
        URI,
        Column(name="cid", type="text NOT NULL", value="v_cid"),
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
        ),
        CREATED_AT,
        INDEXED_AT,
        *COMMIT,
    ),
    other_columns=(
        "violates_thread_gate boolean NOT NULL DEFAULT false",
        "violates_embedding_rules boolean NOT NULL DEFAULT false",
        "has_thread_gate boolean NOT NULL DEFAULT false",
        "has_post_gate boolean NOT NULL DEFAULT false",
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
)
