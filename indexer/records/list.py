"""app.bsky.graph.list: a list of accounts, for moderation, as a feed, or for reference."""

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
    blob_cid,
    created_at,
    ornament,
    required_limited,
    required_text,
)

MAX_PURPOSE_CHARS = 64  # the column's; the lexicon's own values are shorter


def row(record: Record, _at: Place) -> Row:
    """Name, purpose, description and picture."""
    rest = {
        "name": required_text(record, "name"),
        "purpose": required_limited(record, "purpose", MAX_PURPOSE_CHARS),
        "description": ornament(record, "description", str),
        "avatar": blob_cid(record, "avatar"),
    }
    return Row(None, None, created_at(record), rest)


RECORD = RecordType(
    collection="app.bsky.graph.list",
    table="lists",
    row=row,
    columns=(
        URI,
        CID,
        Column(name="creator_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="name", type="text NOT NULL", value="v_rest ->> 'name'"),
        Column(name="purpose", type="text NOT NULL", value="v_rest ->> 'purpose'"),
        Column(name="description", type="text", value="v_rest ->> 'description'"),
        Column(name="avatar_url", type="text", value="v_rest ->> 'avatar'"),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("creator_did",),
)
