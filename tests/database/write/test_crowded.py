"""A commit costs the same, however many others have written about the same post, account, list or feed.

Times are compared with those of the same commit where nobody has. Before the bounds they were thousands to one.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from testing.commits import (
    FOLLOW,
    LIKE,
    POST,
    PROFILE,
    REPOST,
    Stream,
    at,
    delete,
    did,
    follow,
    like,
    post,
    profile,
    put,
    quoting,
    ref,
    replying,
    repost,
    uri,
)
from testing.database_side import Worker
from testing.garbage import POST_GATE, THREAD_GATE

MANY = 20_000  # of each kind
MOST = 6  # times as long
Written = Callable[[str], dict[str, dict[str, Any]]]
LIST, ITEM, BLOCK = "app.bsky.graph.list", "app.bsky.graph.listitem", "app.bsky.graph.block"
GENERATOR, VERIFICATION = "app.bsky.feed.generator", "app.bsky.graph.verification"
CROWDED, ALONE = "crowded", "alone"

# What others wrote about the account, its post 1, its list 1 and its feed 1, as commits would have.
WRITTEN = f"""
CREATE TEMP TABLE others AS
SELECT 'did:plc:other' || n AS did, 'at://did:plc:other' || n AS u FROM generate_series(1, {MANY}) AS n;
INSERT INTO likes (uri, user_did, post_uri, created_at) SELECT u || '/like', did, '{{post}}', now() FROM others;
INSERT INTO likes (uri, user_did, post_uri, created_at) SELECT u || '/feed', did, '{{feed}}', now() FROM others;
INSERT INTO reposts (uri, user_did, post_uri, created_at) SELECT u || '/repost', did, '{{post}}', now() FROM others;
INSERT INTO feed_items (uri, post_uri, originator_did, type, sort_at, cid, created_at)
SELECT u || '/repost', '{{post}}', did, 'repost', now(), 'c', now() FROM others;
INSERT INTO post_viewer_states (post_uri, viewer_did, like_uri) SELECT '{{post}}', did, u || '/like' FROM others;
INSERT INTO notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at)
SELECT u || '/like#notification', '{{did}}', did, 'like', '{{post}}', 'c', now() FROM others;
INSERT INTO posts (uri, cid, author_did, text, parent_uri, root_uri, created_at, commit_time, commit_seq)
SELECT u || '/post', 'c', did, 'r', '{{post}}', '{{post}}', '2026-07-01', '2099-07-01', '1' FROM others;
INSERT INTO quotes (uri, cid, post_uri, quoted_uri, created_at)
SELECT u || '/post#quote', 'c', u || '/post', '{{post}}', now() FROM others;
INSERT INTO follows (uri, follower_did, following_did, created_at) SELECT u || '/follow', did, '{{did}}', now() FROM others;
INSERT INTO blocks (uri, blocker_did, blocked_did, created_at) SELECT u || '/block', did, '{{did}}', now() FROM others;
INSERT INTO list_items (uri, cid, list_uri, subject_did, created_at)
SELECT u || '/item', 'c', '{{list}}', did, now() FROM others;
INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
SELECT u || '/verification', '{VERIFICATION}', ARRAY['{{did}}'], now(), now(), jsonb_build_object(
  'uri', u || '/verification', 'cid', 'c', 'subject_did', '{{did}}', 'handle', 'x.test', 'verified_at', now(),
  'created_at', now(), 'indexed_at', now()) FROM others;
ANALYZE
"""


def gated(collection: str, name: str, **rules: Any) -> dict[str, Any]:
    """A gate of the account's post 1."""
    return {"$type": collection, "post": uri(name, "1"), "createdAt": at(0), **rules}


def listed(name: str) -> dict[str, Any]:
    return {"$type": LIST, "name": name, "purpose": "app.bsky.graph.defs#curatelist", "createdAt": at(0)}


def fed(name: str) -> dict[str, Any]:
    return {"$type": GENERATOR, "did": "did:web:feed.test", "displayName": name, "createdAt": at(0)}


def by_strangers(about: str) -> dict[str, dict[str, Any]]:
    """The path and the record of each kind that names the account, or what it wrote."""
    of, there = did(about), ref(uri(about, "1"))
    return {
        f"{LIKE}/post": like(uri(about, "1")),
        f"{LIKE}/feed": like(uri(about, "1", GENERATOR)),
        f"{REPOST}/1": repost(uri(about, "1")),
        f"{POST}/reply": post(reply=replying(there)),
        f"{POST}/quote": post(embed=quoting(there)),
        f"{FOLLOW}/1": follow(of),
        f"{BLOCK}/1": {"$type": BLOCK, "subject": of, "createdAt": at(0)},
        f"{VERIFICATION}/1": {
            "$type": VERIFICATION,
            "subject": of,
            "handle": "x.test",
            "displayName": "x",
            "createdAt": at(0),
        },
    }


def by_itself(about: str) -> dict[str, dict[str, Any]]:
    """The path and the record of each kind of the account's own; the gates forbid what was written under its post."""
    allow = [{"$type": f"{THREAD_GATE}#listRule", "list": uri(about, "1", LIST)}, {"$type": f"{THREAD_GATE}#followerRule"}]
    return {
        f"{THREAD_GATE}/1": gated(THREAD_GATE, about, allow=allow),
        f"{POST_GATE}/1": gated(POST_GATE, about, embeddingRules=[{"$type": f"{POST_GATE}#disableRule"}]),
        f"{ITEM}/1": {"$type": ITEM, "list": uri(about, "1", LIST), "subject": did("one"), "createdAt": at(0)},
        f"{LIST}/1": listed(about),
        f"{GENERATOR}/1": fed(about),
        f"{PROFILE}/self": profile(about),
        f"{POST}/1": post("the post itself"),
    }


async def joins(worker: Worker, stream: Stream, name: str) -> None:
    """An account with a post, a list and a feed."""
    own = (put(f"{POST}/1", post()), put(f"{LIST}/1", listed(name)), put(f"{GENERATOR}/1", fed(name)))
    assert await worker.write(stream.commit(name, *own)) == ["applied"]


@pytest.mark.parametrize(("written", "authors"), [(by_strangers, ("stranger", "stranger")), (by_itself, (ALONE, CROWDED))])
async def test_what_others_wrote_makes_no_commit_slower(worker: Worker, written: Written, authors: tuple[str, str]) -> None:
    stream = Stream()
    await joins(worker, stream, ALONE)
    await joins(worker, stream, CROWDED)
    places = {"post": uri(CROWDED, "1"), "list": uri(CROWDED, "1", LIST), "feed": uri(CROWDED, "1", GENERATOR)}
    await worker.connection.execute(WRITTEN.format(did=did(CROWDED), **places))
    records = zip(written(ALONE).items(), written(CROWDED).items(), strict=True)
    for about_alone, about_crowded in records:
        alone = await seconds(worker, stream, authors[0], *about_alone)
        crowded = await seconds(worker, stream, authors[1], *about_crowded)
        assert crowded < MOST * alone, about_alone[0]


async def seconds(worker: Worker, stream: Stream, author: str, path: str, record: dict[str, Any]) -> float:
    """What it takes to write the record and to delete it: the least of five times."""
    took: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        assert await worker.write(stream.commit(author, put(path, record, "update"))) == ["applied"]
        assert await worker.write(stream.commit(author, delete(path))) == ["applied"]
        took.append(time.perf_counter() - began)
    return min(took)
