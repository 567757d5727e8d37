"""app.bsky.graph.list: a list of accounts, for moderation, as a feed, or for reference."""

from unified_indexer.records.base.columns import CID, CREATED_AT, INDEXED_AT, URI, author, text
from unified_indexer.records.base.fields import blob_cid, created_at, ornament, required_limited, required_text
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row

MAX_PURPOSE_CHARS = 64  # the column's; the lexicon's own values are shorter


def row(record: Record, _at: RecordAddress) -> Row:
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
        author("creator_did"),
        text("name", required=True),
        text("purpose", required=True),
        text("description"),
        text("avatar_url", "avatar"),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("creator_did",),
)
