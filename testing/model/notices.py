"""The notifications that records cause."""

from collections.abc import Iterator

from testing.model.history import Removed
from testing.model.names import (
    LIKE,
    REPOST,
    STARTER_PACK,
    Row,
    Stored,
)
from testing.model.posts import mentions, parent_uri, quote
from testing.model.protocol import MAX_URI, authority, field_of, record_uri


def notifications(stored: Stored) -> Iterator[Row]:
    """Those of a record that is there and holds its unique key."""
    match stored.collection:
        case "app.bsky.feed.like" | "app.bsky.feed.repost":
            yield from _of_pointer(stored)
        case "app.bsky.graph.follow":
            yield from _notice(stored, "", stored.record["subject"], "follow", None)
        case "app.bsky.feed.post":
            yield from _of_post(stored)
        case "app.bsky.actor.profile":
            pack = record_uri(field_of(stored.record.get("joinedViaStarterPack"), "uri"))
            if pack is not None and pack.collection == STARTER_PACK:
                uri = stored.record["joinedViaStarterPack"]["uri"]
                yield from _notice(stored, "/starterpack-joined", pack.did, "starterpack-joined", uri)
        case "app.bsky.graph.verification":
            yield from _notice(stored, "/verified", stored.record["subject"], "verified", None)
        case _:
            pass


def unverified(removed: Removed) -> Iterator[Row]:
    """That of a verification that was taken back."""
    stored, time = removed
    for row in _notice(stored, "/unverified", stored.record["subject"], "unverified", None):
        yield {**row, "created_at": time}


def _of_pointer(stored: Stored) -> Iterator[Row]:
    subject = stored.record["subject"]["uri"]
    reason = "like" if stored.collection == LIKE else "repost"
    yield from _notice(stored, "", authority(subject), reason, subject)
    via = field_of(stored.record.get("via"), "uri")
    parts = record_uri(via)
    if parts is not None and parts.collection == REPOST:
        yield from _notice(stored, f"/{reason}-via-repost", parts.did, f"{reason}-via-repost", via)


def _of_post(post: Stored) -> Iterator[Row]:
    parent, quoted = parent_uri(post), quote(post)
    if parent is not None and record_uri(parent) is not None:  # by a handle it is nobody's
        yield from _notice(post, "/reply", authority(parent), "reply", post.uri)
    if quoted is not None:
        yield from _notice(post, "/quote", authority(quoted.uri), "quote", post.uri)
    for did in mentions(post):
        yield from _notice(post, f"/mention/{did}", did, "mention", post.uri)


def _notice(stored: Stored, end: str, recipient: str, reason: str, subject: str | None) -> Iterator[Row]:
    """One row, unless it would be one's own or its URI too long for the column."""
    uri = f"{stored.uri}#notification{end}"
    if recipient != stored.did and len(uri) <= MAX_URI:
        yield {
            "uri": uri,
            "recipient_did": recipient,
            "author_did": stored.did,
            "reason": reason,
            "reason_subject": subject,
            "cid": stored.cid,
            "is_read": False,
            "created_at": stored.created_at,
        }
