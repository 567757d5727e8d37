"""Strange and broken records: what a stream carries and a reader must survive. Each maker changes a good record."""

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from relay_simulator.encoding import Value, cid_of
from relay_simulator.gates import POST_GATE, THREAD_GATE
from relay_simulator.graph import BLOCK, LIST, LIST_BLOCK, LIST_ITEM, STARTER_PACK, VERIFICATION
from relay_simulator.records import FOLLOW, LIKE, POST, PROFILE, REPOST, Record
from relay_simulator.repository import Draft, written
from relay_simulator.services import GENERATOR, LABELER

Change: TypeAlias = Callable[[Random, Record], None]

STRANGE_TIMES: tuple[Value, ...] = (
    "", "yesterday", "1700000000", 1714550400, None, True, {}, [],
    "2024-05-01", "2024-05-01T10:00:00", "2024-05-01 10:00:00Z", "2024-05-01t10:00:00z", "24-05-01T10:00:00Z",
    "2024-02-30T10:00:00Z", "2024-05-01T10:00:60Z", "2024-05-01T10:00:00-00:00", "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z",
    "1970-01-01T00:00:00.000Z", "2031-07-01T00:00:00.000000000000Z", "2024-05-01T10:00:00.1234567Z",
    "2024-05-01T12:00:00.5+05:45",
)  # fmt: skip

BAD_BLOCKS: tuple[bytes, ...] = (
    b"\xa1\x64text\x63\xed\xa0\x80",  # a lone surrogate
    b"\xa1\x64text\xc2\x49\x01\0\0\0\0\0\0\0\0",  # a big integer, which DAG-CBOR has not
    b"\xa2\x64text\x62hi",  # cut off
    b"",
    b"\xff",
)


def _set(path: str, *values: Value) -> Change:
    """Set the field at `path` (dots lead into maps) to one of the values; without values, take it away."""

    def change(rng: Random, record: Record) -> None:
        *outer, name = path.split(".")
        here = record
        for step in outer:
            inner = here.get(step)
            if not isinstance(inner, dict):
                return
            here = inner
        if values:
            here[name] = rng.choice(values)
        else:
            here.pop(name, None)

    return change


def _deep(depth: int) -> Value:
    value: Value = "bottom"
    for _ in range(depth):
        value = [value]
    return value


_URIS: tuple[Value, ...] = (
    "", "at://", "https://example.com/x", "at://not a did/app.bsky.feed.post/1", "at://did:plc:x/app.bsky.feed.post",
    f"at://did:web:{'a' * 500}.test/app.bsky.feed.post/3k", 5, None, ["at://did:plc:x/app.bsky.feed.post/1"],
)  # fmt: skip
_ANY: tuple[Change, ...] = (
    _set("createdAt", *STRANGE_TIMES),
    _set("createdAt", *STRANGE_TIMES),
    _set("createdAt"),
    _set("$type", "app.bsky.feed.something", 7, None),
    _set("$type"),
    _set("strange", 2**63, -(2**63) - 1, 1.5, 2**63 - 1, -(2**63)),
    _set("strange", "with \0 in it", {"ke\0y": ["a\0", {"b": "\0"}]}),
    _set("strange", _deep(62), _deep(63), _deep(64), _deep(65), _deep(300)),
    _set("strange", None, [], {}, [None, True]),
)
_POINTER: tuple[Change, ...] = (
    _set("subject"),
    _set("subject", "at://did:plc:x/app.bsky.feed.post/1", 1, None, [], {}),
    _set("subject.uri", *_URIS),
    _set("subject.uri"),
    _set("subject.cid", 5, None, {}),
    _set("subject.cid"),
    _set("via", "at://x", 1, None, []),
    _set(
        "via", {}, {"uri": 1}, {"uri": "at://did:plc:x/app.bsky.feed.repost/1"}, {"uri": "at://x.test/app.bsky.feed.repost/1"}
    ),
)
_DIDS: tuple[Value, ...] = (
    "", "alice.test", "did:", "did:plc", "did:plc:", "DID:plc:abc", 1, None, {}, "did:web:" + "a" * 300,
)  # fmt: skip
_GOOD_DIDS = ("did:web:example.com", "did:plc:ewvi7nxzyoun6zhxrhs64oiz")
_SUBJECT: tuple[Change, ...] = (_set("subject"), _set("subject", *_DIDS), _set("subject", *_GOOD_DIDS))
_LISTS: tuple[Value, ...] = (*_URIS, "at://did:plc:x/app.bsky.feed.post/1", "at://alice.test/app.bsky.graph.list/1")
_NAMED: tuple[Change, ...] = (
    _set("name", "", "a\0b", 1, None, []),
    _set("name"),
    _set("description", "", "\0", "x" * 30_000, 1, None, {}),
)
# Of the form before 2023, right and wrong.
_LEGACY: tuple[Value, ...] = (
    {"cid": f"bafkrei{'a' * 52}", "mimeType": "image/png"},
    {"cid": "no CID", "mimeType": "image/png"},
    {"cid": f"bafkrei{'a' * 52}"},
)
_AVATAR = _set("avatar", None, "bafy", 1, {}, {"ref": "x"}, {"ref": {"link": 5}}, {"$type": "blob"}, *_LEGACY)
_POST_URI: tuple[Change, ...] = (_set("post", *_URIS, "at://did:plc:x/app.bsky.feed.post/1"), _set("post"))
_MENTION_RULE: Value = {"$type": f"{THREAD_GATE}#mentionRule"}
# The last but one is a DID that a column takes, but with which the notification's URI may be too long.
_MENTIONED: tuple[Value, ...] = (*_DIDS, *_GOOD_DIDS, "did:web:" + "m" * 247, "did:web:" + "m" * 248)
_MENTIONS: list[Value] = [[{"features": [{"$type": "app.bsky.richtext.facet#mention", "did": did}]}] for did in _MENTIONED]
_QUOTES: tuple[Value, ...] = (
    *({"$type": "app.bsky.embed.record", "record": {"uri": uri, "cid": "bafy"}} for uri in _URIS),
    {"$type": "app.bsky.embed.record", "record": {"uri": "at://did:plc:x/app.bsky.graph.list/1", "cid": "bafy"}},
    {"$type": "app.bsky.embed.record", "record": {"uri": "at://did:plc:x/app.bsky.feed.post/1", "cid": "y" * 256}},
    {"$type": "app.bsky.embed.record", "record": {"uri": "at://did:plc:x/app.bsky.feed.post/1"}},
    {"$type": "app.bsky.embed.recordWithMedia", "record": {"uri": "at://did:plc:x/app.bsky.feed.post/1", "cid": "y"}},
    {
        "$type": "app.bsky.embed.recordWithMedia",
        "record": {"record": {"uri": "at://did:plc:x/app.bsky.feed.post/1", "cid": "y"}},
    },
)
_BY_COLLECTION: dict[str, tuple[Change, ...]] = {
    POST: (
        _set("text", "", "a\0b", "\0", "line\nbreak\ttab", "x" * 20_000, "👩‍👩‍👧‍👦" * 300),
        _set("text", 1, None, ["a"], {"$type": "x"}),
        _set("text"),
        _set("langs", [], ["en", "en"], ["zz-\0-ZZ"], None, "en", [1], {"0": "en"}),
        _set("tags", [], ["a", "b", "a"], ["a\0"], None, "tag", [1], [None]),
        _set("facets", [], None, "facets", {"0": 1}),
        _set("facets", [1, None, {}, {"features": 3}, {"features": [None, {"$type": "app.bsky.richtext.facet#tag"}]}]),
        _set("facets", [{"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": tag} for tag in ("x", "y", "x")]}]),
        _set("embed", {}, {"$type": "app.example.embed"}, None, "embed", [1]),
        _set("embed", {"$type": "app.bsky.embed.record", "record": {"uri": 1}}, {"$type": 1, "t\0": "\0"}),
        _set("embed", *_QUOTES),
        _set("labels", None, {}, [], "nudity", {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "nudity"}]}),
        _set("facets", *_MENTIONS),
        _set("reply", {}, {"root": 1, "parent": 2}, None, "reply"),
        _set("reply", {"root": {"uri": "at://did:plc:x/app.bsky.feed.post/1", "cid": "bafy"}}),
        _set("reply", {"root": {"uri": "x", "cid": "y"}, "parent": {"uri": "x", "cid": "y"}}),
        _set("reply.parent.uri", *_URIS),
        _set("reply.root.cid", 1, None),
    ),
    LIKE: _POINTER,
    REPOST: _POINTER,
    FOLLOW: _SUBJECT,
    BLOCK: _SUBJECT,
    LIST: (
        *_NAMED,
        _AVATAR,
        _set("purpose", "", "x" * 64, "x" * 65, 1, None),
        _set("purpose"),
    ),
    LIST_ITEM: (*_SUBJECT, _set("list", *_LISTS), _set("list")),
    LIST_BLOCK: (_set("subject", *_LISTS), _set("subject")),
    STARTER_PACK: (
        *_NAMED,
        _set("list", *_LISTS),
        _set("list"),
        _set("feeds", [], [1, None], None, {}, "at://x"),
    ),
    GENERATOR: (
        _set("did", *_DIDS),
        _set("did", *_GOOD_DIDS),
        _set("did"),
        _set("displayName", "", "\0", 1, None),
        _set("displayName"),
        _set("description", "", 1, None),
        _AVATAR,
    ),
    LABELER: (_set("policies", {}, {"ke\0y": "\0"}, [], None, "x"), _set("policies")),
    VERIFICATION: (
        *_SUBJECT,
        _set("handle", "handle.invalid", "UPPER.Example.COM", "", "nodots", "a..b", "x." * 130 + "y", "-a.test", 5, None),
        _set("handle"),
    ),
    THREAD_GATE: (
        *_POST_URI,
        _set("allow"),
        _set("allow", [], None, {}, "all", [1], [{}], [{"$type": "app.example.rule"}]),
        _set("allow", [{"$type": f"{THREAD_GATE}#listRule"}], [{"$type": f"{THREAD_GATE}#listRule", "list": "at://x"}]),
        _set("allow", [_MENTION_RULE, _MENTION_RULE], [{"$type": "mentionRule"}]),
        _set("hiddenReplies", [], None, {}, "all", [1, None, "at://did:plc:x/app.bsky.feed.post/1"]),
    ),
    POST_GATE: (
        *_POST_URI,
        _set("embeddingRules"),
        _set("detachedEmbeddingUris", [], None, {}, "all", [1, None, "at://did:plc:x/app.bsky.feed.post/1"]),
        _set("embeddingRules", [], None, {}, [1, None], [{"$type": "disableRule"}], [{"$type": f"{POST_GATE}#disableRule"}, 1]),
    ),
    PROFILE: (
        _set("displayName", "", "a\0b", "x" * 3_000, 1, None, []),
        _set("description", "", "\0", "x" * 30_000, 1, None, {}),
        _AVATAR,
        _set("banner", None, "bafy", [], {"$type": "blob"}, *_LEGACY),
        _set("pinnedPost", None, "at://x", 1, []),
        _set("pinnedPost", {}, {"uri": 1}),
        _set("joinedViaStarterPack", None, 1, {}, {"uri": 5}, {"uri": f"at://did:plc:x/{POST}/1", "cid": "y"}),
        _set("joinedViaStarterPack", {"uri": f"at://did:plc:x/{STARTER_PACK}/1"}, {"uri": f"at://x.test/{STARTER_PACK}/1"}),
    ),
}  # fmt: skip


def change(rng: Random, record: Record) -> None:
    """Make one thing in a good record strange, or wrong."""
    rng.choice((*_ANY, *_BY_COLLECTION.get(str(record["$type"]), ())))(rng, record)


def bad_block(rng: Random, collection: str, rkey: str) -> Draft:
    """The creation of a record whose block nobody can decode."""
    block = rng.choice(BAD_BLOCKS)
    return Draft("create", collection, rkey, None, cid_of(block), block, "undecodable")


def huge(rng: Random, record: Record, rkey: str) -> Draft:
    """The creation of a post of 0.5 to 1.5 MB."""
    record["text"] = "huge " * rng.randrange(100_000, 300_000)
    return written("create", POST, rkey, record)
