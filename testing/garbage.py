"""Records of which any field may be anything that the data model holds, for hypothesis: many of them are nearly right."""

from typing import Any

from hypothesis import strategies as st

from relay_simulator.encoding import CID_DAG_CBOR, CID_RAW, cid_of
from testing.commits import CID, FOLLOW, LIKE, POST, PROFILE, REPOST

BLOCK, LIST, LIST_ITEM = "app.bsky.graph.block", "app.bsky.graph.list", "app.bsky.graph.listitem"
LIST_BLOCK, STARTER_PACK = "app.bsky.graph.listblock", "app.bsky.graph.starterpack"
GENERATOR, LABELER = "app.bsky.feed.generator", "app.bsky.labeler.service"
VERIFICATION = "app.bsky.graph.verification"
THREAD_GATE, POST_GATE = "app.bsky.feed.threadgate", "app.bsky.feed.postgate"
GENERIC = "fm.teal.alpha.feed.play"

DID = "did:plc:someone"
URI = f"at://{DID}/{POST}/3222222222222"
SPECIAL = [
    "",
    "\0",
    "a\0b",
    "\\u0000",
    "\\",
    "'; DROP TABLE posts; --",
    "\u202e\ufeff\ufffe\U0010ffff",
    "a" * 2047,
    "a" * 3000,
    "a-b-" * 5000,
    "http://x/y/" + "z/" * 3000,
    "你" * 40_000,
    "{1,2}",
    "NULL",
    "%s $1 {0}",
]
text = st.one_of(st.text(max_size=20), st.sampled_from(SPECIAL))
cid_bytes = st.sampled_from([cid_of(b"a"), CID_RAW + bytes(32), CID_DAG_CBOR + bytes(32)])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    text,
    st.binary(max_size=8),
    cid_bytes,
    st.sampled_from([DID, URI]),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text.filter(bool), inner, max_size=3), max_leaves=6
)

times = st.sampled_from(
    [
        "2026-07-01T12:00:00.000Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-23:59",
        "1582-10-10T00:00:00Z",
        "4713-01-01T00:00:00Z",
        "-4713-01-01T00:00:00Z",
        "294277-01-01T00:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-06-30T23:59:60Z",
        "infinity",
        "now",
        "2026-07-01",
        "12026-07-01T00:00:00Z",
    ]
)
uris = st.sampled_from(
    [
        URI,
        "at://" + DID,
        f"at://{DID}/{POST}",
        f"at://{DID}/{POST}/" + "r" * 440,
        f"at://{DID}/{POST}/" + "r" * 512,
        f"at://did:web:{'d' * 300}.x/{POST}/1",
        f"at://handle.example/{POST}/1",
        f"at://{DID}/{POST}/1/2",
        f"at://{DID}/{POST}/é",
        URI + "\n",
        "https://example.com",
    ]
)
dids = st.sampled_from(
    [DID, "did:plc:" + "a" * 247, "did:plc:" + "a" * 248, "did:web:x%00y", "did:plc:", "handle.example", DID + "\0"]
)
cids = st.sampled_from([CID, "", "x" * 255, "x" * 256, "é" * 255, CID + "\0"])
refs = st.fixed_dictionaries({"uri": uris | anything, "cid": cids | anything}) | anything
languages = st.lists(text, max_size=3) | anything
features = st.one_of(
    st.fixed_dictionaries({"$type": st.just("app.bsky.richtext.facet#tag"), "tag": text | anything}),
    st.fixed_dictionaries({"$type": st.just("app.bsky.richtext.facet#mention"), "did": dids | anything}),
    anything,
)
facets = st.lists(st.fixed_dictionaries({"features": st.lists(features, max_size=3)}) | anything, max_size=3)
blob = st.fixed_dictionaries(
    {"$type": st.just("blob"), "ref": cid_bytes | anything, "mimeType": text, "size": st.integers(0, 2**63 - 1)}
)
quotes = st.one_of(
    st.fixed_dictionaries({"$type": st.just("app.bsky.embed.record"), "record": refs}),
    st.fixed_dictionaries(
        {"$type": st.just("app.bsky.embed.recordWithMedia"), "record": st.fixed_dictionaries({"record": refs}) | anything}
    ),
)
embed = quotes | st.dictionaries(text, anything, max_size=3) | anything
list_uris = st.sampled_from([f"at://{DID}/{LIST}/1", f"at://{DID}/{LIST}/" + "r" * 440, f"at://did:plc:b/{LIST}/2", URI]) | uris
rules = st.lists(
    st.fixed_dictionaries(
        {"$type": st.sampled_from([f"{THREAD_GATE}#{kind}Rule" for kind in ("list", "mention", "follower", "new")])},
        optional={"list": list_uris | anything},
    )
    | anything,
    max_size=3,
)
embedding_rules = st.lists(st.fixed_dictionaries({"$type": st.just(f"{POST_GATE}#disableRule") | text}) | anything, max_size=3)
handles = st.sampled_from(
    ["user.example.com", "USER.example.COM", "handle.invalid", "nodots", "a..b", "x." * 130 + "y", "-a.test"]
)
policies = st.dictionaries(text, anything, max_size=3) | anything
reply = st.fixed_dictionaries({"parent": refs, "root": refs}) | anything

REF = {"uri": URI, "cid": CID}
REPOST_REF = {"uri": f"at://{DID}/{REPOST}/3222222222222", "cid": CID}
BLOB = {"$type": "blob", "ref": cid_of(b"a"), "mimeType": "image/png", "size": 1}
# By field: what is right, and what is nearly so.
FIELDS: dict[str, dict[str, tuple[Any, st.SearchStrategy[Any]]]] = {
    POST: {
        "text": ("hello", text),
        "langs": (["en"], languages),
        "tags": (["a"], languages),
        "facets": ([], facets),
        "embed": ({"$type": "app.bsky.embed.record", "record": REF}, embed),
        "reply": ({"parent": REF, "root": REF}, reply),
    },
    LIKE: {"subject": (REF, refs), "via": (REPOST_REF, refs)},
    REPOST: {"subject": (REF, refs), "via": (REPOST_REF, refs)},
    FOLLOW: {"subject": (DID, dids)},
    PROFILE: {
        "displayName": ("Name", text),
        "description": ("", text),
        "avatar": (BLOB, blob),
        "banner": (BLOB, blob),
        "pinnedPost": (REF, refs),
        "joinedViaStarterPack": ({"uri": f"at://{DID}/{STARTER_PACK}/1", "cid": CID}, refs),
    },
    BLOCK: {"subject": (DID, dids)},
    LIST: {
        "name": ("Name", text),
        "purpose": ("app.bsky.graph.defs#curatelist", text),
        "description": ("", text),
        "avatar": (BLOB, blob),
    },
    LIST_ITEM: {"subject": (DID, dids), "list": (f"at://{DID}/{LIST}/1", list_uris)},
    LIST_BLOCK: {"subject": (f"at://{DID}/{LIST}/1", list_uris)},
    STARTER_PACK: {
        "name": ("Name", text),
        "list": (f"at://{DID}/{LIST}/1", list_uris),
        "description": ("", text),
        "feeds": ([{"uri": f"at://{DID}/{GENERATOR}/1"}], st.lists(anything, max_size=3)),
    },
    GENERATOR: {"did": (DID, dids), "displayName": ("Name", text), "description": ("", text), "avatar": (BLOB, blob)},
    LABELER: {"policies": ({"labelValues": ["spam"]}, policies)},
    VERIFICATION: {"subject": (DID, dids), "handle": ("user.example.com", handles), "displayName": ("Name", text)},
    THREAD_GATE: {"post": (URI, uris), "allow": ([], rules)},
    POST_GATE: {"post": (URI, uris), "embeddingRules": ([], embedding_rules)},
    GENERIC: {"trackName": ("Song", text), "artists": ([], anything)},
}
"""A list item, a thread gate and a post gate are right only where their author is DID and their key that of URI (`key_of`)."""


def key_of(collection: str, other: str) -> str:
    """The key under which a record of this collection may be right; `other` where any may."""
    if collection in (PROFILE, LABELER):
        return "self"
    return URI.rpartition("/")[2] if collection in (THREAD_GATE, POST_GATE) else other


@st.composite
def _record(draw: st.DrawFn, collection: str) -> dict[str, Any]:
    """A record of a collection: each field right, nearly right, anything or absent."""
    record: dict[str, Any] = {"$type": collection}
    fields = {**FIELDS[collection], "createdAt": ("2026-07-01T12:00:00Z", times), "extra": (1, anything)}
    for name, (right, near) in fields.items():
        match draw(st.integers(0, 9)):
            case 0:
                record[name] = draw(anything)
            case 1:
                pass
            case 2 | 3 | 4:
                record[name] = draw(near)
            case _:
                record[name] = right
    if draw(st.integers(0, 30)) == 30:
        record["$type"] = draw(text)
    return record


records = {collection: _record(collection) for collection in FIELDS}
"""Strategies by collection."""

any_record = st.one_of(*(st.tuples(st.just(collection), strategy) for collection, strategy in records.items()))
"""(collection, record)."""
