"""app.bsky.graph.listitem: an account is on a list of the record's author."""

from indexer.errors import Rejected
from indexer.records.base.record_type import (
    CID,
    CREATED_AT,
    INDEXED_AT,
    KEY,
    URI,
    Column,
    Place,
    Record,
    RecordType,
    Row,
    created_at,
    required_did,
    required_record,
)


def row(record: Record, at: Place) -> Row:
    """The listed account's DID, and the list, which only its owner adds to."""
    found = required_record(record, "list", "app.bsky.graph.list")
    if found.authority != at.did:
        raise Rejected("foreign_list", record["list"])
    return Row(required_did(record, "subject"), None, created_at(record), {"list": record["list"]}, (record["list"],))


RECORD = RecordType(
    collection="app.bsky.graph.listitem",
    table="list_items",
    row=row,
    columns=(
        URI,
        CID,
        Column(name="list_uri", type=f"{KEY} NOT NULL", value="v_rest ->> 'list'"),
        Column(name="subject_did", type=f"{KEY} NOT NULL", value="v_subject"),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("subject_did",),
    unique=("list_uri", "subject_did"),
    timed=True,
    meets=("t.list_uri",),  # an older application may have taken items of others' lists
)
