"""Records as their authors mean them, by collection: several of each type, to be written one after the other under one key."""

from typing import NamedTuple

from relay_simulator.encoding import CID_RAW
from testing.commits import CID, Record, quoting
from testing.garbage import (
    BLOCK,
    FOLLOW,
    GENERATOR,
    GENERIC,
    LABELER,
    LIKE,
    LIST,
    LIST_BLOCK,
    LIST_ITEM,
    POST,
    POST_GATE,
    PROFILE,
    REPOST,
    STARTER_PACK,
    THREAD_GATE,
    VERIFICATION,
)

ME, STAR, FRIEND = "did:plc:me", "did:plc:star", "did:plc:friend"
BLOB: Record = {"$type": "blob", "ref": CID_RAW + bytes(32), "mimeType": "image/png", "size": 1}


class Samples(NamedTuple):
    """Records of one collection, by ME, that may replace each other under `rkey`."""

    collection: str
    rkey: str
    records: tuple[Record, ...]

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.rkey}"


def ref(did: str, collection: str = POST, rkey: str = "1") -> Record:
    return {"uri": f"at://{did}/{collection}/{rkey}", "cid": CID}


def facet(kind: str, **fields: str) -> Record:
    feature = {"$type": f"app.bsky.richtext.facet#{kind}", **fields}
    return {"index": {"byteStart": 0, "byteEnd": 1}, "features": [feature]}


def _samples(collection: str, *records: Record, rkey: str = "1") -> Samples:
    """Of these fields; each record a minute younger than the one before."""
    dated = [
        {"$type": collection, "createdAt": f"2026-06-30T12:{minute:02d}:00.000Z", **record}
        for minute, record in enumerate(records)
    ]
    return Samples(collection, rkey, tuple(dated))


_LABELS = "com.atproto.label.defs#selfLabels"
_QUOTE: Record = quoting(ref(STAR))
_ALL = (
    _samples(
        POST,
        {"text": "hello", "langs": ["en", "de"], "tags": ["a"], "labels": {"$type": _LABELS, "values": [{"val": "nudity"}]}},
        {"text": "yes", "reply": {"root": ref(STAR), "parent": ref(FRIEND)}, "facets": [facet("mention", did=FRIEND)]},
        {"text": "look", "embed": _QUOTE, "facets": [facet("mention", did=STAR), facet("tag", tag="b")]},
        {
            "text": "well",
            "reply": {"root": ref(STAR), "parent": ref(STAR)},
            "embed": {"$type": "app.bsky.embed.recordWithMedia", "record": {"record": ref(FRIEND)}, "media": {}},
        },
    ),
    _samples(
        LIKE,
        {"subject": ref(STAR)},
        {"subject": ref(FRIEND, GENERATOR), "via": ref(STAR, REPOST)},
        {"subject": ref(ME, rkey="other")},
    ),
    _samples(REPOST, {"subject": ref(STAR)}, {"subject": ref(FRIEND), "via": ref(STAR, REPOST)}),
    _samples(FOLLOW, {"subject": STAR}, {"subject": FRIEND}, {"subject": ME}),
    _samples(
        PROFILE,
        {"displayName": "Me", "description": "myself", "avatar": BLOB, "pinnedPost": ref(ME)},
        {"displayName": "I", "banner": BLOB, "joinedViaStarterPack": ref(STAR, STARTER_PACK)},
        {},
        rkey="self",
    ),
    _samples(BLOCK, {"subject": STAR}, {"subject": FRIEND}),
    _samples(
        LIST,
        {"name": "Cooks", "purpose": "app.bsky.graph.defs#curatelist", "description": "who cook", "avatar": BLOB},
        {"name": "Louts", "purpose": "app.bsky.graph.defs#modlist"},
    ),
    _samples(
        LIST_ITEM,
        {"subject": STAR, "list": ref(ME, LIST)["uri"]},
        {"subject": FRIEND, "list": ref(ME, LIST)["uri"]},
        {"subject": STAR, "list": ref(ME, LIST, "other")["uri"]},
    ),
    _samples(LIST_BLOCK, {"subject": ref(STAR, LIST)["uri"]}, {"subject": ref(FRIEND, LIST)["uri"]}),
    _samples(
        GENERATOR,
        {"did": "did:web:feeds.test", "displayName": "Cats", "description": "of cats", "avatar": BLOB},
        {"did": "did:web:other.test", "displayName": "Dogs"},
    ),
    _samples(
        STARTER_PACK,
        {"name": "Begin", "list": ref(ME, LIST)["uri"], "description": "here", "feeds": [ref(STAR, GENERATOR)]},
        {"name": "Start", "list": ref(STAR, LIST)["uri"]},
    ),
    _samples(LABELER, {"policies": {"labelValues": ["spam"]}}, {"policies": {"labelValues": []}}, rkey="self"),
    _samples(
        VERIFICATION,
        {"subject": STAR, "handle": "star.test", "displayName": "Star"},
        {"subject": FRIEND, "handle": "friend.test", "displayName": "Friend"},
        {"subject": STAR, "handle": "star.example", "displayName": "Star"},
    ),
    _samples(
        THREAD_GATE,
        {"post": ref(ME)["uri"], "allow": [], "hiddenReplies": [ref(STAR)["uri"]]},
        {"post": ref(ME)["uri"], "allow": [{"$type": f"{THREAD_GATE}#followingRule"}, {"$type": f"{THREAD_GATE}#mentionRule"}]},
        {"post": ref(ME)["uri"], "allow": [{"$type": f"{THREAD_GATE}#listRule", "list": ref(ME, LIST)["uri"]}]},
        {"post": ref(ME)["uri"]},
    ),
    _samples(
        POST_GATE,
        {
            "post": ref(ME)["uri"],
            "embeddingRules": [{"$type": f"{POST_GATE}#disableRule"}],
            "detachedEmbeddingUris": [ref(STAR)["uri"]],
        },
        {"post": ref(ME)["uri"]},
    ),
    _samples(GENERIC, {"trackName": "Song", "artists": [{"artistName": "Band"}]}, {"trackName": "Tune"}),
)
SAMPLES = {samples.collection: samples for samples in _ALL}
"""By collection; that of no type of its own is GENERIC."""
