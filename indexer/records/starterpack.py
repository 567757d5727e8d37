"""app.bsky.graph.starterpack: a list of accounts and feeds to begin with."""

from typing import Any

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
    ornament,
    required_record,
    required_text,
)


def row(record: Record, _at: Place) -> Row:
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
        Column(name="creator_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="name", type="text NOT NULL", value="v_rest ->> 'name'"),
        Column(name="description", type="text", value="v_rest ->> 'description'"),
        Column(name="list_uri", type=KEY, value="v_subject"),
        Column(name="feeds", type="jsonb NOT NULL DEFAULT '[]'", value="v_rest -> 'feeds'"),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("creator_did",),
)
