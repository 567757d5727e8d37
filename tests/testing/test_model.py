"""What follows from records, in the model: small stories, with the rows written by hand."""

import pytest

from relay_simulator.truth import Json
from testing.model import (
    BLOCK,
    GENERATOR,
    LABELER,
    LIKE,
    LIST,
    LIST_BLOCK,
    POST,
    POST_GATE,
    PROFILE,
    REPOST,
    STARTER_PACK,
    THREAD_GATE,
    UNDETERMINED,
    VERIFICATION,
    instant,
)
from testing.stories import (
    ALICE,
    BEFORE,
    BOB,
    CAROL,
    Story,
    follow,
    gone,
    like,
    list_item,
    mentioning,
    post,
    put,
    quoting,
    ref,
    reply,
    repost,
    rule,
    thread_gate,
    uri,
    verification,
)

ROOT = uri(ALICE, POST, "root")
CREATED = instant(BEFORE)
NO_COUNTS = {"like_count": 0, "repost_count": 0, "reply_count": 0, "quote_count": 0, "bookmark_count": 0}
NO_FLAGS = dict.fromkeys(("bookmarked", "thread_muted", "reply_disabled", "embedding_disabled", "pinned"), False)


def test_a_like_before_its_post() -> None:
    story = Story()
    story.by(BOB, like("l", ROOT))
    state = {"post_uri": ROOT, "viewer_did": BOB, "like_uri": uri(BOB, LIKE, "l"), "repost_uri": None, **NO_FLAGS}
    for _ in range(2):  # the post, when it comes, changes nothing of it
        assert story.rows("post_aggregations") == {ROOT: {"post_uri": ROOT, **NO_COUNTS, "like_count": 1}}
        assert story.rows("post_viewer_states") == {f"{ROOT} {BOB}": state}
        assert story.notices() == {("like", "bob", "alice")}
        story.by(ALICE, post("root"))
    assert story.row("notifications", uri(BOB, LIKE, "l") + "#notification") == {
        "uri": uri(BOB, LIKE, "l") + "#notification",
        "recipient_did": ALICE,
        "author_did": BOB,
        "reason": "like",
        "reason_subject": ROOT,
        "cid": "cid-l",
        "is_read": False,
        "created_at": CREATED,
    }
    story.by(BOB, gone(LIKE, "l"))
    assert story.rows("post_aggregations") == story.rows("post_viewer_states") == story.rows("notifications") == {}
    assert story.rows("feed_items").keys() == {ROOT}


def test_a_repost_is_a_feed_item_and_keeps_the_viewers_like() -> None:
    story = Story()
    story.by(BOB, like("l", ROOT), repost("r", ROOT, createdAt="2099-01-01T00:00:00Z"))
    state = story.row("post_viewer_states", f"{ROOT} {BOB}")
    assert (state["like_uri"], state["repost_uri"]) == (uri(BOB, LIKE, "l"), uri(BOB, REPOST, "r"))
    assert story.row("feed_items", uri(BOB, REPOST, "r")) == {
        "uri": uri(BOB, REPOST, "r"),
        "post_uri": ROOT,
        "originator_did": BOB,
        "type": "repost",
        "sort_at": instant("2026-07-01T12:01:00Z"),
        "cid": "cid-r",
        "created_at": instant("2099-01-01T00:00:00Z"),
    }
    story.by(BOB, gone(LIKE, "l"))
    assert story.row("post_viewer_states", f"{ROOT} {BOB}")["like_uri"] is None
    assert story.row("post_aggregations", ROOT) == {"post_uri": ROOT, **NO_COUNTS, "repost_count": 1}


def test_a_reply_that_quotes_and_mentions() -> None:
    story = Story()
    parent, own = uri(CAROL, POST, "p"), uri(BOB, POST, "r")
    story.by(BOB, reply("r", ROOT, parent, embed=quoting(ROOT), facets=mentioning(CAROL, BOB, CAROL, "nobody")))
    counts = {key: row["reply_count"] + 10 * row["quote_count"] for key, row in story.rows("post_aggregations").items()}
    assert counts == {parent: 1, ROOT: 10}
    assert story.rows("quotes") == {
        own + "#quote": {
            "uri": own + "#quote",
            "cid": "cid-r",
            "post_uri": own,
            "quoted_uri": ROOT,
            "quoted_cid": "bafy",
            "created_at": CREATED,
        }
    }
    assert story.row("feed_items", own)["type"] == "reply"
    assert story.notices() == {("reply", "bob", "carol"), ("quote", "bob", "alice"), ("mention", "bob", "carol")}
    assert {row["reason_subject"] for row in story.rows("notifications").values()} == {own}
    assert own + f"#notification/mention/{CAROL}" in story.rows("notifications")
    story.by(BOB, post("r", embed={"$type": "app.bsky.embed.recordWithMedia", "record": {"record": ref(parent)}}))
    assert {key: row["quote_count"] for key, row in story.rows("post_aggregations").items()} == {parent: 1}
    assert story.notices() == {("quote", "bob", "carol")}
    assert story.rows("thread_contexts") == {}


@pytest.mark.parametrize(
    "embed",
    [
        {"$type": "app.bsky.embed.record", "record": {"uri": ROOT}},
        {"$type": "app.bsky.embed.record", "record": {"uri": ROOT, "cid": "x" * 256}},
        quoting(uri(ALICE, LIST, "1")),
        quoting("at://alice.test/app.bsky.feed.post/1"),
        {"$type": "app.bsky.embed.recordWithMedia", "record": ref(ROOT)},
        {"$type": "app.example.embed", "record": ref(ROOT)},
    ],
)
def test_what_is_no_quote(embed: Json) -> None:
    story = Story()
    story.by(BOB, post("r", embed=embed))
    assert story.rows("posts").keys() == {uri(BOB, POST, "r")}
    assert story.rows("quotes") == story.rows("post_aggregations") == story.rows("notifications") == {}


def test_derived_uris_that_are_too_long_are_not_written() -> None:
    story = Story()
    room = 512 - len(uri(BOB, POST, "") + "#notification/reply")
    quotes = quoting(uri(CAROL, POST, "1"))
    for length, reasons in ((room, {"reply", "quote"}), (room + 1, set[str]()), (512 - len(uri(BOB, POST, "")), set[str]())):
        rkey = "r" * length
        story.by(BOB, reply(rkey, ROOT, embed=quotes, facets=mentioning(CAROL)))
        assert {row["reason"] for row in story.rows("notifications").values()} == reasons
        quoted = len(uri(BOB, POST, rkey) + "#quote") <= 512
        assert len(story.rows("quotes")) == quoted
        assert len(story.rows("post_aggregations")) == 1 + quoted
        story.by(BOB, gone(POST, rkey))


@pytest.mark.parametrize("order", ["like first", "reply first"])
def test_the_root_authors_like_of_a_reply(order: str) -> None:
    story = Story()
    answer = uri(BOB, POST, "r")
    acts = [(ALICE, like("l", answer)), (BOB, reply("r", ROOT, uri(CAROL, POST, "p")))]
    for did, op in acts if order == "like first" else reversed(acts):
        story.by(did, op)
    story.by(CAROL, like("l", answer))
    assert story.rows("thread_contexts") == {answer: {"post_uri": answer, "root_author_like_uri": uri(ALICE, LIKE, "l")}}
    story.by(ALICE, gone(LIKE, "l"))
    assert story.row("thread_contexts", answer)["root_author_like_uri"] is None


def test_nobody_is_told_of_their_own_acts() -> None:
    story = Story()
    story.by(ALICE, post("root"), like("l", ROOT), repost("r", ROOT), reply("a", ROOT, embed=quoting(ROOT)), follow("f", ALICE))
    story.by(ALICE, verification("v", ALICE))
    story.by(ALICE, gone(VERIFICATION, "v"))
    assert story.notices() == set()
    assert story.row("post_aggregations", ROOT) == {
        "post_uri": ROOT, "like_count": 1, "repost_count": 1, "reply_count": 1, "quote_count": 1, "bookmark_count": 0,
    }  # fmt: skip


def test_acts_by_way_of_a_repost() -> None:
    story = Story()
    via = uri(CAROL, REPOST, "x")
    story.by(BOB, like("l", ROOT, via=ref(via)), repost("r", ROOT, via={"uri": via}))
    story.by(CAROL, like("l", ROOT, via=ref(via)), repost("r", ROOT, via=ref(ROOT)))
    assert {notice for notice in story.notices() if "via" in notice[0]} == {
        ("like-via-repost", "bob", "carol"),
        ("repost-via-repost", "bob", "carol"),
    }
    assert story.row("notifications", uri(BOB, LIKE, "l") + "#notification/like-via-repost")["reason_subject"] == via


def test_likes_of_feeds_and_labelers_count_there_too() -> None:
    story = Story()
    feed, labeler = uri(ALICE, GENERATOR, "g"), uri(ALICE, LABELER, "self")
    story.by(BOB, like("a", feed), like("b", labeler))
    story.by(CAROL, like("a", feed))
    story.by(ALICE, put(GENERATOR, "g", did=CAROL, displayName="Feed"), put(LABELER, "self", policies={"labelValues": []}))
    assert story.row("feed_generators", feed)["like_count"] == story.row("post_aggregations", feed)["like_count"] == 2
    assert story.row("labeler_services", labeler)["like_count"] == 1
    assert (story.row("feed_generators", feed)["did"], story.row("labeler_services", labeler)["creator_did"]) == (CAROL, ALICE)


def test_lists_blocks_and_other_records() -> None:
    story = Story()
    mine, pack = uri(ALICE, LIST, "list"), uri(ALICE, STARTER_PACK, "p")
    story.by(
        ALICE, put(LIST, "list", name="L", purpose="x" * 64), list_item(ALICE, "i", BOB), put(LIST_BLOCK, "b", subject=mine)
    )
    story.by(ALICE, put(BLOCK, "b", subject=BOB), put(STARTER_PACK, "p", name="P", list=mine))
    story.by(ALICE, put("com.example.thing", "1", createdAt=None, x="\0y"))
    assert (story.row("lists", mine)["purpose"], story.row("lists", mine)["avatar_url"]) == ("x" * 64, None)
    assert [(row["list_uri"], row["subject_did"]) for row in story.rows("list_items").values()] == [(mine, BOB)]
    assert [(row["blocker_did"], row["list_uri"]) for row in story.rows("list_blocks").values()] == [(ALICE, mine)]
    assert [(row["blocked_did"], row["commit_seq"]) for row in story.rows("blocks").values()] == [(BOB, "2")]
    assert (story.row("starter_packs", pack)["list_uri"], story.row("starter_packs", pack)["feeds"]) == (mine, [])
    assert story.row("generic_records", uri(ALICE, "com.example.thing", "1")) == {
        "uri": uri(ALICE, "com.example.thing", "1"),
        "cid": "cid-1",
        "author_did": ALICE,
        "record_type": "com.example.thing",
        "record": {"$type": "com.example.thing", "createdAt": None, "x": "y"},
        "created_at": instant("2026-07-01T12:03:00Z"),
    }


def test_what_is_refused() -> None:
    story = Story()
    bad = [
        put(LIST, "1", name="L", purpose="x" * 65),
        list_item(BOB, "2", CAROL),
        put(LIST_BLOCK, "3", subject=ROOT),
        put(STARTER_PACK, "4", name="P", list=ROOT),
        put(LABELER, "other", policies={}),
        put(LABELER, "self"),
        put(GENERATOR, "5", did="alice.test", displayName="x"),
        put(VERIFICATION, "6", subject=BOB, handle="nodots"),
        put(THREAD_GATE, "root", post=uri(BOB, POST, "root")),
        put(THREAD_GATE, "7", post=ROOT),
        thread_gate(ALICE, "8", {"$type": 5}),
        thread_gate(ALICE, "9", "mention"),
        thread_gate(ALICE, "10", rule("list")),
        put(POST_GATE, "11", post=uri(ALICE, POST, "11"), embeddingRules={}),
        put("com.example.thing", "12", **{"$type": "com.example.other"}),
        like("13", f"at://did:web:{'a' * 300}/{POST}/1"),
        post("x" * 500),
    ]
    story.by(ALICE, *bad, put(LIST, "good", name="L", purpose=""))
    assert [path for _, path, _ in story.model.refused] == [f"{op.collection}/{op.rkey}" for op in bad]
    assert story.rows("lists").keys() == {uri(ALICE, LIST, "good")}


def test_a_starter_pack_that_brought_somebody() -> None:
    story = Story()
    pack = uri(ALICE, STARTER_PACK, "p")
    story.by(BOB, put(PROFILE, "self", joinedViaStarterPack=ref(pack)))
    assert story.notices() == {("starterpack-joined", "bob", "alice")}
    assert story.row("notifications", uri(BOB, PROFILE, "self") + "#notification/starterpack-joined")["reason_subject"] == pack
    story.by(BOB, put(PROFILE, "self", joinedViaStarterPack=ref(ROOT)))
    assert story.notices() == set()


def test_gates_come_after_and_go_before() -> None:
    story = Story()
    story.by(BOB, reply("older", ROOT))
    story.by(ALICE, thread_gate(ALICE, "root"), post("root"), reply("own", ROOT, embed=quoting(ROOT)))
    story.by(BOB, reply("r", ROOT), reply("q", ROOT, embed=quoting(ROOT)))
    rules: list[Json] = [{"$type": f"{POST_GATE}#disableRule"}]
    story.by(ALICE, put(POST_GATE, "root", post=ROOT, embeddingRules=rules))
    found = {key.rpartition("/")[2]: row for key, row in story.rows("posts").items()}
    assert {key for key, row in found.items() if row["violates_thread_gate"]} == {"r", "q"}
    assert {key for key, row in found.items() if row["violates_embedding_rules"]} == {"q"}
    assert {key for key, row in found.items() if row["has_thread_gate"] and row["has_post_gate"]} == {"root"}
    assert story.notices() == {("reply", "bob", "alice")}  # of the older one
    assert story.row("thread_gates", ROOT)["owner_did"] == ALICE
    assert story.row("post_gates", ROOT) == {
        "post_uri": ROOT,
        "embedding_rules": rules,
        "detached_embedding_uris": None,
        "created_at": CREATED,
    }
    story.by(ALICE, gone(THREAD_GATE, "root"), gone(POST_GATE, "root"))
    flags = ("has_thread_gate", "has_post_gate", "violates_thread_gate", "violates_embedding_rules")
    assert not any(row[flag] for row in story.rows("posts").values() for flag in flags)


ALLOWED: list[tuple[Json, tuple[Json, ...]]] = [
    (None, (True, True, True, [])),
    ([], (False, False, False, [])),
    ([rule("mention"), rule("follower")], (True, False, False, [])),
    ([rule("mention"), rule("unheard")], (True, True, True, [])),
    ([{"$type": "mentionRule"}], (True, True, True, [])),
    ([rule("following")], (False, True, False, [])),
    ([rule("list", list=ROOT), rule("mention"), rule("list", list=ROOT)], (True, False, True, [ROOT])),
]


@pytest.mark.parametrize(("allow", "columns"), ALLOWED)
def test_what_a_thread_gate_allows(allow: Json, columns: tuple[Json, ...]) -> None:
    story = Story()
    fields: dict[str, Json] = {} if allow is None else {"allow": allow}
    story.by(ALICE, put(THREAD_GATE, "root", post=ROOT, **fields))
    row = story.row("thread_gates", ROOT)
    assert tuple(row[f"allow_{name}"] for name in ("mentions", "following", "list_members", "list_uris")) == columns


def test_whom_a_thread_gate_admits() -> None:
    story = Story()
    listed = "did:plc:listed"
    story.by(ALICE, post("root", facets=mentioning(BOB)), follow("f", CAROL), list_item(ALICE, "i", listed))
    story.by("did:plc:fan", follow("f", ALICE))
    members = rule("list", list=uri(ALICE, LIST, "list"))
    story.by(ALICE, thread_gate(ALICE, "root", rule("mention"), rule("following"), rule("follower"), members))
    for did in (BOB, CAROL, listed, "did:plc:fan", "did:plc:late", "did:plc:stranger"):
        story.by(did, reply("r", ROOT))
    story.by("did:plc:late", follow("late", ALICE, createdAt="2020-01-01T00:00:00Z"))
    violating = {row["author_did"] for row in story.rows("posts").values() if row["violates_thread_gate"]}
    assert violating == {"did:plc:late", "did:plc:stranger"}
    assert story.model.expected().left_out() == 0
    story.by(ALICE, post("root"))
    assert story.row("posts", uri(BOB, POST, "r"))["violates_thread_gate"] is True


def test_a_verdict_that_hangs_on_the_order_between_repos_is_left_out() -> None:
    story = Story()
    story.by(ALICE, thread_gate(ALICE, "root", rule("following")))
    story.by(BOB, reply("r", ROOT))
    story.by(ALICE, follow("f", BOB))
    violates = story.row("posts", uri(BOB, POST, "r"))["violates_thread_gate"]
    assert violates is True  # the follow's commit is the younger
    story.by(ALICE, thread_gate(ALICE, "root", rule("following")))
    assert story.row("posts", uri(BOB, POST, "r"))["violates_thread_gate"] is UNDETERMINED  # as the gate before said, if it did
    assert story.model.expected().left_out() == 2  # it, and its notification
    story.by(CAROL, reply("r", ROOT))
    story.by(ALICE, follow("c", CAROL), follow("b", BOB))
    story.by(BOB, reply("r", ROOT))
    assert story.row("posts", uri(BOB, POST, "r"))["violates_thread_gate"] is UNDETERMINED  # one follow went, one came
    story.by(ALICE, post("root"))  # whoever replied before or after, is judged with the follow in place
    assert story.row("posts", uri(BOB, POST, "r"))["violates_thread_gate"] is False
    assert story.row("posts", uri(CAROL, POST, "r"))["violates_thread_gate"] is True


def test_a_reply_in_two_threads_is_left_out_where_a_gate_may_have_met_it() -> None:
    story, parent, own = Story(), uri(BOB, POST, "p"), uri(CAROL, POST, "own")
    story.by(ALICE, thread_gate(ALICE, "root"), reply("r", own, parent))
    story.by(BOB, reply("p", ROOT))
    story.by(CAROL, reply("in", ROOT, parent), reply("out", own, parent), reply("top", own, ROOT), reply("own", own))
    found = {row["uri"].rpartition("/")[2]: row["violates_thread_gate"] for row in story.rows("posts").values()}
    assert found == {"r": False, "p": True, "in": True, "out": UNDETERMINED, "top": False, "own": False}
    story.by(ALICE, post("root"), gone(THREAD_GATE, "root"))
    story.by(BOB, gone(POST, "p"))
    story.by(CAROL, reply("top", own, ROOT))
    for rkey in ("out", "top"):
        assert story.row("posts", uri(CAROL, POST, rkey))["violates_thread_gate"] is UNDETERMINED
    story.by(CAROL, thread_gate(CAROL, "own"), reply("top", own, ROOT))
    story.by(BOB, post("other"))
    story.by(CAROL, reply("in", uri(BOB, POST, "other"), ROOT))
    assert story.row("posts", uri(CAROL, POST, "in"))["violates_thread_gate"] is UNDETERMINED


def test_verifications_of_one_account_by_several() -> None:
    story = Story()
    story.by(CAROL, verification("v", ALICE, createdAt="2026-01-01T00:00:00Z"))
    story.by(BOB, verification("v", ALICE, createdAt="2020-01-01T00:00:00Z"))  # says that it was earlier
    row = story.row("verifications", uri(CAROL, VERIFICATION, "v"))
    assert row["created_at"] == row["verified_at"] == instant("2026-01-01T00:00:00Z")
    assert story.model.duplicate_records() == {uri(BOB, VERIFICATION, "v")}
    assert story.notices() == {("verified", "carol", "alice")}
    story.by(CAROL, gone(VERIFICATION, "v"))
    assert story.notices() == {("unverified", "carol", "alice"), ("verified", "bob", "alice")}
    notice = story.row("notifications", uri(CAROL, VERIFICATION, "v") + "#notification/unverified")
    assert (notice["created_at"], notice["cid"]) == (instant("2026-07-01T12:03:00Z"), "cid-v")
    assert story.model.expected().left_out() == 0
    story.by(BOB, gone(VERIFICATION, "v"))  # if that came before Carol's was deleted, it waited still
    assert story.model.expected().optional["notifications"] == {uri(BOB, VERIFICATION, "v") + "#notification/unverified"}
    story.by(CAROL, verification("v", ALICE))
    assert ("unverified", "carol", "alice") not in story.notices()


def test_duplicates_of_lists_and_blocks_wait() -> None:
    story = Story()
    subject = uri(BOB, LIST, "1")
    for rkey in ("b", "a"):
        block, list_block = put(BLOCK, rkey, subject=BOB), put(LIST_BLOCK, rkey, subject=subject)
        story.by(ALICE, block, list_block, list_item(ALICE, rkey, BOB), like(rkey, ROOT))
    assert {key.rpartition("/")[2] for key in story.model.duplicate_records()} == {"b"}
    assert len(story.model.duplicate_records()) == 4
    assert story.row("post_aggregations", ROOT)["like_count"] == 1
