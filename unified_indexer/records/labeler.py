"""app.bsky.labeler.service: an account that labels what others write."""

from unified_indexer.records.base.columns import CID, CREATED_AT, INDEXED_AT, LIKE_COUNT, URI, author, json
from unified_indexer.records.base.fields import created_at, required
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, at: RecordAddress) -> Row:
    """The labels that it gives, and what they mean."""
    return Row(None, None, created_at(record), {"policies": required(record, "policies", dict)}, (at.uri,))


RECORD = RecordType(
    collection="app.bsky.labeler.service",
    table="labeler_services",
    row=row,
    columns=(URI, CID, author("creator_did"), json("policies", required=True), LIKE_COUNT, CREATED_AT, INDEXED_AT),
    indexes=("creator_did",),
    rkey="self",
    meets=("t.uri",),
    shows="like_count",
)
