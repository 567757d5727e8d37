"""app.bsky.graph.follow: one account follows another."""

from unified_indexer.records.base.columns import COMMIT, CREATED_AT, INDEXED_AT, URI, author, subject
from unified_indexer.records.base.effects import notification
from unified_indexer.records.base.fields import created_at, required_did
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, _at: RecordAddress) -> Row:
    """The followed account's DID."""
    return Row(required_did(record, "subject"), None, created_at(record), None)


RECORD = RecordType(
    collection="app.bsky.graph.follow",
    table="follows",
    row=row,
    columns=(URI, author("follower_did"), subject("following_did"), CREATED_AT, INDEXED_AT, *COMMIT),
    indexes=("following_did",),
    unique=("follower_did", "following_did"),
    effects=(notification("follow", author="{follower_did}", recipient="{following_did}"),),
    cid="(SELECT n.cid FROM {schema}.notifications AS n WHERE n.uri = r.uri || '#notification')",
    share=0.08,
)
