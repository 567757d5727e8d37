"""Records of which any field may be anything that the data model holds, for hypothesis: many of them are nearly right."""

from typing import Any

from hypothesis import strategies as st

from relay_simulator.encoding import CID_DAG_CBOR, CID_RAW, cid_of, cid_text

POST, LIKE, REPOST = "app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.feed.repost"
FOLLOW, PROFILE = "app.bsky.graph.follow", "app.bsky.actor.profile"

CID = cid_text(cid_of(b"a"))
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
facets = st.lists(
    st.fixed_dictionaries(
        {"features": st.lists(st.fixed_dictionaries({"$type": st.just("app.bsky.richtext.facet#tag"), "tag": text | anything}))}
    )
    | anything,
    max_size=3,
)
blob = st.fixed_dictionaries(
    {"$type": st.just("blob"), "ref": cid_bytes | anything, "mimeType": text, "size": st.integers(0, 2**63 - 1)}
)
embed = st.dictionaries(text, anything, max_size=3) | anything
reply = st.fixed_dictionaries({"parent": refs, "root": refs}) | anything

REF = {"uri": URI, "cid": CID}
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
    LIKE: {"subject": (REF, refs), "via": (REF, refs)},
    REPOST: {"subject": (REF, refs), "via": (REF, refs)},
    FOLLOW: {"subject": (DID, dids)},
    PROFILE: {
        "displayName": ("Name", text),
        "description": ("", text),
        "avatar": (BLOB, blob),
        "banner": (BLOB, blob),
        "pinnedPost": (REF, refs),
    },
}


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
