"""app.bsky.graph.listblock: an account blocks everybody on a list."""

from indexer.records.base.record_type import (
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
    required_record,
)


def row(record: Record, _at: Place) -> Row:
    """The list's URI."""
    required_record(record, "subject", "app.bsky.graph.list")
    return Row(record["subject"], None, created_at(record), None)


RECORD = RecordType(
    collection="app.bsky.graph.listblock",
    table="list_blocks",
    row=row,
    columns=(
        URI,
        Column(name="blocker_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="list_uri", type=f"{KEY} NOT NULL", value="v_subject"),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("list_uri",),
    unique=("blocker_did", "list_uri"),
)
