"""app.bsky.graph.block: one account blocks another."""

from indexer.records.base.record_type import (
    COMMIT,
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
)


def row(record: Record, _at: Place) -> Row:
    """The blocked account's DID."""
    return Row(required_did(record, "subject"), None, created_at(record), None)


RECORD = RecordType(
    collection="app.bsky.graph.block",
    table="blocks",
    row=row,
    columns=(
        URI,
        Column(name="blocker_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="blocked_did", type=f"{KEY} NOT NULL", value="v_subject"),
        CREATED_AT,
        INDEXED_AT,
        *COMMIT,
    ),
    indexes=("blocked_did",),
    unique=("blocker_did", "blocked_did"),
)
