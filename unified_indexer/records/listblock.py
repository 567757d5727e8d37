"""app.bsky.graph.listblock: an account blocks everybody on a list."""

from unified_indexer.records.base.columns import CREATED_AT, INDEXED_AT, URI, author, subject
from unified_indexer.records.base.fields import created_at, required_record
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, _at: RecordAddress) -> Row:
    """The list's URI."""
    required_record(record, "subject", "app.bsky.graph.list")
    return Row(record["subject"], None, created_at(record), None)


RECORD = RecordType(
    collection="app.bsky.graph.listblock",
    table="list_blocks",
    row=row,
    columns=(URI, author("blocker_did"), subject("list_uri"), CREATED_AT, INDEXED_AT),
    indexes=("list_uri",),
    unique=("blocker_did", "list_uri"),
)
