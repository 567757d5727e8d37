"""Every field of every record type: what decides a record's meaning may refuse it, what only adds to it is left out.

The fields and what is right in them are the lexicons'. The page that lists them (docs/tables.md) is compared.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay_simulator.encoding import Value, cid_of, cid_text, encode
from testing.garbage import (
    BLOCK,
    CID,
    DID,
    FOLLOW,
    GENERATOR,
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
    URI,
    VERIFICATION,
)
from unified_indexer.database.write.batch import KINDS, row_of
from unified_indexer.errors import Rejected
from unified_indexer.protocol.data_model import to_json_form
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import EVERY_OTHER
from unified_indexer.records.base.values import RecordAddress, Row

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
AT = RecordAddress(DID, "3222222222222", URI)
REF = {"uri": URI, "cid": CID}
LIST_URI = f"at://{DID}/{LIST}/1"
LINK = {"$link": CID}
BLOB = {"$type": "blob", "ref": LINK, "mimeType": "image/png", "size": 1}
LEGACY_CID = cid_text(cid_of(b"an old picture"))
LEGACY = {"cid": LEGACY_CID, "mimeType": "image/jpeg"}
LABELS = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "nudity"}]}
FACETS = [{"index": {"byteStart": 0, "byteEnd": 1}, "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "a"}]}]
FOLLOWING = {"$type": f"{THREAD_GATE}#followingRule"}


Wrong = tuple[Any, ...]


@dataclass(frozen=True)
class Field:
    """`right`: a value as the lexicon has it. `wrong`: others, beyond null and a number."""

    right: Any
    wrong: Wrong = ()


@dataclass(frozen=True)
class Fields:
    """A type's fields. `required`: they decide, and must be there. `decides`: they decide where they are there."""

    required: dict[str, Field]
    decides: dict[str, Field]
    ornaments: dict[str, Field]


NO_TEXT: Wrong = ([], {}, True)
NO_MAP: Wrong = ("x", [], True)
NO_LIST: Wrong = ("x", {}, True)
NO_BLOB: Wrong = ("x", [], {}, {"$type": "blob"}, {**BLOB, "ref": CID}, {"cid": LEGACY_CID}, {"cid": 5, "mimeType": "a/b"})
NO_REF: Wrong = ("x", [], {}, {"uri": URI}, {"cid": CID}, {"uri": "x", "cid": CID}, {"uri": None, "cid": CID})
NO_DID: Wrong = ("x", "alice.test", [], {})
NO_LIST_URI: Wrong = ("x", URI, [], {}, "at://alice.test/app.bsky.graph.list/1")
NAME, PICTURE, DESCRIPTION = Field("Name", NO_TEXT), Field(BLOB, NO_BLOB), Field("words", NO_TEXT)
POINTER = Fields({"subject": Field(REF, NO_REF)}, {}, {"via": Field(REF, NO_MAP)})
OF_ACCOUNT = Fields({"subject": Field(DID, NO_DID)}, {}, {})
POST_OF_GATE = Field(URI, ("x", [], {}, URI + "x"))

FIELDS = {
    POST: Fields(
        {"text": Field("hello", NO_TEXT)},
        {"reply": Field({"parent": REF, "root": REF}, ("x", [], {}, {"parent": REF}, {"parent": None, "root": REF}))},
        {
            "langs": Field(["en"], NO_LIST),
            "tags": Field(["a"], NO_LIST),
            "facets": Field(FACETS, NO_LIST),
            "embed": Field({"$type": "app.bsky.embed.record", "record": REF}, NO_MAP),
            "labels": Field(LABELS, NO_MAP),
        },
    ),
    LIKE: POINTER,
    REPOST: POINTER,
    FOLLOW: OF_ACCOUNT,
    BLOCK: OF_ACCOUNT,
    PROFILE: Fields(
        {},
        {},
        {
            "displayName": NAME,
            "description": DESCRIPTION,
            "avatar": PICTURE,
            "banner": PICTURE,
            "pinnedPost": Field(REF, NO_MAP),
        },
    ),
    LIST: Fields(
        {"name": NAME, "purpose": Field("app.bsky.graph.defs#modlist", (*NO_TEXT, "x" * 65))},
        {},
        {"description": DESCRIPTION, "avatar": PICTURE},
    ),
    LIST_ITEM: Fields(
        {"subject": Field(DID, NO_DID), "list": Field(LIST_URI, (*NO_LIST_URI, f"at://did:plc:b/{LIST}/1"))}, {}, {}
    ),
    LIST_BLOCK: Fields({"subject": Field(LIST_URI, NO_LIST_URI)}, {}, {}),
    GENERATOR: Fields(
        {"did": Field(DID, NO_DID), "displayName": NAME},
        {},
        {"description": DESCRIPTION, "avatar": PICTURE},
    ),
    STARTER_PACK: Fields(
        {"name": NAME, "list": Field(LIST_URI, NO_LIST_URI)},
        {},
        {"description": DESCRIPTION, "feeds": Field([{"uri": f"at://{DID}/{GENERATOR}/1"}], NO_LIST)},
    ),
    LABELER: Fields({"policies": Field({"labelValues": ["spam"]}, NO_MAP)}, {}, {}),
    VERIFICATION: Fields({"subject": Field(DID, NO_DID), "handle": Field("alice.test", ("x", [], {}))}, {}, {}),
    THREAD_GATE: Fields(
        {"post": POST_OF_GATE},
        {"allow": Field([FOLLOWING], ("x", {}, [1], [{}], [{"$type": 5}]))},
        {"hiddenReplies": Field([URI], NO_LIST)},
    ),
    POST_GATE: Fields(
        {"post": POST_OF_GATE},
        {"embeddingRules": Field([{"$type": f"{POST_GATE}#disableRule"}], NO_LIST)},
        {"detachedEmbeddingUris": Field([URI], NO_LIST)},
    ),
}
PICTURES = [
    (collection, name)
    for collection, fields in FIELDS.items()
    for name in fields.ornaments
    if fields.ornaments[name] is PICTURE
]
TEXT_LISTS = [(POST, "langs"), (POST, "tags"), (THREAD_GATE, "hiddenReplies"), (POST_GATE, "detachedEmbeddingUris")]


def base(collection: str) -> dict[str, Any]:
    """The smallest record of a type."""
    return {"$type": collection, **{name: field.right for name, field in FIELDS[collection].required.items()}}


def row(collection: str, record: dict[str, Any]) -> Row:
    """Its row, but for the whole record, which a profile's row has too."""
    made = row_of(KINDS[collection][1], record, AT, collection)
    rest = {name: value for name, value in (made.rest or {}).items() if name != "record" and value is not None}
    return made._replace(rest=rest)


def reason(collection: str, record: dict[str, Any]) -> str:
    with pytest.raises(Rejected) as caught:
        row(collection, record)
    return caught.value.reason


def each(group: Callable[[Fields], dict[str, Field]]) -> list[Any]:
    """The parameters of a test of such fields."""
    found = [(collection, name, field) for collection, fields in FIELDS.items() for name, field in group(fields).items()]
    return [pytest.param(*case, id=f"{case[0]}-{case[1]}") for case in found]


@pytest.mark.parametrize(("collection", "name", "field"), each(lambda fields: fields.required))
def test_what_decides_must_be_there_and_right(collection: str, name: str, field: Field) -> None:
    record = base(collection)
    row(collection, record)
    assert reason(collection, {key: value for key, value in record.items() if key != name}) == "missing_field"
    assert reason(collection, {**record, name: None}) == "wrong_type"
    for wrong in (5, *field.wrong):
        assert reason(collection, {**record, name: wrong}) in {
            *("wrong_type", "missing_field", "bad_uri", "bad_did", "bad_handle"),
            *("purpose_too_long", "foreign_list", "gate_of_another_post"),
        }, wrong


@pytest.mark.parametrize(("collection", "name", "field"), each(lambda fields: fields.decides))
def test_what_decides_where_it_is_there_is_right_absent_or_null(collection: str, name: str, field: Field) -> None:
    record = base(collection)
    assert row(collection, {**record, name: field.right}) != row(collection, record)
    assert row(collection, {**record, name: None}) == row(collection, record)
    for wrong in (5, *field.wrong):
        assert reason(collection, {**record, name: wrong}) in ("wrong_type", "missing_field"), wrong


@pytest.mark.parametrize(("collection", "name", "field"), each(lambda fields: fields.ornaments))
def test_what_adds_to_a_record_is_left_out_where_it_is_wrong(collection: str, name: str, field: Field) -> None:
    record = base(collection)
    without = row(collection, record)
    assert row(collection, {**record, name: field.right}) != without
    for wrong in (None, 5, *field.wrong):
        assert row(collection, {**record, name: wrong}) == without, wrong


@pytest.mark.parametrize(("collection", "name"), PICTURES)
def test_a_picture_is_kept_by_its_cid_in_each_form(collection: str, name: str) -> None:
    for blob, cid in ((BLOB, CID), ({"ref": LINK, "mimeType": "a/b", "size": 1}, CID), (LEGACY, LEGACY_CID)):
        assert (row(collection, {**base(collection), name: blob}).rest or {})[name] == cid
    for odd in ("no CID", "x" * 256, "", "bafkrei\n" + "a" * 20):
        assert name not in (row(collection, {**base(collection), name: {**LEGACY, "cid": odd}}).rest or {})


@pytest.mark.parametrize(("collection", "name"), TEXT_LISTS)
def test_of_a_list_of_texts_the_texts_are_kept(collection: str, name: str) -> None:
    mixed = row(collection, {**base(collection), name: ["a", 1, None, {"a": "b"}, ["c"], "d"]})
    assert mixed == row(collection, {**base(collection), name: ["a", "d"]})


def test_a_malformed_blob_deep_inside_refuses_nothing() -> None:
    """The data model's own check would: it knows blobs by their $type, wherever they are."""
    odd: Value = {"$type": "blob", "ref": 5, "size": "large"}
    embed: Value = {"$type": "app.bsky.embed.images", "images": [{"image": odd}]}
    assert (row(POST, to_json_form(encode({"$type": POST, "text": "look", "embed": embed}))).rest or {})["embed"] == embed
    assert row(PROFILE, to_json_form(encode({"$type": PROFILE, "avatar": odd}))) == row(PROFILE, {"$type": PROFILE})


class Watched(dict[str, Any]):
    """A record that notes which fields are looked at."""

    def __init__(self, record: dict[str, Any]) -> None:
        super().__init__(record)
        self.seen: set[str] = set()

    def get(self, key: str, default: Any = None, /) -> Any:
        self.seen.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.seen.add(str(key))
        return super().__contains__(key)


@pytest.mark.parametrize("collection", [found.collection for found in RECORD_TYPES if found.collection != EVERY_OTHER])
def test_no_field_is_looked_at_that_is_not_listed_here(collection: str) -> None:
    watched = Watched(base(collection))
    row(collection, watched)
    fields = FIELDS[collection]
    assert watched.seen - {"$type", "createdAt"} == {*fields.required, *fields.decides, *fields.ornaments}


def test_the_page_lists_the_fields_so() -> None:
    told: dict[str, list[set[str]]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"\| `((?:[a-z0-9-]+\.){2,}[a-zA-Z]+)` \|([^|]*)\|([^|]*)\|([^|]*)\|", line):
            told[match[1]] = [set(re.findall(r"`(\w+)`", cell)) for cell in match.groups()[1:]]
    assert told == {
        collection: [set(fields.required), set(fields.decides), set(fields.ornaments)] for collection, fields in FIELDS.items()
    }
