"""app.bsky.graph.starterpack: a list of accounts and feeds to begin with."""

from typing import Any

from unified_indexer.records.base.columns import CID, CREATED_AT, INDEXED_AT, URI, author, json, subject, text
from unified_indexer.records.base.fields import created_at, ornament, required_record, required_text
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, _at: RecordAddress) -> Row:
    """The list's URI; name, description and feeds."""
    required_record(record, "list", "app.bsky.graph.list")
    rest: dict[str, Any] = {
        "name": required_text(record, "name"),
        "description": ornament(record, "description", str),
        "feeds": ornament(record, "feeds", list) or [],
    }
    return Row(record["list"], None, created_at(record), rest)


RECORD = RecordType(
    collection="app.bsky.graph.starterpack",
    table="starter_packs",
    row=row,
    columns=(
        URI,
        CID,
        author("creator_did"),
        text("name", required=True),
        text("description"),
        subject("list_uri", required=False),
        json("feeds", required=True, default="[]"),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("creator_did",),
)
