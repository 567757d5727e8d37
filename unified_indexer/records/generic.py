"""Every collection that has no table of its own, known or foreign: the records as they are."""

from unified_indexer.records.base.columns import CID, CREATED_AT, INDEXED_AT, KEY, URI, Column, author
from unified_indexer.records.base.fields import created_at
from unified_indexer.records.base.record_type import EVERY_OTHER, RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, _at: RecordAddress) -> Row:
    """The whole record, in the protocol's JSON form."""
    return Row(None, None, created_at(record), record)


RECORD = RecordType(
    collection=EVERY_OTHER,
    table="generic_records",
    row=row,
    columns=(
        URI,
        CID,
        author("author_did"),
        Column(name="record_type", type=f"{KEY} NOT NULL", value="split_part(v_uri, '/', 4)"),
        Column(name="record", type="jsonb NOT NULL", value="v_rest"),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("author_did", "record_type", "created_at"),
)
