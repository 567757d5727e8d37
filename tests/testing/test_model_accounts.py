"""Accounts in the model: their states, their handles, their end."""

from relay_simulator.encoding import tid
from relay_simulator.truth import CommitTruth
from testing.model import FOLLOW, LIKE, LIST, POST, PROFILE, VERIFICATION, Model
from testing.stories import ALICE, BOB, CAROL, FIRST_MINUTE, Story, follow, gone, like, post, put, reply, uri, verification

ROOT = uri(ALICE, POST, "root")


def test_a_repo_of_which_nothing_special_is_known() -> None:
    story = Story()
    story.by(ALICE, post("root"))
    rev = story.model.revs[ALICE]
    assert story.rows("unified_worker.repos") == {
        ALICE: {
            "did": ALICE,
            "rev": rev,
            "active": True,
            "status": None,
            "handle": None,
            "sync": 0,
            "sync_reason": None,
            "filtered": False,
            "inductive": False,
            "wiping": False,
        }
    }


def test_what_an_inactive_account_writes_is_kept_out() -> None:
    story = Story()
    story.by(ALICE, post("root"))
    story.account(ALICE, False, "suspended")
    story.by(ALICE, post("second"), gone(POST, "root"), put("x", "y"))
    hidden_rev = story.model.revs[ALICE]
    assert story.rows("posts").keys() == {ROOT}
    assert (story.repo(ALICE)["active"], story.repo(ALICE)["status"]) == (False, "suspended")
    assert (story.repo(ALICE)["sync_reason"], story.model.filtered, story.model.refused) == ("inactive", 1, [])
    story.account(ALICE, True)
    assert story.repo(ALICE)["rev"] == hidden_rev
    story.by(ALICE, post("third"))
    assert story.rows("posts").keys() == {ROOT, uri(ALICE, POST, "third")}
    assert (story.repo(ALICE)["active"], story.repo(ALICE)["status"]) == (True, None)


def test_which_states_hide() -> None:
    hiding = [(False, status) for status in ("takendown", "suspended", "deleted", "deactivated", None)]
    showing = [(True, None), (True, "takendown"), (False, "throttled"), (False, "desynchronized"), (False, "sleeping")]
    for active, status in hiding + showing:
        story = Story()
        story.account(ALICE, active, status)
        assert story.repo(ALICE)["active"] == ((active, status) in showing), (active, status)
        assert story.repo(ALICE)["status"] == status
        assert story.repo(ALICE)["sync_reason"] == ("wiped" if status == "deleted" else None)
        assert story.rows("users") == {}


def test_an_older_message_changes_nothing() -> None:
    story = Story()
    story.account(ALICE, False, "deactivated", seq=9)
    story.account(ALICE, True, seq=9)
    story.account(ALICE, True, seq=8)
    story.identity(ALICE, "new.test", seq=9)
    story.identity(ALICE, "old.test", seq=8)
    assert (story.repo(ALICE)["active"], story.repo(ALICE)["handle"]) == (False, "new.test")
    assert (story.model.stale_messages, story.model.stale) == (3, 0)


def test_an_opted_out_account_leaves_nothing() -> None:
    story = Story(Model(opted_out={ALICE}))
    story.by(ALICE, post("root"), like("l", ROOT))
    story.by(BOB, like("l", ROOT))
    assert story.rows("posts") == {}
    assert story.rows("users").keys() == {BOB}
    assert (story.repo(ALICE)["filtered"], story.repo(ALICE)["sync"], story.model.filtered) == (True, 0, 1)
    assert story.row("post_aggregations", ROOT)["like_count"] == 1


def test_collections_that_are_not_chosen_are_left_out() -> None:
    story = Story(Model(collections=lambda name: name == POST))
    story.by(ALICE, post("root"), like("l", ROOT), put(LIST, "bad"))
    story.by(BOB, gone(LIKE, "x"))
    story.by(CAROL, post("p"))
    assert story.rows("posts").keys() == {ROOT, uri(CAROL, POST, "p")}
    assert story.rows("likes") == {}
    assert [story.repo(did)["filtered"] for did in (ALICE, BOB, CAROL)] == [True, True, False]
    assert story.model.refused == []


def test_a_deleted_account_goes_with_all_that_it_caused() -> None:
    story = Story()
    theirs = uri(BOB, POST, "p")
    story.by(ALICE, verification("v", CAROL))
    story.by(BOB, post("p"), like("l", ROOT), follow("f", ALICE), verification("v", CAROL))
    story.identity(ALICE, "alice.test")
    story.by(ALICE, put(PROFILE, "self", displayName="Alice"), post("root"), like("l", theirs), reply("r", theirs))
    story.by(ALICE, follow("f", BOB))
    assert story.model.duplicate_records() == {uri(BOB, VERIFICATION, "v")}
    story.account(ALICE, False, "deleted")
    assert story.rows("posts").keys() == {theirs}
    assert story.rows("likes").keys() == {uri(BOB, LIKE, "l")}
    assert story.rows("follows").keys() == {uri(BOB, FOLLOW, "f")}
    assert story.rows("post_aggregations").keys() == {ROOT}, "others' likes of it stay"
    assert story.model.duplicate_records() == set()
    assert story.rows("verifications").keys() == {uri(BOB, VERIFICATION, "v")}
    user = story.row("users", ALICE)
    assert (user["handle"], user["display_name"], user["profile_record"]) == ("handle.invalid", None, None)
    assert story.repo(ALICE)["status"] == "deleted"
    theirs_still = {uri(BOB, VERIFICATION, "v") + "#notification/verified"}
    assert story.rows("notifications").keys() == theirs_still, "at rest there are none to her"
    assert not story.model.expected().optional["notifications"]
    story.by(ALICE, post("unseen"))
    story.account(ALICE, True)
    story.by(ALICE, post("again"))
    assert story.rows("posts").keys() == {theirs, uri(ALICE, POST, "again")}
    assert story.model.expected().optional["notifications"] == {
        uri(BOB, LIKE, "l") + "#notification",
        uri(BOB, FOLLOW, "f") + "#notification",
    }, "what came before she was back may have come before the wipe"


def test_a_wipe_takes_the_word_that_a_verification_was_taken_back() -> None:
    story = Story()
    story.by(BOB, verification("v", CAROL))
    story.by(BOB, gone(VERIFICATION, "v"))
    assert story.notices() == {("unverified", "bob", "carol")}
    story.account(BOB, False, "deleted")
    assert story.notices() == set()


def test_a_handle_is_that_of_who_claimed_it_first() -> None:
    story = Story()
    story.by(ALICE, post("root"))
    story.identity(BOB, "Name.Test")
    assert story.rows("users").keys() == {ALICE}
    story.by(BOB, post("p"))
    assert story.row("users", BOB)["handle"] == "name.test"
    story.identity(ALICE, "name.test")
    story.identity(BOB, "name.test")
    assert (story.row("users", ALICE)["handle"], story.row("users", BOB)["handle"]) == ("handle.invalid", "name.test")
    assert story.repo(ALICE)["handle"] == "name.test"
    story.identity(BOB, None)  # says nothing
    assert story.row("users", BOB)["handle"] == "name.test"
    story.identity(BOB, "handle.invalid")
    assert (story.row("users", ALICE)["handle"], story.row("users", BOB)["handle"]) == ("name.test", "handle.invalid")
    assert story.repo(BOB)["handle"] is None
    story.identity(ALICE, "no handle")
    assert story.repo(ALICE)["handle"] is None


def test_a_deleted_account_lets_go_of_its_handle() -> None:
    story = Story()
    for who in (ALICE, BOB):
        story.by(who, post("p"))
        story.identity(who, "name.test")
    story.account(ALICE, False, "deactivated")
    assert (story.row("users", ALICE)["handle"], story.row("users", BOB)["handle"]) == ("name.test", "handle.invalid")
    story.account(ALICE, False, "deleted")
    assert (story.row("users", ALICE)["handle"], story.row("users", BOB)["handle"]) == ("handle.invalid", "name.test")
    story.account(ALICE, True)
    assert (story.row("users", ALICE)["handle"], story.row("users", BOB)["handle"]) == ("handle.invalid", "name.test")
    story.identity(BOB, "bob.test")
    assert (story.row("users", ALICE)["handle"], story.row("users", BOB)["handle"]) == ("name.test", "bob.test")


def test_a_message_without_a_handle_leaves_no_trace() -> None:
    story = Story()
    story.identity(ALICE, None)
    assert story.rows("unified_worker.repos") == {}


def test_a_sync_to_another_tree_desynchronizes() -> None:
    story = Story()
    story.by(ALICE, post("root"))
    story.sync(ALICE, "data-1")
    assert story.repo(ALICE)["sync"] == 0
    story.account(ALICE, False, "takendown")
    story.sync(ALICE, "data-3")
    assert (story.repo(ALICE)["sync"], story.repo(ALICE)["sync_reason"]) == (2, "sync_differs")
    story.sync(BOB, "data-4")
    assert story.repo(BOB)["sync"] == 0, "of whom nothing is known, nothing is missing"


def test_a_commit_that_follows_on_one_that_never_came_marks_its_account() -> None:
    story = Story()
    story.by(ALICE, post("1"))
    known = story.model.repos[ALICE].rev
    for since, marked in ((known, False), (None, False), (known, True)):
        story.seq += 1
        rev, time = tid(FIRST_MINUTE + story.seq * 60_000_000, 0), f"2026-07-01T12:{story.seq:02d}:00.000Z"
        story.model.apply(CommitTruth(story.seq, ALICE, rev, since, time, (), False, False, f"data-{story.seq}"))
        assert (story.repo(ALICE)["sync_reason"] == "chain_broken") is marked
    assert story.model.doubts == {"chain_broken": 1}
