"""#account and #identity: who is visible, who holds a handle, and what becomes of a deleted account's rows."""

import asyncio
from typing import Any

import pytest

from testing.commits import FOLLOW, LIKE, POST, PROFILE, Stream, at, delete, did, follow, like, post, profile, put
from testing.database_side import Worker, opened
from testing.garbage import VERIFICATION
from testing.waiting import until
from unified_indexer.config.chosen import Chosen
from unified_indexer.database.background.chosen import Choosing
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.background.sweeper import Sweeper
from unified_indexer.database.background.waiting import Pending
from unified_indexer.database.background.wiper import Wiper, wipe_step
from unified_indexer.database.functions.accounts import MOST_REFUSED
from unified_indexer.database.recount.compare import compare
from unified_indexer.database.recount.notifications import notifications
from unified_indexer.database.write.writer import Writer
from unified_indexer.log.handler import RateLimited
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.processor import EventProcessor
from unified_indexer.protocol.events import Verdict
from unified_indexer.selection import Selection

REPO = "SELECT active, status, wiping, sync_reason, filtered, rev FROM unified_worker.repos WHERE did = $1"


async def state(worker: Worker, name: str) -> dict[str, Any]:
    row = await worker.connection.fetchrow(REPO, did(name))
    assert row is not None
    return dict(row)


@pytest.mark.parametrize(
    ("active", "status", "visible"),
    [
        (True, None, True),
        (True, "deactivated", True),  # `active` decides
        (False, None, False),
        *((False, status, False) for status in ("takendown", "suspended", "deactivated", "deleted")),
        *((False, status, True) for status in ("throttled", "desynchronized", "yet-to-be-invented")),
    ],
)
async def test_which_statuses_hide_an_account(worker: Worker, active: bool, status: str | None, visible: bool) -> None:
    stream = Stream()
    assert await worker.write(stream.account("a", active, status)) == ["applied"], "a DID that nobody has seen yet"
    found = await state(worker, "a")
    assert (found["active"], found["status"], found["rev"]) == (visible, status, "")
    outcome = await worker.write(commit := stream.commit("a", put(f"{POST}/1", post())))
    assert outcome == ["applied" if visible else "inactive"]
    assert await worker.value("SELECT count(*) FROM posts") == visible
    found = await state(worker, "a")
    assert (found["rev"], found["sync_reason"]) == (
        commit.rev,
        None if visible else "wiped" if status == "deleted" else "inactive",
    )


async def test_what_an_inactive_account_writes_is_left_out_for_good(both_worker: Worker) -> None:
    stream = Stream()
    story = [
        stream.commit("a", put(f"{POST}/1", post("before"))),
        stream.account("a", False, "deactivated"),
        stream.commit("a", put(f"{POST}/2", post("meanwhile")), delete(f"{POST}/1"), put(f"{LIKE}/1", {"$type": LIKE})),
        stream.broken("a", put(f"{POST}/3", post())),
        stream.account("a", True),
        stream.commit("a", put(f"{POST}/4", post("after"))),
    ]
    outcomes = await both_worker.write(*story)
    assert outcomes == ["applied", "applied", "inactive", "inactive", "applied", "applied"]
    assert await both_worker.column("SELECT text FROM posts ORDER BY uri") == ["before", "after"]
    assert await both_worker.letters() == [], "nothing of it is kept either"
    whole = await both_worker.rows()
    assert set(await both_worker.write(*story)) <= {"stale", "stale_message", "inactive"}, "a replay lets nothing in"
    assert await both_worker.rows() == whole


async def test_messages_apply_by_seq_on_one_relay_and_by_time_on_another(worker: Worker, database: str) -> None:
    stream = Stream()
    early, late = stream.account("a", False, "suspended"), stream.account("a", True)
    assert await worker.write(late, early) == ["applied", "stale_message"]
    assert (await state(worker, "a"))["active"]
    async with opened(database, name="another.relay") as other:
        stream.seq += 10
        newer, older = stream.account("a", False, "takendown", seq=1), early
        assert await other.write(older, newer) == ["stale_message", "applied"], "its seqs say nothing about ours"
    assert (await state(worker, "a"))["status"] == "takendown"
    names = stream.identity("a", "old.test"), stream.identity("a", "new.test")
    assert await worker.write(names[1], names[0]) == ["applied", "stale_message"]
    assert await worker.value("SELECT handle FROM unified_worker.repos") == "new.test"


async def written(worker: Worker, stream: Stream) -> None:
    """What a deleted account `a` may leave: records of its own, and others' that are about it."""
    subject = f"at://{did('b')}/{POST}/1"
    reply = {"parent": {"uri": subject, "cid": "c"}, "root": {"uri": subject, "cid": "c"}}
    await worker.write(
        stream.commit("b", put(f"{POST}/1", post())),
        stream.commit("a", put(f"{PROFILE}/self", profile("A")), put(f"{POST}/1", post(reply=reply))),
        stream.commit("a", put(f"{LIKE}/1", like(subject)), put(f"{FOLLOW}/1", follow(did("b")))),
        stream.commit("a", put(f"{LIKE}/2", like(subject, 1)), put(f"{LIKE}/3", {"$type": LIKE})),
        stream.commit("b", put(f"{LIKE}/1", like(f"at://{did('a')}/{POST}/1")), put(f"{FOLLOW}/1", follow(did("a")))),
    )
    assert await worker.value("SELECT count(*) FROM unified_worker.duplicate_records") == 1
    assert len(await worker.letters()) == 1


async def test_a_deleted_account_s_rows_go_with_what_followed_from_them(both_worker: Worker) -> None:
    stream = Stream()
    await written(both_worker, stream)
    assert await both_worker.write(stream.account("a", False, "deleted")) == ["applied"]
    assert (await state(both_worker, "a"))["wiping"]
    assert await both_worker.letters() == [], "closed with the account"
    assert await wipe_step(both_worker.connection, did("a"))
    tables = ("posts", "likes", "follows", "feed_items", "thread_contexts", "notifications", "post_aggregations")
    rows = await both_worker.rows(tables)
    assert [row["uri"] for row in rows["posts"]] == [f"at://{did('b')}/{POST}/1"]
    assert [row["uri"] for row in rows["likes"]] == [f"at://{did('b')}/{LIKE}/1"], "others' likes of it stay"
    assert [row["uri"] for row in rows["follows"]] == [f"at://{did('b')}/{FOLLOW}/1"], "and others' follows"
    assert [row["uri"] for row in rows["feed_items"]] == [f"at://{did('b')}/{POST}/1"]
    assert rows["thread_contexts"] == rows["notifications"] == []
    assert [(row["post_uri"], row["like_count"]) for row in rows["post_aggregations"]] == [(f"at://{did('a')}/{POST}/1", 1)]
    assert await both_worker.value("SELECT count(*) FROM unified_worker.duplicate_records") == 0
    users = {row["did"]: row["display_name"] for row in (await both_worker.rows())["users"]}
    assert users == {did("a"): None, did("b"): None}, "its row stays, without the profile"
    found = await state(both_worker, "a")
    assert (found["wiping"], found["active"], found["sync_reason"]) == (False, False, "wiped")


async def test_who_comes_back_while_it_is_wiped_finds_what_it_wrote_since(both_worker: Worker) -> None:
    stream = Stream()
    await written(both_worker, stream)
    back = [
        stream.account("a", False, "deleted"),
        stream.account("a", True),
        stream.commit("a", put(f"{POST}/1", post("new"), "update"), put(f"{POST}/2", post("second"))),
        stream.commit("a", delete(f"{POST}/2"), put(f"{POST}/3", post("third")), put(f"{LIKE}/4", {"$type": LIKE})),
        stream.commit("a", put(f"{POST}/3", {"$type": POST}, "update")),
    ]
    assert await both_worker.write(*back) == ["applied", "applied", "kept", "kept", "kept"]
    assert await both_worker.write(*back[2:]) == ["stale"] * 3
    paths = [(path, reason) for path, reason, _, _ in await both_worker.letters()]
    waiting = [(f"{POST}/1", "wiping"), (f"{POST}/3", "wiping")]
    assert paths == [*waiting, (f"{LIKE}/4", "missing_field"), (f"{POST}/3", "missing_field")]
    pending = Pending(both_worker.pool)
    assert await pending.turn(both_worker.connection) == 0, "not before the wipe is done"
    assert await wipe_step(both_worker.connection, did("a"))
    assert await pending.turn(both_worker.connection) == 2
    texts = await both_worker.column("SELECT text FROM posts WHERE author_did = $1 ORDER BY uri", did("a"))
    assert texts == ["new", "third"], "what can't be applied replaces nothing"
    assert [path for path, *_ in await both_worker.letters()] == [f"{LIKE}/4", f"{POST}/3"]


@pytest.mark.promise(7)
async def test_what_comes_unproven_while_its_account_is_wiped_waits_for_its_key(both_worker: Worker) -> None:
    """What waits for the end of the wipe alone was proven before it was kept, and is not proven again."""
    stream = Stream()
    await written(both_worker, stream)
    back = stream.commit("a", put(f"{POST}/1", post("new"), "update"))
    await both_worker.write(stream.account("a", False, "deleted"), stream.account("a", True))
    assert await both_worker.write(back._replace(proof=Verdict(unproven=b"block"))) == ["kept"]
    assert [reason for _, reason, _, _ in await both_worker.letters()] == ["unproven"]
    assert await wipe_step(both_worker.connection, did("a"))
    assert await Pending(both_worker.pool).turn(both_worker.connection) == 0
    assert await both_worker.column("SELECT text FROM posts WHERE author_did = $1", did("a")) == []


async def test_a_wipe_is_done_in_steps_and_goes_on_where_it_was(worker: Worker) -> None:
    stream = Stream()
    for first in range(0, 600, 200):
        await worker.write(stream.commit("a", *(put(f"{POST}/{n}", post()) for n in range(first, first + 200))))
    await worker.write(stream.account("a", False, "deleted"))
    counts: list[int] = []
    while not await worker.value("CALL unified_worker.wipe($1, 150, NULL)", did("a")):
        counts.append(await worker.value("SELECT count(*) FROM posts"))
    assert counts == [400, 200, 0]
    assert await worker.value("SELECT count(*) FROM feed_items") == 0


async def test_who_forbids_it_is_not_indexed(both_worker: Worker) -> None:
    selection = Selection()
    settings = Choosing(both_worker.pool, selection, Chosen())
    await both_worker.connection.execute(
        "INSERT INTO user_settings (user_did, data_collection_forbidden) VALUES ($1, true), ($2, false)", did("a"), did("b")
    )
    await settings.start("public")
    stream = Stream()
    story = [
        stream.commit("a", put(f"{POST}/1", post())),
        stream.commit("b", put(f"{POST}/1", post())),
        stream.broken("a", put(f"{POST}/2", post())),
        stream.too_big("a"),
    ]
    metrics = Metrics()
    await EventProcessor(both_worker.pool, metrics, selection).process_batch(0, story)
    assert metrics.filtered == {"selection": 3}
    assert await both_worker.column("SELECT author_did FROM posts") == [did("b")]
    assert await both_worker.column("SELECT did FROM users") == [did("b")]
    assert await both_worker.letters() == []
    found = await state(both_worker, "a")
    assert (found["filtered"], found["sync_reason"]) == (True, None), "what is left out on purpose is no fault"
    assert await both_worker.write(story[0]) == ["stale"], "a replay after a change of mind lets nothing in"
    await both_worker.connection.execute("UPDATE user_settings SET data_collection_forbidden = false")
    await settings.read()
    await Writer(both_worker.pool, selection).write(0, [stream.commit("a", put(f"{POST}/3", post()))])
    assert await both_worker.column("SELECT uri FROM posts WHERE author_did = $1", did("a")) == [f"at://{did('a')}/{POST}/3"]


async def test_what_can_not_be_read_leaves_the_choice_as_it_was(
    worker: Worker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_indexer.database.background.chosen.INTERVAL", 0.02)
    monkeypatch.setattr("unified_indexer.database.background.chosen.warn_limited", RateLimited().warn)
    selection = Selection()
    choosing = Choosing(worker.pool, selection, Chosen())
    await worker.connection.execute("INSERT INTO user_settings VALUES ($1, true)", did("a"))
    await choosing.start("public")
    reading = asyncio.create_task(choosing.keep_reading())
    await worker.connection.execute("ALTER TABLE user_settings RENAME TO away")
    await until(lambda: "Could not read which accounts are indexed" in caplog.text, "it is told")
    assert selection.opted_out == frozenset({did("a")})
    await worker.connection.execute("INSERT INTO away VALUES ($1, true)", did("b"))
    await worker.connection.execute("ALTER TABLE away RENAME TO user_settings")
    await until(lambda: selection.opted_out == frozenset({did("a"), did("b")}), "it is read again")
    reading.cancel()


async def test_what_is_left_out_of_a_repo_that_was_whole_marks_it(worker: Worker) -> None:
    stream, writer = Stream(), Writer(worker.pool, Selection((POST,)))
    await writer.write(0, [stream.commit("a", put(f"{POST}/1", post()))])
    assert not (await state(worker, "a"))["filtered"]
    await writer.write(0, [stream.commit("a", put(f"{POST}/2", post()), put(f"{LIKE}/1", like(f"at://{did('b')}/{POST}/1")))])
    found = await state(worker, "a")
    assert (found["filtered"], found["sync_reason"]) == (True, None)
    assert await worker.column("SELECT count(*) FROM posts UNION ALL SELECT count(*) FROM likes") == [2, 0]


async def test_a_wipe_takes_what_was_said_of_records_that_are_no_more(worker: Worker) -> None:
    stream = Stream()
    vouched = {"$type": VERIFICATION, "subject": did("b"), "handle": "b.test", "displayName": "B", "createdAt": at(0)}
    await worker.write(stream.commit("a", put(f"{VERIFICATION}/1", vouched)), stream.commit("a", delete(f"{VERIFICATION}/1")))
    assert await worker.column("SELECT reason FROM notifications") == ["unverified"]
    await worker.write(stream.account("a", False, "deleted"))
    while not await wipe_step(worker.connection, did("a")):
        pass
    assert await worker.column("SELECT reason FROM notifications") == []


BOOKMARKS = """
CREATE TABLE bookmarks (post varchar(512) NOT NULL REFERENCES posts (uri) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO bookmarks VALUES ($post)
"""


async def test_a_wipe_that_is_refused_is_that_account_s_alone(
    both_worker: Worker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that may go does; the next account is wiped; what is refused is named, and tried again later."""
    worker, stream = both_worker, Stream()
    ops = [put(f"{POST}/{number}", post()) for number in range(150)]
    await worker.write(stream.commit("a", *ops, put(f"{LIKE}/1", like(f"at://{did('x')}/{POST}/1"))), stream.commit("b", *ops))
    held = f"at://{did('a')}/{POST}/70"
    await worker.connection.execute(BOOKMARKS.replace("$post", f"'{held}'"))
    await worker.write(stream.account("a", False, "deleted"), stream.account("b", False, "deleted"))
    monkeypatch.setattr("unified_indexer.database.background.wiper.warn_limited", RateLimited().warn)
    wiper = Wiper(worker.pool)
    for _ in range(10):
        if not await wiper.turn():
            break
    assert await worker.column("SELECT did FROM unified_worker.repos WHERE wiping") == [did("a")]
    assert await worker.column("SELECT uri FROM posts") == [held]
    assert await worker.value("SELECT count(*) FROM likes") == 0
    error: str = await worker.value("SELECT error FROM unified_worker.stuck_wipes WHERE did = $1", did("a"))
    assert "23503" in error
    assert held in error
    assert did("a") in caplog.text
    assert not await wiper.turn(), "it waits"

    await worker.connection.execute("DELETE FROM bookmarks; UPDATE unified_worker.stuck_wipes SET retry_at = now()")
    assert await wiper.turn()
    assert await worker.column("SELECT did FROM unified_worker.repos WHERE wiping") == []
    assert await worker.value("SELECT count(*) FROM posts") == 0
    assert await worker.value("SELECT count(*) FROM unified_worker.stuck_wipes") == 0


@pytest.mark.long
async def test_a_wipe_passes_over_a_thousand_refused_records_at_most(worker: Worker) -> None:
    """Then its error comes up, so that no call goes on for hours; the next account is wiped all the same."""
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post())), stream.commit("b", put(f"{POST}/1", post())))
    await worker.connection.execute(
        f"""INSERT INTO posts (uri, cid, author_did, text, created_at)
        SELECT 'at://{did("a")}/{POST}/many' || n, 'c', '{did("a")}', '', now() FROM generate_series(1, 1010) AS n;
        CREATE TABLE bookmarks (uri text REFERENCES posts);
        INSERT INTO bookmarks SELECT uri FROM posts WHERE author_did = '{did("a")}';"""
    )
    await worker.write(stream.account("a", False, "deleted"), stream.account("b", False, "deleted"))
    wiper = Wiper(worker.pool)
    for _ in range(10):
        if not await wiper.turn():
            break
    assert await worker.column("SELECT did FROM unified_worker.repos WHERE wiping") == [did("a")]
    error: str = await worker.value("SELECT error FROM unified_worker.stuck_wipes")
    assert f"{MOST_REFUSED} records stay" in error
    assert MOST_REFUSED == 1_000


async def test_a_wipe_in_vain_waits_longer_each_time(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post())), stream.account("a", False, "deleted"))
    await worker.connection.execute(BOOKMARKS.replace("$post", f"'at://{did('a')}/{POST}/1'"))
    waits: list[float] = []
    for _ in range(14):
        await Wiper(worker.pool).turn()
        query = "SELECT extract(epoch FROM retry_at - now())::float8 FROM unified_worker.stuck_wipes"
        waits.append(await worker.value(query))
        await worker.connection.execute("UPDATE unified_worker.stuck_wipes SET retry_at = now()")
    assert waits == pytest.approx([1, *(min(2**n, 3600) for n in range(1, 14))], abs=1)


async def test_at_rest_a_deleted_account_has_no_notifications(both_worker: Worker) -> None:
    """What comes after its wipe is swept; what comes to others, or to one who came back, stays."""
    worker, stream = both_worker, Stream()
    names = ("gone", "back", "here")
    await worker.write(*(stream.commit(name, put(f"{POST}/1", post())) for name in names))
    await worker.write(stream.account("gone", False, "deleted"), stream.account("back", False, "deleted"))
    wiper, sweeper = Wiper(worker.pool), Sweeper(worker.pool)
    while await wiper.turn():
        pass
    likes = [put(f"{LIKE}/{name}", like(f"at://{did(name)}/{POST}/1")) for name in names]
    await worker.write(stream.account("back", True), stream.commit("fan", *likes))
    notified = "SELECT recipient_did FROM notifications ORDER BY 1"
    assert await worker.column(notified) == sorted(map(did, names))
    kind = notifications("public", strict=True)
    assert (await compare(worker.connection, kind, None)).differences == 0, "it is still to be swept"
    await sweeper.sweep()
    assert await worker.column(notified) == [did("back"), did("here")]
    assert await Rebuild(worker.pool).run()
    assert await worker.column(notified) == [did("back"), did("here")], "a rebuild brings none back"
    assert (await compare(worker.connection, kind, None)).differences == 0
    await worker.write(stream.commit("fan", put(f"{FOLLOW}/1", follow(did("gone")))))
    assert (await compare(worker.connection, kind, None)).differences == 0
    await worker.connection.execute("UPDATE unified_worker.sweep SET swept_at = now() + interval '10 minutes'")
    assert (await compare(worker.connection, kind, None)).differences == 1, "a sweep passed it by"


async def test_a_step_of_a_sweep_that_is_refused_is_its_accounts_alone(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.database.background.sweeper.ACCOUNTS_PER_STEP", 1)
    stream = Stream()
    for name in "ab":
        await worker.write(stream.account(name, False, "deleted"))
    wiper = Wiper(worker.pool)
    while await wiper.turn():
        pass
    await worker.write(stream.commit("fan", put(f"{FOLLOW}/a", follow(did("a"))), put(f"{FOLLOW}/b", follow(did("b")))))
    await worker.connection.execute(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE TRIGGER refuse BEFORE DELETE ON notifications FOR EACH ROW WHEN (OLD.recipient_did = 'did:plc:a')
        EXECUTE FUNCTION refuse()"""
    )
    await Sweeper(worker.pool).sweep()
    assert await worker.column("SELECT recipient_did FROM notifications") == [did("a")]
    assert await worker.value("SELECT count(*) FROM unified_worker.sweep") == 0, "it was not whole"
