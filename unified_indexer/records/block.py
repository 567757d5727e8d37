"""app.bsky.graph.block: one account blocks another."""

from unified_indexer.records.base.columns import COMMIT, CREATED_AT, INDEXED_AT, URI, author, subject
from unified_indexer.records.base.fields import created_at, required_did
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, _at: RecordAddress) -> Row:
    """The blocked account's DID."""
    return Row(required_did(record, "subject"), None, created_at(record), None)


RECORD = RecordType(
    collection="app.bsky.graph.block",
    table="blocks",
    row=row,
    columns=(URI, author("blocker_did"), subject("blocked_did"), CREATED_AT, INDEXED_AT, *COMMIT),
    indexes=("blocked_did",),
    unique=("blocker_did", "blocked_did"),
)
