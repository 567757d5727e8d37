"""The awkward stream has what is new in it, in numbers that a test of a reader can rely on, and the model sees it."""

from collections import Counter
from functools import cache

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, Sent
from testing.model import (
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
    PROFILE,
    REPOST,
    STARTER_PACK,
    THREAD_GATE,
    VERIFICATION,
    Model,
)

TYPED = {
    POST, LIKE, REPOST, FOLLOW, BLOCK, PROFILE, LIST, LIST_ITEM, LIST_BLOCK, GENERATOR, STARTER_PACK, LABELER, VERIFICATION,
    THREAD_GATE, POST_GATE,
}  # fmt: skip
GENERIC = {"app.bsky.actor.status", "chat.bsky.actor.declaration", "fm.teal.alpha.feed.play"}


@cache
def awkward() -> list[Sent]:
    return list(Generator(Settings(seed=5, cheap=True, accounts=400, mix=Mix.awkward())).stream(12_000))


@cache
def model() -> Model:
    found = Model()
    for sent in awkward():
        found.apply(sent.truth)
    return found


@pytest.mark.long
def test_every_type_is_created_updated_and_deleted() -> None:
    found = Counter(
        (op.action, op.collection) for sent in awkward() if isinstance(sent.truth, CommitTruth) for op in sent.truth.ops
    )
    for action in ("create", "update", "delete"):
        assert {collection for act, collection in found if act == action} >= TYPED, action
    assert {collection for _, collection in found} >= GENERIC


@pytest.mark.long
def test_every_type_gives_rows_and_is_refused_at_times() -> None:
    rows = model().rows()
    for table, least in {
        "posts": 1_000, "likes": 3_000, "reposts": 500, "follows": 500, "blocks": 100, "lists": 100, "list_items": 100,
        "list_blocks": 50, "feed_generators": 20, "starter_packs": 20, "labeler_services": 10, "verifications": 20,
        "thread_gates": 100, "post_gates": 100, "generic_records": 100, "quotes": 100, "thread_contexts": 500,
    }.items():  # fmt: skip
        assert len(rows[table]) > least, table
    assert {path.partition("/")[0] for _, path, _ in model().refused} >= TYPED
    waiting = {uri.split("/")[3] for uri in model().duplicate_records()}
    assert waiting == {LIKE, REPOST, FOLLOW, BLOCK, LIST_ITEM, LIST_BLOCK, VERIFICATION}


@pytest.mark.long
def test_every_reason_to_notify() -> None:
    reasons = Counter(row["reason"] for row in model().rows()["notifications"].values())
    assert reasons.keys() == {
        "like", "repost", "follow", "reply", "quote", "mention", "like-via-repost", "repost-via-repost", "starterpack-joined",
        "verified", "unverified",
    }  # fmt: skip


def test_gates_meet_what_they_are_about() -> None:
    rows = model().rows()
    flags = ("has_thread_gate", "has_post_gate", "violates_thread_gate", "violates_embedding_rules")
    found = {flag: sum(row[flag] is True for row in rows["posts"].values()) for flag in flags}
    assert min(found.values()) > 20, found
    liked = sum(row["root_author_like_uri"] is not None for row in rows["thread_contexts"].values())
    assert liked > 50
    for table in ("feed_generators", "labeler_services"):
        assert any(row["like_count"] for row in rows[table].values()), table


def test_most_rows_are_wholly_determined() -> None:
    expected = model().expected()
    assert expected.left_out() < 0.05 * expected.strict()
    undetermined = expected.left_out() - sum(map(len, expected.optional.values()))
    # Most of them are older than a gate in whose place another stood: gates change here far more often than in life.
    assert undetermined < 0.06 * len(expected.rows["thread_contexts"])
    unverified = {uri for uri, row in expected.rows["notifications"].items() if row["reason"] == "unverified"}
    assert unverified - expected.optional["notifications"], "some of those that were taken back surely held"


def test_accounts_come_and_go() -> None:
    states = {(one.truth.active, one.truth.status) for one in awkward() if isinstance(one.truth, AccountTruth)}
    assert states >= {(True, None), (False, None), (True, "throttled"), (False, "sleeping"), (False, "desynchronized")}
    assert states >= {(False, status) for status in ("deactivated", "suspended", "takendown", "deleted")}
    assert model().filtered > 20
    written_again = [did for did in model().history.wiped if model().repos[did].records]
    assert len(written_again) > 5
    assert model().stale_messages > 0


def test_handles_are_changed_lost_and_taken() -> None:
    said = [one.truth.handle for one in awkward() if isinstance(one.truth, IdentityTruth)]
    assert {None, "handle.invalid", "not a handle"} <= set(said)
    assert any(handle != handle.lower() for handle in said if handle)
    rows = model().rows()
    claims = Counter(row["handle"] for row in rows["unified_worker.repos"].values() if row["handle"])
    assert max(claims.values()) > 1, "some handle is claimed by two"
    assert max(Counter(row["handle"] for row in rows["users"].values() if "invalid" not in row["handle"]).values()) == 1
