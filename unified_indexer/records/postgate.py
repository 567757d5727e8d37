"""app.bsky.feed.postgate: who may quote a post. Its account and key are the post's."""

from unified_indexer.records.base.columns import created, json
from unified_indexer.records.base.fields import created_at, texts
from unified_indexer.records.base.gates import OF_POST, judges, own_post, rules
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row

DISABLES_QUOTES = """
CREATE OR REPLACE FUNCTION unified_worker.disables_quotes(p_rules jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$disables$ SELECT p_rules @> '[{{"$type": "app.bsky.feed.postgate#disableRule"}}]' $disables$;
"""


def row(record: Record, at: RecordAddress) -> Row:
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
        json("embedding_rules", "rules", default="{}"),
        created("created_at", required=False),
        json("detached_embedding_uris", "detached", optional=True),
    ),
    key="post_uri",
    record_uri="replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/')",
    effects=(judges("judge_quotes"),),
    meets=("t.post_uri",),
    functions=(DISABLES_QUOTES,),
)
