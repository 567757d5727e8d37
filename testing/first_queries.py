"""A small story for the queries of docs/queries.md: eight accounts, one thread, and each thing that a reader must not see."""

from typing import Any

from testing.commits import (
    FOLLOW,
    LIKE,
    POST,
    REPOST,
    START,
    Stream,
    did,
    follow,
    like,
    mentioning,
    post,
    put,
    quoting,
    ref,
    replying,
    repost,
    uri,
)
from testing.database_side import Worker
from testing.garbage import BLOCK, LIST, LIST_BLOCK, LIST_ITEM, POST_GATE, THREAD_GATE
from unified_indexer.protocol.events import Account, Identity, RepoEvent

DAY = 24 * 60


def block(name: str) -> dict[str, Any]:
    return {"$type": BLOCK, "subject": did(name)}


def reply(text: str, minute: float, parent: str) -> dict[str, Any]:
    return post(text, minute, reply=replying(ref(parent), ref(uri("bob", "question"))))


def who_knows_whom(stream: Stream) -> list[RepoEvent]:
    """bob admits only those that he follows: all but frank. eve blocks alice; mallory is on a list that alice blocks."""
    followed, followers = ("bob", "carol", "dave", "eve", "mallory"), ("bob", "dave", "frank")
    mallorys = uri("alice", "bad", LIST)
    return [
        *(stream.commit("alice", put(f"{FOLLOW}/{name}", follow(did(name), n))) for n, name in enumerate(followed)),
        *(stream.commit(name, put(f"{FOLLOW}/alice", follow(did("alice"), n))) for n, name in enumerate(followers)),
        *(
            stream.commit("bob", put(f"{FOLLOW}/{name}", follow(did(name))))
            for name in ("carol", "dave", "eve", "mallory", "george")
        ),
        stream.commit("eve", put(f"{BLOCK}/1", block("alice"))),
        stream.commit("george", put(f"{BLOCK}/1", block("carol"))),
        stream.commit(
            "alice",
            put(f"{LIST}/bad", {"$type": LIST, "name": "bad", "purpose": "app.bsky.graph.defs#modlist"}),
            put(f"{LIST_ITEM}/1", {"$type": LIST_ITEM, "list": mallorys, "subject": did("mallory")}),
            put(f"{LIST_BLOCK}/1", {"$type": LIST_BLOCK, "subject": mallorys}),
        ),
    ]


def the_thread(stream: Stream) -> list[RepoEvent]:
    """A gated question and its replies: two to be shown, and one for each reason to hide one."""
    question = uri("bob", "question")
    gate = {
        "$type": THREAD_GATE,
        "post": question,
        "allow": [{"$type": f"{THREAD_GATE}#followingRule"}],
        "hiddenReplies": [uri("carol", "rude")],
    }
    intruder = {**reply("tree", 14, uri("alice", "answer")), "tags": ["cats"], "facets": mentioning(did("alice"))}
    return [
        stream.commit("bob", put(f"{POST}/question", post("Whose tree?", 10, tags=["cats"]))),
        stream.commit("bob", put(f"{THREAD_GATE}/question", gate)),
        stream.commit("alice", put(f"{POST}/answer", reply("Mine", 11, question))),
        stream.commit("carol", put(f"{POST}/thanks", reply("A fine tree", 12, uri("alice", "answer")))),
        stream.commit("carol", put(f"{POST}/rude", reply("rude", 13, question))),
        stream.commit("frank", put(f"{POST}/intruder", intruder)),
        stream.commit("dave", put(f"{POST}/inactive", {**reply("tree", 15, uri("alice", "answer")), "tags": ["cats"]})),
        stream.commit("eve", put(f"{POST}/blocking", reply("no", 16, uri("alice", "answer")))),
        stream.commit("carol", put(f"{POST}/below", reply("below what is hidden", 17, uri("eve", "blocking")))),
        stream.commit("mallory", put(f"{POST}/listed", reply("no", 18, question))),
        stream.commit("george", put(f"{POST}/unfriendly", reply("no", 19, uri("carol", "thanks")))),
    ]


def the_rest(stream: Stream) -> list[RepoEvent]:
    """Other posts, likes and reposts; a quote that a gate forbids; two refused records; what became of two accounts."""
    gate = {
        "$type": POST_GATE,
        "post": uri("alice", "guarded"),
        "embeddingRules": [{"$type": f"{POST_GATE}#disableRule"}],
    }
    quote = quoting(ref(uri("alice", "guarded")))
    return [
        stream.commit("alice", put(f"{POST}/guarded", post("Do not quote", 20)), put(f"{POST_GATE}/guarded", gate)),
        stream.commit("carol", put(f"{POST}/quote", post("quoted", 21, embed=quote))),
        stream.commit("carol", put(f"{POST}/hello", post("Hello", 22, facets=mentioning(did("alice")), tags=["Cats"]))),
        stream.commit("carol", put(f"{POST}/yesterday", post("tree house", -DAY, tags=["cats"]))),
        *(stream.commit(name, put(f"{LIKE}/1", like(uri("bob", "question"), 23))) for name in ("alice", "carol", "frank")),
        stream.commit("dave", put(f"{LIKE}/2", like(uri("alice", "answer"), 24))),
        stream.commit("carol", put(f"{LIKE}/2", like(uri("alice", "answer"), 25))),
        stream.commit("carol", put(f"{REPOST}/1", repost(uri("bob", "question"), -1))),
        stream.commit("bob", put(f"{REPOST}/1", repost(uri("eve", "blocking"), 27))),
        stream.commit("eve", put(f"{REPOST}/1", repost(uri("bob", "question"), 28))),
        stream.commit(
            "alice",
            put(f"{REPOST}/1", repost(uri("dave", "inactive"), 29)),
            put(f"{REPOST}/2", repost(uri("frank", "intruder"), 30)),
        ),
        stream.commit("henry", put(f"{POST}/1", {"$type": POST})),
        stream.commit("henry", put(f"{POST}/2", {"$type": POST, "text": 1}), put(f"{LIKE}/3", {"$type": LIKE})),
        Identity(9_000, did("bob"), START, "bob.test", b""),
        Account(9_001, did("dave"), START, False, "suspended", b""),
        Account(9_002, did("henry"), START, False, "takendown", b""),
        Account(9_003, did("carol"), START, True, None, b""),
    ]


async def write_story(worker: Worker) -> None:
    """Writes the story, and two daily samples of the sizes."""
    stream = Stream()
    await worker.write(*who_knows_whom(stream))
    await worker.write(*the_thread(stream))
    await worker.write(*the_rest(stream))
    await worker.connection.execute(
        "INSERT INTO unified_worker.sizes (name, day, taken_at, rows, bytes) VALUES "
        "('likes', '2026-07-08', now(), 30, 3000), ('likes', '2026-07-01', now(), 10, 1000), "
        "('posts', '2026-07-08', now(), 5, 9000), ('posts', '2026-07-02', now(), 4, 8000)"
    )
