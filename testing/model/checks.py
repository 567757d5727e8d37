"""Which records are accepted, by collection: only the fields that decide what a record means are looked at."""

from collections.abc import Callable
from typing import Any

from testing.model.names import (
    BLOCK,
    FOLLOW,
    GENERATOR,
    LABELER,
    LIKE,
    LIST,
    LIST_BLOCK,
    POST,
    POST_GATE,
    PROFILE,
    REPOST,
    STARTER_PACK,
    THREAD_GATE,
    VERIFICATION,
    Record,
)
from testing.model.protocol import MAX_CID, MAX_URI, Refused, field_of, is_did, is_handle, record_uri

MAX_PURPOSE = 64
ONLY_SELF = (PROFILE, LABELER)
LIST_RULE = "app.bsky.feed.threadgate#listRule"


def check(record: Record, collection: str, did: str, rkey: str) -> None:
    """Refuses an unusable record; what has no table of its own needs only a `$type`, which is looked at before."""
    if collection in ONLY_SELF and rkey != "self":
        raise Refused("the key is not 'self'")
    match collection:
        case "app.bsky.graph.listitem":
            _check_list_item(record, did)
        case "app.bsky.feed.threadgate" | "app.bsky.feed.postgate":
            if text(record, "post") != f"at://{did}/{POST}/{rkey}" or record_uri(record["post"]) is None:
                raise Refused("the gate of another post")
        case _:
            pass
    if collection in _CHECKS:
        _CHECKS[collection](record)


def text(record: Record, field: str) -> str:
    """A text that must be there."""
    value = record.get(field)
    if not isinstance(value, str):
        raise Refused(f"{field} is no text")
    return value


def _optional(record: Record, field: str, kind: type) -> Any:
    """What decides the record's meaning where it is there; null is as good as absent."""
    value = record.get(field)
    if value is not None and not isinstance(value, kind):
        raise Refused(f"{field} is no {kind.__name__}")
    return value


def _did(record: Record, field: str) -> None:
    if not is_did(record.get(field)):
        raise Refused(f"{field} is no DID")


def _list_uri(record: Record, field: str) -> None:
    parts = record_uri(record.get(field))
    if parts is None or parts.collection != LIST:
        raise Refused(f"{field} names no list")


def _reference(reference: Any, *, handles: bool = False) -> None:
    uri, cid = field_of(reference, "uri"), field_of(reference, "cid")
    if not isinstance(uri, str) or not isinstance(cid, str):
        raise Refused("a reference without uri or cid")
    if record_uri(uri) is None and not (handles and _by_handle(uri)):
        raise Refused("the uri names no record")
    if len(cid) > MAX_CID:
        raise Refused("the cid is too long")


def _by_handle(uri: str) -> bool:
    """Whether a URI would name a record, if its handle were a DID."""
    start, _, rest = uri.removeprefix("at://").partition("/")
    return is_handle(start) and record_uri(f"at://did:plc:x/{rest}") is not None and len(uri) <= MAX_URI


def _check_post(record: Record) -> None:
    text(record, "text")
    reply = _optional(record, "reply", dict)
    if reply is not None:
        _reference(reply.get("parent"), handles=True)
        _reference(reply.get("root"), handles=True)


def _check_pointer(record: Record) -> None:
    _reference(record.get("subject"))


def _check_subject(record: Record) -> None:
    _did(record, "subject")


def _check_list(record: Record) -> None:
    text(record, "name")
    if len(text(record, "purpose")) > MAX_PURPOSE:
        raise Refused("the purpose is too long")


def _check_list_item(record: Record, did: str) -> None:
    _did(record, "subject")
    _list_uri(record, "list")
    if not record["list"].startswith(f"at://{did}/"):
        raise Refused("the list is another account's")


def _check_list_block(record: Record) -> None:
    _list_uri(record, "subject")


def _check_generator(record: Record) -> None:
    _did(record, "did")
    text(record, "displayName")


def _check_starter_pack(record: Record) -> None:
    text(record, "name")
    _list_uri(record, "list")


def _check_labeler(record: Record) -> None:
    if not isinstance(record.get("policies"), dict):
        raise Refused("policies is no map")


def _check_verification(record: Record) -> None:
    _did(record, "subject")
    if not is_handle(record.get("handle")):
        raise Refused("handle is no handle")


def _check_thread_gate(record: Record) -> None:
    for rule in _optional(record, "allow", list) or ():
        kind = field_of(rule, "$type")
        if not isinstance(kind, str):
            raise Refused("a rule without $type")
        if kind == LIST_RULE and record_uri(rule.get("list")) is None:
            raise Refused("a rule of no list")


def _check_post_gate(record: Record) -> None:
    _optional(record, "embeddingRules", list)


_CHECKS: dict[str, Callable[[Record], None]] = {
    POST: _check_post,
    LIKE: _check_pointer,
    REPOST: _check_pointer,
    FOLLOW: _check_subject,
    BLOCK: _check_subject,
    LIST: _check_list,
    LIST_BLOCK: _check_list_block,
    GENERATOR: _check_generator,
    STARTER_PACK: _check_starter_pack,
    LABELER: _check_labeler,
    VERIFICATION: _check_verification,
    THREAD_GATE: _check_thread_gate,
    POST_GATE: _check_post_gate,
}
"""By collection. Not among them: a list item, because its list must be its author's; a profile, of which all is ornament."""
