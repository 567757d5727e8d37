"""app.bsky.graph.verification: one account vouches for another. Only the first one counts for an account."""

from unified_indexer.errors import Rejected
from unified_indexer.protocol.syntax import is_handle
from unified_indexer.records.base.columns import CID, CREATED_AT, INDEXED_AT, URI, created, subject, text
from unified_indexer.records.base.effects import Effect, authority, notification
from unified_indexer.records.base.fields import created_at, required_did, required_text
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import MAX_URI_CHARS, Record, RecordAddress, Row

AUTHOR = authority("{uri}")

# p_at is the deleting commit's time, and null where the row goes for another reason than its record's deletion.
TAKEN_BACK = Effect(
    removed=f"""
IF p_at IS NOT NULL AND {{subject_did}} <> {AUTHOR} AND length(v_uri) <= {MAX_URI_CHARS - len("#notification/unverified")} THEN
  INSERT INTO {{schema}}.notifications (uri, recipient_did, author_did, reason, cid, created_at, indexed_at)
  VALUES (v_uri || '#notification/unverified', {{subject_did}}, {AUTHOR}, 'unverified', {{cid}}, p_at, now())
  ON CONFLICT (uri) DO NOTHING;
END IF;""",
    written="""
DELETE FROM {schema}.notifications AS n WHERE n.uri = v_uri || '#notification/unverified';""",
)


def row(record: Record, _at: RecordAddress) -> Row:
    """The verified account's DID, and the handle that it had."""
    subject, handle = required_did(record, "subject"), required_text(record, "handle")
    if not is_handle(handle):
        raise Rejected("bad_handle", "handle")
    return Row(subject, None, created_at(record), {"handle": handle}, (subject,))


RECORD = RecordType(
    collection="app.bsky.graph.verification",
    table="verifications",
    row=row,
    columns=(URI, CID, subject("subject_did"), text("handle", required=True), created("verified_at"), CREATED_AT, INDEXED_AT),
    unique=("subject_did",),
    rivals=True,
    timed=True,
    effects=(
        notification("verified", suffix="verified", author=AUTHOR, recipient="{subject_did}", cid="{cid}"),
        TAKEN_BACK,
    ),
    meets=("t.subject_did",),
)
