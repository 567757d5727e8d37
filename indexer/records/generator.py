"""app.bsky.feed.generator: a feed that a service makes."""

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
    blob_cid,
    created_at,
    ornament,
    required_did,
    required_text,
)


def row(record: Record, at: Place) -> Row:
    """The service's DID; name, description and picture."""
    rest = {
        "name": required_text(record, "displayName"),
        "description": ornament(record, "description", str),
        "avatar": blob_cid(record, "avatar"),
    }
    return Row(required_did(record, "did"), None, created_at(record), rest, (at.uri,))


RECORD = RecordType(
    collection="app.bsky.feed.generator",
    table="feed_generators",
    row=row,
    columns=(
        URI,
        CID,
        Column(name="creator_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="did", type=f"{KEY} NOT NULL", value="v_subject"),
        Column(name="display_name", type="text NOT NULL", value="v_rest ->> 'name'"),
        Column(name="description", type="text", value="v_rest ->> 'description'"),
        Column(name="avatar_url", type="text", value="v_rest ->> 'avatar'"),
        LIKE_COUNT,
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("creator_did",),
    meets=("t.uri",),
    shows="like_count",
)
