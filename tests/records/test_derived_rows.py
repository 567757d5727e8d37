"""What follows from records, said by hand where it is easily got wrong; the model's runs meet such cases by chance."""

from datetime import timedelta
from typing import Any

import pytest

from relay_simulator.encoding import tid
from testing.commits import (
    FOLLOW,
    LIKE,
    POST,
    REPOST,
    START,
    Stream,
    at,
    delete,
    did,
    follow,
    like,
    post,
    put,
    quoting,
    replying,
    repost,
)
from testing.database_side import Worker
from testing.garbage import GENERATOR, LIST, LIST_ITEM, POST_GATE, THREAD_GATE
from testing.samples import facet, ref
from unified_indexer.database.background.rebuild import Rebuild

A, B, C = did("a"), did("b"), did("c")
ROOT = f"at://{A}/{POST}/1"


def reply(root: str = A, parent: str | None = None, **fields: Any) -> dict[str, Any]:
    """A reply to the first post of `parent`, in the thread of the first post of `root`."""
    return post("yes", reply=replying(ref(parent or root), ref(root)), **fields)


async def notices(worker: Worker) -> set[tuple[str, str, str]]:
    """(reason, author, recipient), by their names."""
    rows = await worker.connection.fetch("SELECT reason, author_did, recipient_did FROM notifications")
    return {(reason, author.rpartition(":")[2], recipient.rpartition(":")[2]) for reason, author, recipient in rows}


async def test_nobody_hears_of_their_own_acts_and_others_do(worker: Worker) -> None:
    everything = post(
        "well",
        reply={"root": ref(A), "parent": ref(A)},
        embed=quoting(ref(A)),
        facets=[facet("mention", did=A), facet("mention", did=C)],
    )
    for name in "ab":
        stream = Stream(ord(name))
        acts = [
            put(f"{LIKE}/1", like(ROOT)),
            put(f"{REPOST}/1", repost(ROOT)),
            put(f"{POST}/2", everything),
            put(f"{FOLLOW}/1", follow(A)),
        ]
        assert await worker.write(stream.commit(name, *acts)) == ["applied"]
    told = {(reason, "b", "a") for reason in ("like", "repost", "reply", "quote", "mention", "follow")}
    assert await notices(worker) == told | {("mention", "a", "c"), ("mention", "b", "c")}


async def test_who_is_mentioned_no_more_is_told_no_more_and_the_others_have_read_it(worker: Worker) -> None:
    stream = Stream()
    first, second = (post("x", facets=[facet("mention", did=did(name)) for name in names]) for names in ("bc", "cd"))
    await worker.write(stream.commit("a", put(f"{POST}/1", first)))
    await worker.connection.execute("UPDATE notifications SET is_read = true")
    await worker.write(stream.commit("a", put(f"{POST}/1", second, "update")))
    assert await notices(worker) == {("mention", "a", "c"), ("mention", "a", "d")}
    assert await worker.column("SELECT recipient_did FROM notifications WHERE is_read") == [C]
    assert await worker.column("SELECT DISTINCT cid FROM notifications") == await worker.column("SELECT cid FROM posts")


async def test_a_post_of_the_future_stands_where_it_came(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post(minute=60)), put(f"{POST}/2", post(minute=-60))))
    await worker.write(stream.commit("b", put(f"{REPOST}/1", repost(ROOT, minute=60))))
    rows = await worker.connection.fetch("SELECT type, sort_at, created_at FROM feed_items ORDER BY uri")
    second, hour = timedelta(seconds=1), timedelta(hours=1)
    assert [tuple(row) for row in rows] == [
        ("post", START + second, START + hour),
        ("post", START - hour, START - hour),
        ("repost", START + 2 * second, START + hour),
    ]


@pytest.mark.parametrize(("first", "then"), [(LIKE, REPOST), (REPOST, LIKE)])
async def test_a_viewer_s_state_outlives_the_one_and_goes_with_the_other(worker: Worker, first: str, then: str) -> None:
    stream = Stream()
    await worker.write(stream.commit("b", put(f"{LIKE}/1", like(ROOT)), put(f"{REPOST}/1", repost(ROOT))))
    query = "SELECT like_uri, repost_uri FROM post_viewer_states"
    uris = {collection: f"at://{B}/{collection}/1" for collection in (LIKE, REPOST)}
    assert [tuple(row) for row in await worker.connection.fetch(query)] == [(uris[LIKE], uris[REPOST])]
    await worker.write(stream.commit("b", delete(f"{first}/1")))
    left = {**uris, first: None}
    assert [tuple(row) for row in await worker.connection.fetch(query)] == [(left[LIKE], left[REPOST])]
    await worker.write(stream.commit("b", delete(f"{then}/1")))
    assert await worker.connection.fetch(query) == []


@pytest.mark.parametrize(("collection", "record"), [(LIKE, like), (REPOST, repost)])
async def test_what_steps_out_and_comes_back_has_its_own_cid(worker: Worker, collection: str, record: Any) -> None:
    """An older one of the same post comes, and goes again; the notification and the feed item are those of before."""
    stream = Stream()
    queries = ("SELECT uri, cid FROM notifications", "SELECT uri, cid FROM feed_items")
    await worker.write(stream.commit("b", put(f"{collection}/1", record(ROOT, 5))))
    before = [await worker.connection.fetch(query) for query in queries]
    assert before[0]
    await worker.write(stream.commit("b", put(f"{collection}/2", record(ROOT, -5))))
    assert [await worker.connection.fetch(query) for query in queries] != before
    await worker.write(stream.commit("b", delete(f"{collection}/2")))
    assert [await worker.connection.fetch(query) for query in queries] == before


@pytest.mark.parametrize("like_first", [True, False])
async def test_it_is_the_root_s_author_whose_like_is_told_with_a_reply(worker: Worker, like_first: bool) -> None:
    """b replies to c's reply in a's thread; a and c like it."""
    stream, answer = Stream(), f"at://{B}/{POST}/1"
    acts = [
        [stream.commit("c", put(f"{LIKE}/1", like(answer))), stream.commit("a", put(f"{LIKE}/1", like(answer)))],
        [stream.commit("b", put(f"{POST}/1", reply(A, C)))],
    ]
    for commits in acts if like_first else acts[::-1]:
        await worker.write(*commits)
    query = "SELECT root_author_like_uri FROM thread_contexts WHERE post_uri = $1"
    assert await worker.value(query, answer) == f"at://{A}/{LIKE}/1"
    await worker.write(stream.commit("a", delete(f"{LIKE}/1")))
    assert await worker.value(query, answer) is None


def gate(*rules: dict[str, Any], minute: float = 0) -> dict[str, Any]:
    kinds = [{**rule, "$type": f"{THREAD_GATE}#{rule['$type']}Rule"} for rule in rules]
    return {"$type": THREAD_GATE, "post": ROOT, "allow": kinds, "createdAt": at(minute)}


def item(subject: str, minute: float = 0) -> dict[str, Any]:
    return {"$type": LIST_ITEM, "subject": subject, "list": f"at://{A}/{LIST}/1", "createdAt": at(minute)}


async def violating(worker: Worker) -> list[str]:
    """Who violates a thread gate."""
    return await worker.column("SELECT right(author_did, 1) FROM posts WHERE violates_thread_gate ORDER BY 1")


def key_of(minute: float) -> str:
    """The TID of so many minutes after START."""
    return tid(int((START + timedelta(minutes=minute)).timestamp() * 1_000_000), 0)


FOLLOWED, LISTED = {"$type": "following"}, {"$type": "list", "list": f"at://{A}/{LIST}/1"}
FOLLOWER, MENTIONED = {"$type": "follower"}, {"$type": "mention"}


@pytest.mark.parametrize("gate_first", [True, False])
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), ["b", "c", "d", "e", "f"]),
        ((FOLLOWED,), ["c", "d", "e", "f"]),
        ((LISTED,), ["b", "c", "e", "f"]),
        ((FOLLOWER,), ["b", "c", "d", "e"]),
        ((FOLLOWED, LISTED), ["c", "e", "f"]),
        ((FOLLOWED, LISTED, FOLLOWER, MENTIONED), ["c"]),
        (({"$type": "unheard"}, FOLLOWED), []),
    ],
)
async def test_whom_a_gate_admits(both_worker: Worker, gate_first: bool, rules: Any, expected: list[str]) -> None:
    """a follows b, d is on a's list, e is mentioned, f follows a; c is followed, listed and follows too late.

    Clients' clocks say the opposite."""
    stream, worker = Stream(), both_worker
    root = post("root", facets=[facet("mention", did=did("e"))])
    await worker.write(
        stream.commit(
            "a", put(f"{POST}/1", root), put(f"{FOLLOW}/1", follow(B, 500)), put(f"{LIST_ITEM}/1", item(did("d"), 500))
        ),
        stream.commit("f", put(f"{FOLLOW}/1", follow(A, 500))),
    )
    gated = [stream.commit("a", put(f"{THREAD_GATE}/1", gate(*rules)))]
    replies = [stream.commit(name, put(f"{POST}/1", reply())) for name in "bcdef"]
    late = [
        stream.commit("a", put(f"{FOLLOW}/2", follow(C, -500)), put(f"{LIST_ITEM}/2", item(C, -500))),
        stream.commit("c", put(f"{FOLLOW}/1", follow(A, -500))),
    ]
    await worker.write(*(gated + replies if gate_first else replies + gated))
    assert await violating(worker) == expected
    await worker.write(*late, stream.commit("a", put(f"{POST}/1", {**root, "text": "judged again"}, "update")))
    assert await violating(worker) == expected
    notified = "SELECT right(author_did, 1) FROM notifications WHERE reason = 'reply' ORDER BY 1"
    assert await worker.column(notified) == [name for name in "bcdef" if name not in expected]
    assert await Rebuild(worker.pool).run()
    assert await violating(worker) == expected
    assert await worker.column(notified) == [name for name in "bcdef" if name not in expected]
    await worker.write(stream.commit("a", delete(f"{THREAD_GATE}/1")))
    assert await violating(worker) == []
    assert await worker.column(notified) == [*"bcdef"]


NO_TIMES = f"UPDATE follows SET commit_time = NULL; DELETE FROM unified_worker.commit_times WHERE uri LIKE '%/{LIST_ITEM}/%'"


@pytest.mark.parametrize("rule", [FOLLOWED, FOLLOWER, LISTED], ids=["followed", "follower", "listed"])
async def test_where_no_commit_time_is_kept_the_key_says_when_it_came(both_worker: Worker, rule: dict[str, Any]) -> None:
    """b's key is older than the replies, c's is younger, d's is no TID: so d's record may be of any age, and admits.

    Clients' clocks say the opposite."""
    stream, worker = Stream(), both_worker
    keys = {"b": key_of(-60), "c": key_of(60), "d": "mine"}
    for (name, key), minute in zip(keys.items(), (500, -500, 500), strict=True):
        by, record = {
            "following": ("a", put(f"{FOLLOW}/{key}", follow(did(name), minute))),
            "follower": (name, put(f"{FOLLOW}/{key}", follow(A, minute))),
            "list": ("a", put(f"{LIST_ITEM}/{key}", item(did(name), minute))),
        }[rule["$type"]]
        await worker.write(stream.commit(by, record))
    await worker.write(
        stream.commit("a", put(f"{POST}/1", post("root")), put(f"{THREAD_GATE}/1", gate(rule))),
        *(stream.commit(name, put(f"{POST}/1", reply())) for name in "bcd"),
    )
    assert await violating(worker) == []
    await worker.connection.execute(NO_TIMES)
    await worker.write(stream.commit("a", put(f"{POST}/1", post("judged again"), "update")))
    assert await violating(worker) == ["c"]
    assert await Rebuild(worker.pool).run()
    assert await violating(worker) == ["c"]


async def test_a_gate_leaves_older_replies_as_they_are(worker: Worker) -> None:
    stream = Stream()
    await worker.write(
        stream.commit("a", put(f"{POST}/1", post("root"))),
        stream.commit("b", put(f"{POST}/1", reply())),
        stream.commit("a", put(f"{THREAD_GATE}/1", gate())),
        stream.commit("c", put(f"{POST}/1", reply())),
        stream.commit("a", put(f"{POST}/1", post("root, changed"))),
    )
    assert await violating(worker) == ["c"]
    await worker.write(stream.commit("a", put(f"{THREAD_GATE}/1", gate(FOLLOWED), "update")))
    assert await violating(worker) == ["c"]
    late, gated = stream.commit("d", put(f"{POST}/1", reply())), stream.commit("a", put(f"{THREAD_GATE}/1", gate(), "update"))
    await worker.write(gated, late)
    assert await violating(worker) == ["c"]
    assert await Rebuild(worker.pool).run()
    assert await violating(worker) == ["c"]
    await worker.write(stream.commit("b", put(f"{POST}/1", reply(), "update")))
    assert await violating(worker) == ["b", "c"]


async def test_one_s_own_quote_violates_no_gate_of_one_s_own(worker: Worker) -> None:
    stream = Stream()
    shut = {"$type": POST_GATE, "post": ROOT, "embeddingRules": [{"$type": f"{POST_GATE}#disableRule"}], "createdAt": at(0)}
    for number, commits in enumerate([("2", "gate", "3"), ("gate", "4")]):
        for name in commits:
            op = put(f"{POST_GATE}/1", shut) if name == "gate" else put(f"{POST}/{name}", post("q", embed=quoting(ref(A))))
            await worker.write(stream.commit("a", op))
        assert await worker.column("SELECT uri FROM posts WHERE violates_embedding_rules") == [], number
    assert await Rebuild(worker.pool).run()
    assert await worker.column("SELECT uri FROM posts WHERE violates_embedding_rules") == []


@pytest.mark.parametrize("gate_first", [True, False])
async def test_a_gate_against_quotes(worker: Worker, gate_first: bool) -> None:
    stream = Stream()
    rule = {"$type": f"{POST_GATE}#disableRule"}
    gated = [
        stream.commit(
            "a", put(f"{POST_GATE}/1", {"$type": POST_GATE, "post": ROOT, "embeddingRules": [rule], "createdAt": at(0)})
        )
    ]
    quotes = [
        stream.commit(
            "b", put(f"{POST}/1", post("q", embed=quoting(ref(A)))), put(f"{POST}/2", post("q", embed=quoting(ref(C))))
        )
    ]
    await worker.write(*(gated + quotes if gate_first else quotes + gated))
    query = "SELECT right(uri, 1) FROM posts WHERE violates_embedding_rules"
    notified = "SELECT right(reason_subject, 1) FROM notifications WHERE reason = 'quote' ORDER BY 1"
    assert await worker.column(query) == ["1"]
    assert await worker.column(notified) == ["2"]
    await worker.write(stream.commit("a", delete(f"{POST_GATE}/1")))
    assert await worker.column(query) == []
    assert await worker.column(notified) == ["1", "2"]


async def test_a_feed_or_a_list_that_is_embedded_is_no_quote(worker: Worker) -> None:
    stream = Stream()
    embeds = [quoting(ref(A, GENERATOR)), quoting(ref(A, LIST)), quoting(ref(A))]
    await worker.write(stream.commit("b", *(put(f"{POST}/{n}", post(embed=embed)) for n, embed in enumerate(embeds))))
    assert await worker.column("SELECT quoted_uri FROM quotes") == [ROOT]
    assert await worker.column("SELECT post_uri FROM post_aggregations WHERE quote_count > 0") == [ROOT]


async def test_what_would_be_too_long_for_a_notification_is_left_out_of_it_alone(both_worker: Worker) -> None:
    """The columns of an application's database end at 512 characters; a key of 512 makes a record's own URI that long."""
    both: dict[str, Any] = {"reply": {"root": ref(A), "parent": ref(A)}, "embed": quoting(ref(A))}
    acts = {LIKE: like(ROOT), REPOST: repost(ROOT), FOLLOW: follow(A), POST: post(**both)}
    stream = Stream()
    for length, expected in ((512, 0), (512 - len("#notification"), 3), (512 - len("#notification/reply"), 5)):
        lengths: list[int] = []
        for collection, record in acts.items():
            path = f"{collection}/".ljust(length - len(f"at://{B}/"), "k")
            assert await both_worker.write(stream.commit("b", put(path, record))) == ["applied"]
            lengths += await both_worker.column("SELECT length(uri) FROM notifications")
            assert await both_worker.write(stream.commit("b", delete(path))) == ["applied"]
        assert len(lengths) == expected
        assert all(characters <= 512 for characters in lengths)
