"""app.bsky.feed.threadgate: who may reply in a thread. Its account and key are those of the thread's first post."""

from typing import Any, cast

from indexer.effects import Effect
from indexer.record_type import (
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

MENTIONED, FOLLOWED, LISTED = (f"app.bsky.feed.threadgate#{rule}Rule" for rule in ("mention", "following", "list"))
FOLLOWERS = "app.bsky.feed.threadgate#followerRule"

JUDGED = Effect(
    "\nPERFORM unified_worker.judge_thread({post_uri});",
    "\nPERFORM unified_worker.judge_thread({post_uri});",
)

# Follows and lists count as they were at the reply: what came later does not make it admitted.
VIOLATES = """
CREATE OR REPLACE FUNCTION unified_worker.violates_thread_gate(p_root text, p_author text, p_at timestamptz)
RETURNS boolean LANGUAGE plpgsql STABLE AS $violates$
DECLARE
  g {schema}.thread_gates; v_root_author text := split_part(p_root, '/', 3);
BEGIN
  SELECT t.* INTO g FROM {schema}.thread_gates AS t WHERE t.post_uri = p_root;
  IF NOT FOUND OR p_author = v_root_author
    OR (g.allow_mentions AND g.allow_following AND g.allow_list_members AND g.allow_list_uris = '[]')
  THEN
    RETURN false;
  END IF;
  IF g.allow_mentions AND EXISTS (
    SELECT FROM {schema}.posts AS p WHERE p.uri = p_root AND p_author IN (SELECT unified_worker.mentioned(p.facets)))
  THEN
    RETURN false;
  END IF;
  IF g.allow_following AND EXISTS (
    SELECT FROM {schema}.follows AS f
    WHERE f.follower_did = v_root_author AND f.following_did = p_author AND f.created_at <= p_at)
  THEN
    RETURN false;
  END IF;
  RETURN NOT g.allow_list_members OR NOT EXISTS (
    SELECT FROM {schema}.list_items AS l
    WHERE l.list_uri IN (SELECT jsonb_array_elements_text(g.allow_list_uris)) AND l.subject_did = p_author
      AND l.created_at <= p_at);
END $violates$;
"""
# What the gate says, on its post and on the replies in its thread.
JUDGE_THREAD = """
CREATE OR REPLACE FUNCTION unified_worker.judge_thread(p_root text) RETURNS void LANGUAGE plpgsql AS $judge$
DECLARE
  v_gated boolean := EXISTS (SELECT FROM {schema}.thread_gates AS g WHERE g.post_uri = p_root);
BEGIN
  UPDATE {schema}.posts SET has_thread_gate = v_gated WHERE uri = p_root AND has_thread_gate <> v_gated;
  UPDATE {schema}.posts AS p SET violates_thread_gate = NOT p.violates_thread_gate
  WHERE p.root_uri = p_root AND p.parent_uri IS NOT NULL AND p.violates_thread_gate <>
    unified_worker.violates_thread_gate(p_root, p.author_did, coalesce(p.commit_time, p.created_at));
END $judge$;
"""


def row(record: Record, at: Place) -> Row:
    """The post, and whom the gate admits. Without rules, or with one that is none of ours, it admits everybody."""
    post = own_post(record, at)
    allow = rules(record, "allow")
    kinds = {FOLLOWED, MENTIONED, LISTED} if allow is None else set(map(_kind, allow))
    followers = FOLLOWERS in kinds
    lists: dict[str, None] = {}
    if kinds <= {FOLLOWED, MENTIONED, LISTED}:
        lists = dict.fromkeys(_list(rule) for rule in allow or () if rule["$type"] == LISTED)
    else:
        kinds = {FOLLOWED, MENTIONED, LISTED}
    rest: dict[str, Any] = {
        "mentions": MENTIONED in kinds,
        "following": FOLLOWED in kinds,
        "members": LISTED in kinds,
        "lists": list(lists),
    }
    rest["followers"] = followers
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
    functions=(VIOLATES, JUDGE_THREAD),
)
