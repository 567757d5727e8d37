"""app.bsky.feed.like: one account likes one record: a post, a feed generator, a labeler."""

from unified_indexer.records.base.columns import COMMIT, CREATED_AT, INDEXED_AT, URI, author, json, subject, subject_cid
from unified_indexer.records.base.effects import Derived, Effect, authority, count, notification, shown, viewer_state
from unified_indexer.records.base.fields import created_at, ornament, strong_ref
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row

AUTHOR, SUBJECT = "{user_did}", "{post_uri}"
VIA = "unified_worker.referred({via}, 'app.bsky.feed.repost')"

# The author of a thread's root likes a reply in it: told with the reply, whichever came first.
ROOT_AUTHOR_LIKES = Effect(
    """
IF EXISTS (SELECT FROM {schema}.posts AS p WHERE p.uri = {post_uri} AND split_part(p.root_uri, '/', 3) = {user_did}) THEN
  UPDATE {schema}.thread_contexts AS c SET root_author_like_uri = v_uri, updated_at = now() WHERE c.post_uri = {post_uri};
END IF;""",
    """
UPDATE {schema}.thread_contexts AS c SET root_author_like_uri = NULL, updated_at = now()
WHERE c.post_uri = {post_uri} AND c.root_author_like_uri = v_uri;""",
    derived=(
        Derived(
            "thread_contexts",
            ("post_uri",),
            {"post_uri": SUBJECT, "root_author_like_uri": "v_uri"},
            f"p.parent_uri IS NOT NULL AND {authority('p.root_uri')} = {AUTHOR}",
            f"JOIN {{schema}}.posts AS p ON p.uri = {SUBJECT}",
        ),
    ),
    looks=f"(SELECT {authority('p.root_uri')} FROM {{schema}}.posts AS p WHERE p.uri = {SUBJECT}) = {AUTHOR}",
    in_set=(),
)


def row(record: Record, _at: RecordAddress) -> Row:
    """The liked record, and `via`: the repost through which it was seen."""
    uri, cid = strong_ref(record, "subject")
    via = ornament(record, "via", dict)
    return Row(uri, cid, created_at(record), None if via is None else {"via": via}, (uri,))


RECORD = RecordType(
    collection="app.bsky.feed.like",
    table="likes",
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
        count("like_count", SUBJECT),
        shown("like_count", SUBJECT),
        viewer_state("like_uri", "repost_uri", SUBJECT, AUTHOR),
        ROOT_AUTHOR_LIKES,
        notification("like", author=AUTHOR, recipient=authority(SUBJECT), subject=SUBJECT),
        notification(
            "like-via-repost",
            suffix="like-via-repost",
            author=AUTHOR,
            recipient=authority(VIA),
            subject=VIA,
            when="{via} IS NOT NULL",
        ),
    ),
    meets=("t.post_uri",),
    # Whoever likes what is their own is told of nothing; but who showed it to them may be.
    cid="""(SELECT max(n.cid) FROM {schema}.notifications AS n
      WHERE n.uri IN (r.uri || '#notification', r.uri || '#notification/like-via-repost'))""",
    share=0.66,
)
