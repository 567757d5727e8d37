"""app.bsky.graph.listitem: an account is on a list of the record's author."""

from unified_indexer.errors import Rejected
from unified_indexer.records.base.columns import CID, CREATED_AT, INDEXED_AT, URI, key, subject
from unified_indexer.records.base.fields import created_at, required_did, required_record
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, at: RecordAddress) -> Row:
    """The listed account's DID, and the list, which only its owner adds to."""
    found = required_record(record, "list", "app.bsky.graph.list")
    if found.authority != at.did:
        raise Rejected("foreign_list", record["list"])
    return Row(required_did(record, "subject"), None, created_at(record), {"list": record["list"]}, (record["list"],))


RECORD = RecordType(
    collection="app.bsky.graph.listitem",
    table="list_items",
    row=row,
    columns=(URI, CID, key("list_uri", "list", required=True), subject("subject_did"), CREATED_AT, INDEXED_AT),
    indexes=("subject_did",),
    unique=("list_uri", "subject_did"),
    timed=True,
    meets=("t.list_uri",),  # an older application may have taken items of others' lists
)
