"""The rows that records have of their own, one function a table."""

from collections.abc import Callable
from string import ascii_letters, digits
from typing import Any

from testing.model.checks import LIST_RULE
from testing.model.names import (
    BEFORE,
    BLOCK,
    FOLLOW,
    GENERATOR,
    LABELER,
    LIKE,
    LIST,
    LIST_BLOCK,
    LIST_ITEM,
    POST,
    POST_GATE,
    REPOST,
    STARTER_PACK,
    THREAD_GATE,
    UNDETERMINED,
    VERIFICATION,
    Record,
    Row,
    Stored,
)
from testing.model.posts import facets, tags
from testing.model.protocol import MAX_CID, field_of, kind_of, texts_of

MENTION_RULE, FOLLOWING_RULE = "app.bsky.feed.threadgate#mentionRule", "app.bsky.feed.threadgate#followingRule"
FOLLOWER_RULE = "app.bsky.feed.threadgate#followerRule"
UNIQUE = {
    "likes": ("user_did", "post_uri"),
    "reposts": ("user_did", "post_uri"),
    "follows": ("follower_did", "following_did"),
    "blocks": ("blocker_did", "blocked_did"),
    "list_items": ("list_uri", "subject_did"),
    "list_blocks": ("blocker_did", "list_uri"),
    "verifications": ("subject_did",),
}


def user_row(did: str, handle: str, profile: Record | None) -> Row:
    """A row of users; without a profile only the names that every user has."""
    record = profile or {}
    return {
        "did": did,
        "handle": handle,
        "display_name": kind_of(record, "displayName", str),
        "description": kind_of(record, "description", str),
        "avatar_url": _blob(record, "avatar"),
        "banner_url": _blob(record, "banner"),
        "profile_record": profile,
        "pinned_post": kind_of(record, "pinnedPost", dict),
    }


def _blob(record: Record, field: str) -> str | None:
    """The CID of a picture, of today's form or of the first one; None for what is neither."""
    link = field_of(field_of(field_of(record, field), "ref"), "$link")
    if isinstance(link, str):
        return link
    cid, kind = field_of(field_of(record, field), "cid"), field_of(field_of(record, field), "mimeType")
    if not isinstance(cid, str) or not isinstance(kind, str) or not 8 <= len(cid) <= MAX_CID:
        return None
    return cid if set(cid) <= {*ascii_letters, *digits, "+", "="} else None


def _commit(stored: Stored) -> Row:
    """The columns that tell the commit."""
    if stored.seq == BEFORE:
        return dict.fromkeys(("commit_seq", "commit_rev", "commit_time"), UNDETERMINED)
    return {"commit_seq": str(stored.seq), "commit_rev": stored.rev, "commit_time": stored.time}


def _named(stored: Stored) -> Row:
    """The columns that most tables have."""
    return {"uri": stored.uri, "cid": stored.cid, "created_at": stored.created_at}


def _post(stored: Stored) -> Row:
    """All but what gates say of it."""
    record = stored.record
    reply: dict[str, Any] = record.get("reply") or {}
    return {
        **_named(stored),
        **_commit(stored),
        "author_did": stored.did,
        "text": record["text"],
        "langs": texts_of(record, "langs"),
        "embed": kind_of(record, "embed", dict),
        "facets": facets(record),
        "tags": tags(record),
        "self_labels": kind_of(record, "labels", dict),
        "parent_uri": reply["parent"]["uri"] if reply else None,
        "parent_cid": reply["parent"]["cid"] if reply else None,
        "root_uri": reply["root"]["uri"] if reply else None,
        "root_cid": reply["root"]["cid"] if reply else None,
    }


def _pointer(stored: Stored) -> Row:
    subject = stored.record["subject"]
    return {
        "uri": stored.uri,
        "created_at": stored.created_at,
        **_commit(stored),
        "user_did": stored.did,
        "post_uri": subject["uri"],
        "subject_cid": subject["cid"],
        "via": kind_of(stored.record, "via", dict),
    }


def _follow(stored: Stored) -> Row:
    whom = {"follower_did": stored.did, "following_did": stored.record["subject"]}
    return {"uri": stored.uri, "created_at": stored.created_at, **_commit(stored), **whom}


def _block(stored: Stored) -> Row:
    whom = {"blocker_did": stored.did, "blocked_did": stored.record["subject"]}
    return {"uri": stored.uri, "created_at": stored.created_at, **_commit(stored), **whom}


def _list(stored: Stored) -> Row:
    record = stored.record
    return {
        **_named(stored),
        "creator_did": stored.did,
        "name": record["name"],
        "purpose": record["purpose"],
        "description": kind_of(record, "description", str),
        "avatar_url": _blob(record, "avatar"),
    }


def _list_item(stored: Stored) -> Row:
    return {**_named(stored), "list_uri": stored.record["list"], "subject_did": stored.record["subject"]}


def _list_block(stored: Stored) -> Row:
    whom = {"blocker_did": stored.did, "list_uri": stored.record["subject"]}
    return {"uri": stored.uri, "created_at": stored.created_at, **whom}


def _generator(stored: Stored) -> Row:
    """All but its likes."""
    record = stored.record
    return {
        **_named(stored),
        "creator_did": stored.did,
        "did": record["did"],
        "display_name": record["displayName"],
        "description": kind_of(record, "description", str),
        "avatar_url": _blob(record, "avatar"),
    }


def _starter_pack(stored: Stored) -> Row:
    record = stored.record
    return {
        **_named(stored),
        "creator_did": stored.did,
        "name": record["name"],
        "description": kind_of(record, "description", str),
        "list_uri": record["list"],
        "feeds": kind_of(record, "feeds", list) or [],
    }


def _labeler(stored: Stored) -> Row:
    """All but its likes."""
    return {**_named(stored), "creator_did": stored.did, "policies": stored.record["policies"]}


def _verification(stored: Stored) -> Row:
    said = {"subject_did": stored.record["subject"], "handle": stored.record["handle"], "verified_at": stored.created_at}
    return {**_named(stored), **said}


def _thread_gate(stored: Stored) -> Row:
    rules: list[Record] | None = stored.record.get("allow")
    kinds = [rule["$type"] for rule in rules or ()]
    uris: list[str] = []
    followers = False
    if rules is None or any(kind not in (MENTION_RULE, FOLLOWING_RULE, FOLLOWER_RULE, LIST_RULE) for kind in kinds):
        allowed = (True, True, True)  # whom a rule of another kind admits, nobody can tell
    else:
        uris = [rule["list"] for rule in rules if rule["$type"] == LIST_RULE]
        allowed = (MENTION_RULE in kinds, FOLLOWING_RULE in kinds, bool(uris))
        followers = FOLLOWER_RULE in kinds
    columns: dict[str, Any] = dict(zip(("allow_mentions", "allow_following", "allow_list_members"), allowed, strict=True))
    columns = {
        **columns,
        "allow_list_uris": list(dict.fromkeys(uris)),
        "hidden_replies": texts_of(stored.record, "hiddenReplies"),
    }
    columns["allow_followers"] = followers
    return {"post_uri": stored.record["post"], "owner_did": stored.did, **columns, "created_at": stored.created_at}


def _post_gate(stored: Stored) -> Row:
    rules: Any = stored.record.get("embeddingRules")
    columns: Row = {
        "embedding_rules": {} if rules is None else rules,
        "detached_embedding_uris": texts_of(stored.record, "detachedEmbeddingUris"),
    }
    return {"post_uri": stored.record["post"], **columns, "created_at": stored.created_at}


def _generic(stored: Stored) -> Row:
    whole = {"author_did": stored.did, "record_type": stored.collection, "record": stored.record}
    return {**_named(stored), **whole}


_TABLES: dict[str, tuple[str, Callable[[Stored], Row]]] = {
    POST: ("posts", _post),
    LIKE: ("likes", _pointer),
    REPOST: ("reposts", _pointer),
    FOLLOW: ("follows", _follow),
    BLOCK: ("blocks", _block),
    LIST: ("lists", _list),
    LIST_ITEM: ("list_items", _list_item),
    LIST_BLOCK: ("list_blocks", _list_block),
    GENERATOR: ("feed_generators", _generator),
    STARTER_PACK: ("starter_packs", _starter_pack),
    LABELER: ("labeler_services", _labeler),
    VERIFICATION: ("verifications", _verification),
    THREAD_GATE: ("thread_gates", _thread_gate),
    POST_GATE: ("post_gates", _post_gate),
}
RECORD_TABLES = [table for table, _ in _TABLES.values()] + ["generic_records"]


def row(stored: Stored) -> tuple[str, Row]:
    """A record's table and its row there; a profile has none of its own."""
    table, make = _TABLES.get(stored.collection, ("generic_records", _generic))
    return table, make(stored)


def unrestricted(gate: Row) -> bool:
    """Whether a thread gate lets everybody answer."""
    allowed = (gate["allow_mentions"], gate["allow_following"], gate["allow_list_members"], gate["allow_list_uris"])
    return allowed == (True, True, True, [])
