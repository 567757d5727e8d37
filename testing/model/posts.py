"""What a post says beside its text: tags, mentions, its quote, its place in a thread."""

from typing import Any, NamedTuple

from testing.model.names import POST, Record, Stored
from testing.model.protocol import MAX_CID, MAX_URI, authority, field_of, is_did, items_of, kind_of, record_uri, texts_of

MAX_FACETS = 1_000


class Quote(NamedTuple):
    """A post that another embeds."""

    uri: str
    cid: str


def tags(record: Record) -> list[str]:
    """The record's tags, then those of its facets, each once."""
    found: list[Any] = [*(texts_of(record, "tags") or ())]
    found += [field_of(feature, "tag") for feature in _features(record, "app.bsky.richtext.facet#tag")]
    return list(dict.fromkeys(tag for tag in found if isinstance(tag, str)))


def facets(record: Record) -> list[Any] | None:
    """The record's facets; none of them where they and their features are more than a text can have."""
    found = kind_of(record, "facets", list)
    number = sum(1 + len(items_of(field_of(facet, "features"))) for facet in items_of(found))
    return found if number <= MAX_FACETS else None


def mentions(post: Stored) -> list[str]:
    """The DIDs that a post mentions, each once, its author left out."""
    found = [field_of(feature, "did") for feature in _features(post.record, "app.bsky.richtext.facet#mention")]
    return list(dict.fromkeys(did for did in found if is_did(did) and did != post.did))


def _features(record: Record, kind: str) -> list[Any]:
    features = [feature for facet in facets(record) or () for feature in items_of(field_of(facet, "features"))]
    return [feature for feature in features if field_of(feature, "$type") == kind]


def quote(post: Stored) -> Quote | None:
    """The post that this one quotes, if the row's URI is not too long to be one."""
    embed = kind_of(post.record, "embed", dict)
    match field_of(embed, "$type"):
        case "app.bsky.embed.record":
            reference = field_of(embed, "record")
        case "app.bsky.embed.recordWithMedia":
            reference = field_of(field_of(embed, "record"), "record")
        case _:
            return None
    uri, cid = field_of(reference, "uri"), field_of(reference, "cid")
    parts = record_uri(uri)
    if parts is None or parts.collection != POST or not isinstance(cid, str) or len(cid) > MAX_CID:
        return None
    return Quote(uri, cid) if len(post.uri + "#quote") <= MAX_URI else None


def parent_uri(post: Stored) -> str | None:
    """What the post answers."""
    return post.record["reply"]["parent"]["uri"] if post.record.get("reply") else None


def root_uri(post: Stored) -> str | None:
    """The first post of the thread that it answers in."""
    return post.record["reply"]["root"]["uri"] if post.record.get("reply") else None


def root_author(post: Stored) -> str | None:
    """Who began the thread."""
    root = root_uri(post)
    return None if root is None else authority(root)
