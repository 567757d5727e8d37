"""A new record type is one file in the folder and nothing else: its table comes by itself, in a database that is in use."""

from pathlib import Path
from typing import Any

import pytest

from testing.commits import Stream, at, delete, did, like, post, put, repost
from testing.database_side import opened
from testing.databases import connected
from testing.new_type import run, with_file

STATUS, PRAISE = "app.bsky.actor.status", "app.bsky.feed.praise"
POST_URI = f"at://{did('a')}/app.bsky.feed.post/1"

FILE = '''
"""app.bsky.actor.status: what an account is doing, and with whom."""

from unified_indexer.records.base.effects import count, notification
from unified_indexer.records.base.columns import CID, CREATED_AT, INDEXED_AT, URI, author, subject, text
from unified_indexer.records.base.fields import created_at, required_did, required_text
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row


def row(record: Record, _at: RecordAddress) -> Row:
    """The other's DID, and the status."""
    return Row(required_did(record, "with"), None, created_at(record), {"status": required_text(record, "status")})


RECORD = RecordType(
    collection="app.bsky.actor.status",
    table="statuses",
    row=row,
    columns=(
        URI,
        CID,
        author("author_did"),
        subject("with_did"),
        text("status", required=True),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("author_did",),
    rkey="self",
    effects=(
        count("like_count", "{uri}"),
        notification("mention", suffix="with", author="{author_did}", recipient="{with_did}"),
    ),
)
'''
# A type of whose rows everything follows that can; what no function of `effects` says, it says itself.
PRAISE_FILE = '''
"""app.bsky.feed.praise: a post that praises another, and answers and quotes it."""

from unified_indexer.records.base.effects import Derived, Effect, count, feed_item, viewer_state
from unified_indexer.records.base.columns import CID, COMMIT, CREATED_AT, INDEXED_AT, URI, author, subject, subject_cid
from unified_indexer.records.base.fields import created_at, strong_ref
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.values import Record, RecordAddress, Row

AUTHOR, SUBJECT = "{user_did}", "{post_uri}"
QUOTE = {
    "uri": "v_uri || '#quote'", "cid": "v_cid", "post_uri": "v_uri", "quoted_uri": SUBJECT, "quoted_cid": "{subject_cid}",
    "created_at": "{created_at}",
}
QUOTED = Derived("quotes", ("uri",), QUOTE)
COUNT = count("quote_count", SUBJECT)  # the rows of quotes are counted already
QUOTES = Effect(
    QUOTED.insert("q") + ";" + COUNT.added,
    "\\nDELETE FROM {schema}.quotes AS q WHERE q.post_uri = v_uri;" + COUNT.removed,
    derived=(QUOTED,),
)
ANSWER = Derived("thread_contexts", ("post_uri",), {"post_uri": "v_uri", "root_author_like_uri": "v_uri || '/liked'"})
ANSWERS = Effect(
    ANSWER.insert("c") + ";", "\\nDELETE FROM {schema}.thread_contexts AS c WHERE c.post_uri = v_uri;", derived=(ANSWER,)
)


def row(record: Record, _at: RecordAddress) -> Row:
    """The post that is praised."""
    uri, cid = strong_ref(record, "subject")
    return Row(uri, cid, created_at(record), None, (uri,))


RECORD = RecordType(
    collection="app.bsky.feed.praise",
    table="praises",
    row=row,
    columns=(
        URI,
        CID,
        author("user_did"),
        subject("post_uri"),
        subject_cid("subject_cid"),
        CREATED_AT,
        INDEXED_AT,
        *COMMIT,
    ),
    unique=("user_did", "post_uri"),
    effects=(
        count("repost_count", SUBJECT),
        viewer_state("repost_uri", "like_uri", SUBJECT, AUTHOR),
        feed_item("'repost'", SUBJECT, AUTHOR, "v_cid"),
        QUOTES,
        ANSWERS,
    ),
    meets=("t.post_uri",),
)
'''


@pytest.mark.long
async def test_one_file_is_a_record_type(database: str, tmp_path: Path) -> None:
    stream = Stream()
    async with opened(database) as worker:  # as it was before the file
        await worker.write(stream.commit("a", put("app.bsky.feed.post/1", post())))
    with_file(tmp_path, "status.py", FILE)

    def status(text: str, other: str) -> dict[str, Any]:
        return {"$type": STATUS, "status": text, "with": did(other), "createdAt": at(0)}

    path, uri = f"{STATUS}/self", f"at://{did('a')}/{STATUS}/self"
    notice = [f"{uri}#notification/with", did("b"), did("a"), "mention"]
    steps = run(
        tmp_path,
        database,
        [
            "SELECT author_did, with_did, status FROM statuses",
            "SELECT uri, recipient_did, author_did, reason FROM notifications",
        ],
        stream.frame("a", put(path, status("cooking", "b"))),
        stream.frame("a", put(path, status("eating", "b"), "update")),
        stream.frame("a", put(path, {**status("eating", "b"), "with": "nobody"}, "update")),
        stream.frame("a", put(path, status("eating", "a"), "update")),
        stream.frame("a", delete(path)),
    )
    assert steps == [
        [["applied"], [[did("a"), did("b"), "cooking"]], [notice]],
        [["applied"], [[did("a"), did("b"), "eating"]], [notice]],
        [["applied"], [[did("a"), did("b"), "eating"]], [notice]],  # refused, and kept
        [["applied"], [[did("a"), did("a"), "eating"]], []],  # nobody hears of their own act
        [["applied"], [], []],
    ]
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM posts") == 1
        letters = await connection.fetch("SELECT path, reason FROM unified_worker.dead_letters")
        assert [tuple(letter) for letter in letters] == []  # a later operation closed the one that there was
        assert await connection.fetchval("SELECT count(*) FROM generic_records") == 0


@pytest.mark.long
async def test_all_that_can_follow_from_a_row_of_a_new_type_is_kept_and_known(database: str, tmp_path: Path) -> None:
    stream = Stream()
    async with opened(database) as worker:
        await worker.write(stream.commit("a", put("app.bsky.feed.post/1", post()), put("app.bsky.feed.post/2", post())))
        await worker.write(
            stream.commit("c", put("app.bsky.feed.repost/1", repost(POST_URI)), put("app.bsky.feed.like/1", like(POST_URI)))
        )
    with_file(tmp_path, "praise.py", PRAISE_FILE)
    path, uri = f"{PRAISE}/1", f"at://{did('b')}/{PRAISE}/1"
    other = POST_URI[:-1] + "2"
    steps = run(
        tmp_path,
        database,
        [
            "SELECT post_uri, repost_count, quote_count FROM post_aggregations ORDER BY 1",
            f"SELECT post_uri, repost_uri FROM post_viewer_states WHERE viewer_did = '{did('b')}'",
            f"SELECT uri, type FROM feed_items WHERE originator_did = '{did('b')}'",
            "SELECT post_uri, quoted_uri FROM quotes",
            "SELECT post_uri, root_author_like_uri FROM thread_contexts",
        ],
        stream.frame("b", put(path, {**repost(POST_URI), "$type": PRAISE})),
        stream.frame("b", put(path, {**repost(other), "$type": PRAISE}, "update")),
        stream.frame("b", delete(path)),
    )
    assert steps == [
        [["applied"], [[POST_URI, 2, 1]], [[POST_URI, uri]], [[uri, "repost"]], [[uri, POST_URI]], [[uri, f"{uri}/liked"]]],
        [
            ["applied"],
            [[POST_URI, 1, 0], [other, 1, 1]],
            [[other, uri]],
            [[uri, "repost"]],
            [[uri, other]],
            [[uri, f"{uri}/liked"]],
        ],
        [["applied"], [[POST_URI, 1, 0]], [], [], [], []],
    ]
