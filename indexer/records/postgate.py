"""app.bsky.feed.postgate: who may quote a post. Its account and key are the post's."""

from indexer.records.base.effects import Effect
from indexer.records.base.record_type import OF_POST, Column, Place, Record, RecordType, Row, created_at, own_post, rules, texts

JUDGED = Effect(
    "\nPERFORM unified_worker.judge_quotes({post_uri});",
    "\nIF p_new IS NULL THEN\n  PERFORM unified_worker.judge_quotes({post_uri});\nEND IF;",
)
DISABLES_QUOTES = """
CREATE OR REPLACE FUNCTION unified_worker.disables_quotes(p_rules jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$disables$ SELECT p_rules @> '[{{"$type": "app.bsky.feed.postgate#disableRule"}}]' $disables$;
"""


def row(record: Record, at: Place) -> Row:
    """The post, the rules as they are, and the quotes from which the author detached it."""
    post = own_post(record, at)
    fields = {"rules": rules(record, "embeddingRules"), "detached": texts(record, "detachedEmbeddingUris")}
    rest = {name: value for name, value in fields.items() if value is not None}
    return Row(post, None, created_at(record), rest, (post,))


RECORD = RecordType(
    collection="app.bsky.feed.postgate",
    table="post_gates",
    row=row,
    columns=(
        OF_POST,
        Column(name="embedding_rules", type="jsonb NOT NULL DEFAULT '{}'", value="coalesce(v_rest -> 'rules', '{{}}')"),
        Column(name="created_at", type="timestamptz", value="v_created_at"),
        Column(name="detached_embedding_uris", type="jsonb", value="v_rest -> 'detached'", optional=True),
    ),
    key="post_uri",
    record_uri="replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/')",
    effects=(JUDGED,),
    meets=("t.post_uri",),
    functions=(DISABLES_QUOTES,),
)
