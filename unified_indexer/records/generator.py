"""app.bsky.feed.generator: a feed that a service makes."""

from unified_indexer.records.base.columns import CID, CREATED_AT, INDEXED_AT, LIKE_COUNT, URI, author, subject, text
from unified_indexer.records.base.fields import blob_cid, created_at, ornament, required_did, required_text
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, at: RecordAddress) -> Row:
    """The service's DID; name, description and picture."""
    rest = {
        "name": required_text(record, "displayName"),
        "description": ornament(record, "description", str),
        "avatar": blob_cid(record, "avatar"),
    }
    return Row(required_did(record, "did"), None, created_at(record), rest, (at.uri,))


RECORD = RecordType(
    collection="app.bsky.feed.generator",
    table="feed_generators",
    row=row,
    columns=(
        URI,
        CID,
        author("creator_did"),
        subject("did"),
        text("display_name", "name", required=True),
        text("description"),
        text("avatar_url", "avatar"),
        LIKE_COUNT,
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("creator_did",),
    meets=("t.uri",),
    shows="like_count",
)
