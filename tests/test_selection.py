"""What is indexed: patterns of collections, and accounts that forbid it."""

from hypothesis import given
from hypothesis import strategies as st

from unified_indexer.selection import EVERYTHING, Selection

COLLECTIONS = [
    "app.bsky.feed.post",
    "app.bsky.feed.postgate",
    "app.bsky.graph.follow",
    "app.bskyx.feed.post",
    "fm.teal.play",
    "x.app.bsky.feed",
]


def test_patterns() -> None:
    def taken(*patterns: str) -> list[str]:
        return [collection for collection in COLLECTIONS if Selection(patterns).takes_collection(collection)]

    assert taken("*") == COLLECTIONS
    assert taken("x.*") == COLLECTIONS[-1:]
    assert taken("app.bsky.*") == COLLECTIONS[:3]
    assert taken("app.bsky.feed.post") == COLLECTIONS[:1]
    assert taken("app.bsky.graph.*", "fm.*") == ["app.bsky.graph.follow", "fm.teal.play"]


def test_accounts() -> None:
    selection = Selection(opted_out=frozenset({"did:plc:a"}))
    assert [selection.takes_account(did) for did in ("did:plc:a", "did:plc:b")] == [False, True]
    selection.opted_out = frozenset()
    assert selection.takes_account("did:plc:a")
    assert EVERYTHING.takes_account("did:plc:a")


def test_chosen_accounts() -> None:
    selection = Selection(accounts=frozenset({"did:plc:a", "did:plc:b"}), opted_out=frozenset({"did:plc:b"}))
    dids = ("did:plc:a", "did:plc:b", "did:plc:c", "")
    assert [selection.follows(did) for did in dids] == [True, True, False, True]
    assert [selection.takes_account(did) for did in dids] == [True, False, False, True]


@given(st.lists(st.sampled_from(COLLECTIONS), min_size=1), st.sampled_from(["app.*", "app.bsky.feed.*", "fm.teal.play"]))
def test_asking_again_gives_the_same(asked: list[str], pattern: str) -> None:
    selection = Selection((pattern,))
    for collection in asked * 2:
        prefix = pattern.removesuffix("*")
        assert selection.takes_collection(collection) == (
            collection.startswith(prefix) if prefix != pattern else collection == pattern
        )
