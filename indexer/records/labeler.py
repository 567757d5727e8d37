"""app.bsky.labeler.service: an account that labels what others write."""

from indexer.records.base.record_type import (
    CID,
    CREATED_AT,
    INDEXED_AT,
    KEY,
    LIKE_COUNT,
    URI,
    Column,
    Place,
    Record,
    RecordType,
    Row,
    created_at,
    required,
)


def row(record: Record, at: Place) -> Row:
    """The labels that it gives, and what they mean."""
    return Row(None, None, created_at(record), {"policies": required(record, "policies", dict)}, (at.uri,))


RECORD = RecordType(
    collection="app.bsky.labeler.service",
    table="labeler_services",
    row=row,
    columns=(
        URI,
        CID,
        Column(name="creator_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="policies", type="jsonb NOT NULL", value="v_rest -> 'policies'"),
        LIKE_COUNT,
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("creator_did",),
    rkey="self",
    meets=("t.uri",),
    shows="like_count",
)
