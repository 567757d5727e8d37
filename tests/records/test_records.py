"""A record of any content becomes a row or is refused by a name, and what each type makes of its fields."""

import contextlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unified_indexer.records
from relay_simulator.encoding import cid_of, encode
from testing.garbage import (
    CID,
    DID,
    FOLLOW,
    LIKE,
    LIST,
    POST,
    POST_GATE,
    PROFILE,
    REPOST,
    THREAD_GATE,
    URI,
    any_record,
    anything,
)
from unified_indexer.database.write.batch import KIND_REFUSED, KINDS, OTHER, build, row_of
from unified_indexer.errors import Rejected
from unified_indexer.protocol.data_model import to_json_form
from unified_indexer.protocol.events import Commit, RecordOp
from unified_indexer.records import RECORD_TYPES, find
from unified_indexer.records.base.fields import created_at
from unified_indexer.records.base.search_text import MAX_SEARCH_CHARS
from unified_indexer.records.base.values import RecordAddress, Row
from unified_indexer.selection import Selection

TIME = datetime(2026, 7, 1, tzinfo=UTC)
REF = {"uri": URI, "cid": CID}


AT = RecordAddress(DID, "3222222222222", f"at://{DID}/app.example.record/3222222222222")


def row(collection: str, **fields: Any) -> Row:
    return row_of(KINDS[collection][1], {"$type": collection, **fields}, AT, collection)


def reason(collection: str, **fields: Any) -> str:
    with pytest.raises(Rejected) as caught:
        row(collection, **fields)
    assert re.fullmatch("[a-z_]+", caught.value.reason)
    return caught.value.reason


def commit(*ops: tuple[str, Any]) -> Commit:
    blocks = [encode(record) for _, record in ops]
    written = [
        RecordOp("create", collection, str(place), cid_of(block), block)
        for place, ((collection, _), block) in enumerate(zip(ops, blocks, strict=True))
    ]
    return Commit(1, DID, "3222222222222", None, TIME, cid_of(b"tree"), False, tuple(written), (), b"frame")


slow = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@slow
@given(st.lists(any_record, min_size=1, max_size=3))
def test_any_record_is_a_row_or_refused_by_name(found: list[tuple[str, Any]]) -> None:
    batch = build([commit(*found)])
    assert len(batch.kind) == len(found)
    assert sum(kind == KIND_REFUSED for kind in batch.kind) == len(batch.refused)
    assert all(re.fullmatch("[a-z_]+", reason) for _, reason in batch.refused)
    for values in (batch.uri, batch.cid, batch.subject, batch.subject_cid, batch.rest):
        assert len(values) == len(found)
        assert not any("\0" in value for value in values if value is not None)
    for kind, subject, subject_cid, created in zip(batch.kind, batch.subject, batch.subject_cid, batch.created_at, strict=True):
        assert len(subject or "") <= 512
        assert len(subject_cid or "") <= 255
        assert (created is None) == (kind == KIND_REFUSED)


@slow
@given(st.sampled_from(RECORD_TYPES), st.dictionaries(st.text(max_size=10), anything, max_size=4))
def test_any_map_is_a_row_or_refused_by_name(record_type: Any, fields: dict[str, Any]) -> None:
    with contextlib.suppress(Rejected):
        row_of(record_type, to_json_form(encode({**fields, "$type": record_type.collection})), AT, record_type.collection)


def test_the_types_are_found_by_looking() -> None:
    files = [path.stem for path in (Path(unified_indexer.records.__file__).parent).glob("*.py") if path.stem != "__init__"]
    assert len(find()) == len(files) >= 16
    assert {POST, LIKE, REPOST, FOLLOW, PROFILE} < {found.collection for found in RECORD_TYPES}
    kinds = [kind for found in RECORD_TYPES for kind in (found.kind, found.kind + 1)]
    assert len(set(kinds)) == len(kinds), "two collections have one number"


def test_a_record_of_another_type_is_refused() -> None:
    with pytest.raises(Rejected, match="wrong_type"):
        row_of(KINDS[LIKE][1], {"$type": REPOST, "subject": REF}, AT, LIKE)


@pytest.mark.parametrize("collection", [LIKE, REPOST])
def test_pointers(collection: str) -> None:
    assert row(collection, subject=REF) == Row(URI, CID, None, None, (URI,))
    assert row(collection, subject=REF, via=REF).rest == {"via": REF}
    assert reason(collection) == "missing_field"
    assert reason(collection, subject={"uri": URI}) == "missing_field"
    assert reason(collection, subject=URI) == "wrong_type"
    assert reason(collection, subject={"uri": URI, "cid": 1}) == "wrong_type"
    assert reason(collection, subject={"uri": URI, "cid": "x" * 256}) == "cid_too_long"
    assert reason(collection, subject={"uri": f"at://{DID}/{POST}/" + "x" * 512, "cid": CID}) == "uri_too_long"
    for bad in (
        "",
        "at://",
        f"at://{DID}",
        f"at://{DID}/{POST}",
        f"at://handle.example/{POST}/1",
        f"{URI}/x",
        "https://x.example",
    ):
        assert reason(collection, subject={"uri": bad, "cid": CID}) == "bad_uri"


def test_follows() -> None:
    assert row(FOLLOW, subject=DID) == Row(DID, None, None, None)
    assert reason(FOLLOW) == "missing_field"
    assert reason(FOLLOW, subject={"did": DID}) == "wrong_type"
    assert reason(FOLLOW, subject="handle.example") == "bad_did"
    assert row(FOLLOW, subject="did:plc:" + "a" * 247).subject is not None
    assert reason(FOLLOW, subject="did:plc:" + "a" * 248) == "did_too_long"


def test_posts() -> None:
    assert row(POST, text="") == Row(None, None, None, {"text": ""}, (AT.uri,))
    assert reason(POST) == "missing_field"
    assert reason(POST, text=None) == "wrong_type"
    assert reason(POST, text="", reply={"parent": REF}) == "missing_field"
    full = row(POST, text="t", langs=["en"], embed={"a": 1}, facets=[1], reply={"parent": REF, "root": {**REF, "cid": "c"}})
    assert full == Row(
        URI,
        CID,
        None,
        {"text": "t", "langs": ["en"], "embed": {"a": 1}, "facets": [1], "root": URI, "root_cid": "c"},
        (AT.uri, URI, URI),
    )


def test_tags_of_the_record_and_of_its_facets_each_once() -> None:
    def tag(value: object) -> dict[str, object]:
        return {"$type": "app.bsky.richtext.facet#tag", "tag": value}

    facets: list[Any] = [{"features": [tag("b"), tag("c"), tag(1), {"$type": "other", "tag": "d"}, 5]}, {"features": {}}, 7, {}]
    assert (row(POST, text="", tags=["a", "b", "a"], facets=facets).rest or {})["tags"] == ["a", "b", "c"]
    assert "tags" not in (row(POST, text="", tags=[]).rest or {})


def test_profiles() -> None:
    blob = {"$type": "blob", "ref": {"$link": CID}, "mimeType": "image/png", "size": 1}
    found = row(PROFILE, displayName="N", description="D", avatar=blob, banner=blob, pinnedPost=REF, more=1).rest or {}
    assert {name: found[name] for name in ("name", "description", "avatar", "banner", "pinned", "search")} == {
        "name": "N",
        "description": "D",
        "avatar": CID,
        "banner": CID,
        "pinned": REF,
        "search": "N D",
    }
    assert found["record"]["more"] == 1
    assert (row(PROFILE).rest or {}).keys() == {"search", "record"}


@pytest.mark.parametrize("text", [None, 5, "", "yesterday", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "2026-07-01"])
def test_an_unusable_created_at_is_none_and_the_commit_s_time_stands_in(text: object) -> None:
    assert created_at({"createdAt": text}) is None
    batch = build([commit((FOLLOW, {"$type": FOLLOW, "subject": DID, "createdAt": text}))])
    assert batch.created_at == [TIME]


def test_what_a_search_vector_is_made_of_is_cut() -> None:
    assert (row(POST, text="short").rest or {}).keys() == {"text"}
    assert (row(POST, text="ü" * MAX_SEARCH_CHARS).rest or {}).keys() == {"text"}
    found = row(POST, text="ü" * (MAX_SEARCH_CHARS + 1)).rest or {}
    assert found["search"] == "ü" * MAX_SEARCH_CHARS


def test_a_profile_of_another_key_is_refused_and_its_deletion_ignored() -> None:
    assert build([commit((PROFILE, {"$type": PROFILE}))]).refused == [(0, "bad_rkey")]


def test_every_other_collection_is_kept_whole() -> None:
    record = {"$type": "app.example.thing", "any": [1]}
    batch = build([commit(("app.example.thing", record), ("app.example.thing", {"$type": "app.example.other"}))])
    assert batch.kind == [OTHER[0], KIND_REFUSED]
    assert json.loads(batch.rest[0] or "") == record
    assert batch.refused == [(0, "wrong_type")]
    assert batch.user == [True]


def test_what_is_not_selected_is_left_out() -> None:
    like = (LIKE, {"$type": LIKE, "subject": REF})
    bad = (POST, {"$type": POST})
    some = build([commit(like, bad), commit(like)], selection=Selection((LIKE,)))
    assert (some.kind, some.filtered, some.user, some.refused) == ([KINDS[LIKE][0]] * 2, [True, False], [True, True], [])
    none = build([commit(like, bad)], selection=Selection(opted_out=frozenset({DID})))
    assert (none.kind, none.filtered, none.user, none.refused, none.frame) == ([], [True], [False], [], [None])


def test_frames_go_along_only_where_something_is_kept() -> None:
    good, bad = commit((FOLLOW, {"$type": FOLLOW, "subject": DID})), commit((FOLLOW, {"$type": FOLLOW}))
    assert build([good, bad, good]).frame == [None, b"frame", None]
    assert build([good, bad, good], with_frames=True).frame == [b"frame"] * 3
    assert [build([good, bad, good]).lo, build([good, bad, good]).hi] == [[1, 2, 3], [1, 2, 3]]


def test_a_gate_of_thousands_of_rules_is_refused() -> None:
    """Each reply would be judged by each of them."""
    key = f"at://{DID}/{POST}/{AT.rkey}"
    rules = [{"$type": f"{THREAD_GATE}#listRule", "list": f"at://{DID}/{LIST}/{n}"} for n in range(101)]
    assert len(json.loads(json.dumps(row(THREAD_GATE, post=key, allow=rules[:100]).rest))["lists"]) == 100
    assert reason(THREAD_GATE, post=key, allow=rules) == "too_many_rules"
    assert reason(POST_GATE, post=key, embeddingRules=[{}] * 101) == "too_many_rules"


def test_of_thousands_of_facets_a_post_keeps_none() -> None:
    """Each reply in its thread would look through them."""
    mention = {"$type": "app.bsky.richtext.facet#mention", "did": DID}
    assert (row(POST, text="", facets=[{"features": [mention] * 9}] * 100).rest or {}).keys() == {"text", "facets", "mentions"}
    too_many: list[list[dict[str, Any]]] = [[{"features": [mention] * 1_000}], [{}] * 1_001]
    for facets in too_many:
        assert row(POST, text="", facets=facets).rest == {"text": ""}
