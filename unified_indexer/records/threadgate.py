"""app.bsky.feed.threadgate: who may reply in a thread. Its account and key are those of the thread's first post."""

from typing import Any, cast

from unified_indexer.records.base.columns import Column, author, created, flag, json
from unified_indexer.records.base.fields import check_record_uri, created_at, required_text, texts, wrong_type
from unified_indexer.records.base.gates import OF_POST, judges, own_post, rules
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row

MENTIONED, FOLLOWED, FOLLOWERS, LISTED = (
    f"app.bsky.feed.threadgate#{rule}Rule" for rule in ("mention", "following", "follower", "list")
)
KNOWN = {MENTIONED, FOLLOWED, FOLLOWERS, LISTED}

# This pass comes before the one over posts: a post that is deleted in between asks for the column.
SHOWN_FIRST = """UPDATE {schema}.posts AS p SET has_thread_gate = true FROM {rows} AS t
    WHERE p.uri = t.post_uri AND NOT p.has_thread_gate"""


def row(record: Record, at: RecordAddress) -> Row:
    """The post, and whom the gate admits. Without rules, or with an unknown rule, it admits everybody."""
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
        author("owner_did"),
        flag("allow_mentions", "mentions", required=True, default="true"),
        flag("allow_following", "following", required=True, default="true"),
        flag("allow_list_members", "members", required=True, default="false"),
        json("allow_list_uris", "lists", required=True, default="[]"),
        created("created_at", required=False),
        Column(name="updated_at", type="timestamptz", value="now()"),
        flag("allow_followers", "followers", default="false", optional=True, needed="false"),
        json("hidden_replies", "hidden", optional=True),
    ),
    indexes=("owner_did",),
    key="post_uri",
    record_uri="replace(t.post_uri, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/')",
    effects=(judges("judge_thread", first=SHOWN_FIRST),),
    meets=("t.post_uri",),
    timed=True,
    comes_last=True,  # it admits whom its account follows, mentions or lists
)
