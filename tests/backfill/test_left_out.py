"""What a selection left out is asked for when it takes more, and only then."""

import pytest

from testing.commits import did
from testing.database_side import Worker
from unified_indexer.backfill.left_out import LeftOut, wider
from unified_indexer.selection import Selection

ADD = "INSERT INTO unified_worker.repos (did, rev, filtered, sync) VALUES ($1, '3aaaaaaaaaa22', $2, $3)"
WANTED = "SELECT did FROM unified_worker.repairs ORDER BY did"
POSTS, LIKES = "app.bsky.feed.post", "app.bsky.feed.like"


@pytest.mark.parametrize(
    ("patterns", "before", "is_wider"),
    [
        (["*"], ["*"], False),
        (["*"], [POSTS], True),
        ([POSTS], ["*"], False),
        ([POSTS, LIKES], [POSTS], True),
        ([POSTS], [POSTS, LIKES], False),
        (["app.bsky.*"], ["app.bsky.feed.*"], True),
        (["app.bsky.feed.*"], ["app.bsky.*"], False),
        (["app.bsky.feed.*", "fm.*"], ["app.bsky.feed.*"], True),
        ([POSTS], ["app.bsky.feed.*"], False),
    ],
)
def test_what_takes_more(patterns: list[str], before: list[str], is_wider: bool) -> None:
    assert wider(patterns, before) is is_wider


async def test_wider_collections_have_the_repos_fetched_that_lack_something(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """28. Repos of which something was left out are not fetched for ever, but once when more is taken."""
    monkeypatch.setattr("unified_indexer.backfill.left_out.PART", 2)
    for name in "abcde":
        await worker.connection.execute(ADD, did(name), name != "e", 1)

    async def start(*patterns: str) -> list[str]:
        await LeftOut(worker.pool, Selection(patterns)).ask_for_collections()
        found = await worker.column(WANTED)
        await worker.connection.execute("DELETE FROM unified_worker.repairs")
        return found

    left_out = [did(name) for name in "abcd"]
    assert await start(POSTS) == [], "by which setting something was left out before is not known"
    assert await start(POSTS) == []
    assert await start(POSTS, LIKES) == left_out
    assert await start(POSTS) == []
    assert await start("*") == left_out
    assert await start("*") == []


async def test_chosen_accounts_are_asked_for_once(worker: Worker) -> None:
    await worker.connection.execute(ADD, did("known"), False, 1)
    await worker.connection.execute(ADD, did("unseen"), False, 0)
    selection = Selection(accounts=frozenset({did("known"), did("unseen"), did("new")}))
    asking = LeftOut(worker.pool, selection)
    await asking.ask_for_accounts()
    assert await worker.column(WANTED) == sorted([did("unseen"), did("new")])
    await worker.connection.execute("DELETE FROM unified_worker.repairs")
    await asking.ask_for_accounts()
    assert await worker.column(WANTED) == [], "who is not to be had is not asked for again and again"
    selection.accounts = frozenset({did("unseen")})
    await asking.ask_for_accounts()
    selection.accounts = frozenset({did("unseen"), did("new"), did("later")})
    await asking.ask_for_accounts()
    assert await worker.column(WANTED) == sorted([did("new"), did("later")])


async def test_an_account_that_is_chosen_again_is_asked_for(worker: Worker) -> None:
    """Nobody saw what it wrote meanwhile, in this run or between two."""
    for name in "abc":
        await worker.connection.execute(ADD, did(name), False, 1)
    selection = Selection(accounts=frozenset({did("a"), did("b")}))
    asking = LeftOut(worker.pool, selection)

    async def look(*names: str) -> list[str]:
        selection.accounts = frozenset(map(did, names))
        await asking.note_who_left()
        await asking.ask_for_accounts()
        found = await worker.column(WANTED)
        await worker.connection.execute("DELETE FROM unified_worker.repairs")
        return found

    assert await look("a", "b") == []
    assert await worker.column("SELECT sync FROM unified_worker.repos ORDER BY did") == [1, 1, 0]
    assert await look("a", "b", "c") == [did("c")], "it was not chosen as this run began"
    assert await look("a", "c") == []
    assert await look("a", "b", "c") == [did("b")]


async def test_all_repos_are_looked_at_in_parts(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.backfill.left_out.LOOKED_AT", 2)
    for name in "abcdef":
        await worker.connection.execute(ADD, did(name), False, 2 if name == "c" else 1)
    await LeftOut(worker.pool, Selection(accounts=frozenset({did("b")}))).note_who_left()
    assert await worker.column("SELECT sync FROM unified_worker.repos ORDER BY did") == [0, 1, 2, 0, 0, 0]


async def test_who_allows_indexing_again_is_asked_for(worker: Worker) -> None:
    for name in "abc":
        await worker.connection.execute(ADD, did(name), False, 1)
    selection = Selection(opted_out=frozenset({did("a")}))
    asking = LeftOut(worker.pool, selection)
    await asking.note_who_left()
    selection.opted_out = frozenset({did("b")})
    await asking.note_who_left()
    assert await worker.column("SELECT sync FROM unified_worker.repos ORDER BY did") == [0, 0, 1]
    assert await worker.column(WANTED) == [did("a")]


async def test_without_chosen_accounts_nobody_is_asked_for(worker: Worker) -> None:
    await worker.connection.execute(ADD, did("unseen"), True, 0)
    await LeftOut(worker.pool, Selection()).ask_for_accounts()
    assert await worker.column(WANTED) == []
