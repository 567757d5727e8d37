"""app.bsky.feed.repost: one account shows one post to its followers."""

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
    strong_ref,
)


def row(record: Record) -> Row:
    """The reposted record, and `via`: the repost through which it was seen."""
    uri, cid = strong_ref(record, "subject")
    via = optional(record, "via", dict)
    return Row(uri, cid, created_at(record), None if via is None else {"via": via})


RECORD = RecordType(
    collection="app.bsky.feed.repost",
    table="reposts",
    row=row,
    columns=(
        URI,
        Column(name="user_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="post_uri", type=f"{KEY} NOT NULL", value="v_subject"),
        Column(name="subject_cid", type="text", value="v_subject_cid"),
        Column(name="via", type="jsonb", value="v_rest -> 'via'"),
        CREATED_AT,
        INDEXED_AT,
        *COMMIT,
    ),
    indexes=("post_uri",),
    unique=("user_did", "post_uri"),
)
