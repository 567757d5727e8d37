"""app.bsky.feed.repost: one account shows one post to its followers."""

from unified_indexer.records.base.columns import COMMIT, CREATED_AT, INDEXED_AT, URI, author, json, subject, subject_cid
from unified_indexer.records.base.effects import authority, count, feed_item, notification, viewer_state
from unified_indexer.records.base.fields import created_at, ornament, strong_ref
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row

AUTHOR, SUBJECT = "{user_did}", "{post_uri}"
VIA = "unified_worker.referred({via}, 'app.bsky.feed.repost')"


def row(record: Record, _at: RecordAddress) -> Row:
    """The reposted record, and `via`: the repost through which it was seen."""
    uri, cid = strong_ref(record, "subject")
    via = ornament(record, "via", dict)
    return Row(uri, cid, created_at(record), None if via is None else {"via": via}, (uri,))


RECORD = RecordType(
    collection="app.bsky.feed.repost",
    table="reposts",
    row=row,
    columns=(
        URI,
        author("user_did"),
        subject("post_uri"),
        subject_cid("subject_cid"),
        json("via"),
        CREATED_AT,
        INDEXED_AT,
        *COMMIT,
    ),
    indexes=("post_uri",),
    unique=("user_did", "post_uri"),
    effects=(
        count("repost_count", SUBJECT),
        viewer_state("repost_uri", "like_uri", SUBJECT, AUTHOR),
        feed_item("'repost'", SUBJECT, AUTHOR, "coalesce(v_cid, {subject_cid}, '')"),
        notification("repost", author=AUTHOR, recipient=authority(SUBJECT), subject=SUBJECT),
        notification(
            "repost-via-repost",
            suffix="repost-via-repost",
            author=AUTHOR,
            recipient=authority(VIA),
            subject=VIA,
            when="{via} IS NOT NULL",
        ),
    ),
    meets=("t.post_uri",),
    cid="(SELECT f.cid FROM {schema}.feed_items AS f WHERE f.uri = r.uri)",
    share=0.12,
)
