"""app.bsky.feed.threadgate: who may reply in a thread. Its account and key are those of the thread's first post."""

from typing import Any, cast

from indexer.records.base.effects import Effect
from indexer.records.base.record_type import (
    KEY,
    OF_POST,
    Column,
    Place,
    Record,
    RecordType,
    Row,
    check_record_uri,
    created_at,
    own_post,
    required_text,
    rules,
    texts,
    wrong_type,
)

MENTIONED, FOLLOWED, FOLLOWERS, LISTED = (
    f"app.bsky.feed.threadgate#{rule}Rule" for rule in ("mention", "following", "follower", "list")
)
KNOWN = {MENTIONED, FOLLOWED, FOLLOWERS, LISTED}

JUDGED = Effect(
    "\nPERFORM unified_worker.judge_thread({post_uri});",
    "\nIF p_new IS NULL THEN\n  PERFORM unified_worker.judge_thread({post_uri});\nEND IF;",
    # This pass comes before the one over posts: a post that is deleted in between asks for the column.
    first="""UPDATE {schema}.posts AS p SET has_thread_gate = true FROM {rows} AS t
    WHERE p.uri = t.post_uri AND NOT p.has_thread_gate""",
)


def row(record: Record, at: Place) -> Row:
    """The post, and whom the gate admits. Without rules, or with one that is none of ours, it admits everybody."""
    post = own_post(record, at)
    allow = rules(record, "allow")
    kinds = KNOWN - {FOLLOWERS} if allow is None else set(map(_kind, allow))
    lists: dict[str, None] = {}
    if kinds <= KNOWN:
        lists = dict.fromkeys(_list(rule) for rule in allow or () if rule["$type"] == LISTED)
    else:
        kinds = KNOWN - {FOLLOWERS}
    rest: dict[str, Any] = {
        "mentions": MENTIONED in kinds,
        "following": FOLLOWED in kinds,
        "followers": FOLLOWERS in kinds,
        "members": LISTED in kinds,
        "lists": list(lists),
    }
    if (hidden := texts(record, "hiddenReplies")) is not None:
        rest["hidden"] = hidden
    return Row(post, None, created_at(record), rest, (post,))


def _kind(rule: object) -> str:
    match rule:
        case {"$type": str(kind)}:
            return kind
        case _:
            raise wrong_type("allow", "an array of rules")


def _list(rule: object) -> str:
    uri = required_text(cast("Record", rule), "list")
    check_record_uri(uri, "allow.list")
    return uri


RECORD = RecordType(
    collection="app.bsky.feed.threadgate",
    table="thread_gates",
    row=row,
    columns=(
        OF_POST,
        Column(name="owner_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="allow_mentions", type="boolean NOT NULL DEFAULT true", value="(v_rest -> 'mentions')::boolean"),
        Column(name="allow_following", type="boolean NOT NULL DEFAULT true", value="(v_rest -> 'following')::boolean"),
        Column(name="allow_list_members", type="boolean NOT NULL DEFAULT false", value="(v_rest -> 'members')::boolean"),
        Column(name="allow_list_uris", type="jsonb NOT NULL DEFAULT '[]'", value="v_rest -> 'lists'"),
        Column(name="created_at", type="timestamptz", value="v_created_at"),
        Column(name="updated_at", type="timestamptz", value="now()"),
        Column(
            name="allow_followers",
            type="boolean NOT NULL DEFAULT false",
            value="coalesce((v_rest -> 'followers')::boolean, false)",
            optional=True,
            needed="false",
        ),
        Column(name="hidden_replies", type="jsonb", value="v_rest -> 'hidden'", optional=True),
    ),
    indexes=("owner_did",),
    key="post_uri",
    record_uri="replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/')",
    effects=(JUDGED,),
    meets=("t.post_uri",),
    timed=True,
)
