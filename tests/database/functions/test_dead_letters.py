"""What can't be applied is kept: per operation, with its reason and its frame, within bounds, until a later one closes it."""

from hashlib import sha256

import pytest

from relay_simulator.encoding import Value, frame
from testing.commits import LIKE, POST, PROFILE, Op, Stream, delete, did, like, post, profile, put
from testing.database_side import Worker
from unified_indexer.database.background.sweeper import Sweeper
from unified_indexer.database.functions.dead_letters import MAX_FRAMES_BYTES, MAX_LETTERS_OF_A_DID, functions
from unified_indexer.log.handler import RateLimited
from unified_indexer.protocol.events import Commit, RefusedOp, Unusable
from unified_indexer.protocol.frames import decode

BAD = {"$type": LIKE}  # a like without its subject
LETTER = "SELECT did, rev, path, seq, reason, attempts FROM unified_worker.dead_letters ORDER BY id"
FRAMES = "SELECT coalesce(sum(length(frame)), 0) FROM unified_worker.dead_frames"
SIZE = "SELECT bytes FROM unified_worker.dead_frames_size"


async def letters(worker: Worker) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await worker.connection.fetch(LETTER)]


async def check_sizes(worker: Worker) -> None:
    """The counter tells the size of the frames that are kept, and every one of them is some letter's."""
    assert await worker.value(SIZE) == await worker.value(FRAMES)
    kept = "SELECT sha256 FROM unified_worker.dead_frames"
    named = "SELECT frame_sha256 FROM unified_worker.dead_letters WHERE frame_sha256 IS NOT NULL"
    assert set(await worker.column(kept)) == set(await worker.column(named))


@pytest.mark.promise(2)
async def test_an_operation_is_kept_by_its_path_and_its_siblings_are_applied(both_worker: Worker) -> None:
    commit = Stream().commit("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", BAD), put(f"{LIKE}/2", {"$type": POST}))
    assert await both_worker.write(commit) == ["applied"]
    assert await letters(both_worker) == [
        (did("a"), commit.rev, f"{LIKE}/1", commit.seq, "missing_field", 1),
        (did("a"), commit.rev, f"{LIKE}/2", commit.seq, "wrong_type", 1),
    ]
    assert await both_worker.column("SELECT frame FROM unified_worker.dead_frames") == [commit.frame], "one frame for both"
    assert await both_worker.value("SELECT held FROM unified_worker.repos")
    assert await both_worker.value("SELECT count(*) FROM posts") == 1
    await check_sizes(both_worker)


async def test_other_record_keys_of_a_profile_and_unknown_collections(worker: Worker) -> None:
    stream = Stream()
    commit = stream.commit(
        "a", put(f"{PROFILE}/other", profile("x")), put("app.example.thing/1", {"$type": "app.example.thing"})
    )
    assert await worker.write(commit) == ["applied"]
    assert [letter[2:5:2] for letter in await letters(worker)] == [(f"{PROFILE}/other", "bad_rkey")]
    assert await worker.write(stream.commit("a", delete(f"{PROFILE}/other"), delete("app.example.thing/1"))) == ["applied"]


@pytest.mark.parametrize("later", [delete(f"{LIKE}/1"), put(f"{LIKE}/1", like(f"at://{did('x')}/{POST}/1"), "update")])
@pytest.mark.promise(2)
async def test_a_later_operation_on_the_path_closes_the_letter(worker: Worker, later: Op) -> None:
    stream = Stream()
    first = stream.commit("a", put(f"{LIKE}/1", BAD))
    await worker.write(first)
    await worker.write(stream.commit("a", delete(f"{LIKE}/2"), put(f"{POST}/1", post())))
    assert len(await letters(worker)) == 1, "another path is another record"
    await worker.write(stream.commit("b", later))
    assert len(await letters(worker)) == 1, "another repo too"
    await worker.write(stream.commit("a", later))
    assert await letters(worker) == []
    assert await worker.value(SIZE) == 0
    await check_sizes(worker)


async def test_a_later_bad_operation_takes_the_letter_s_place(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{LIKE}/1", BAD)))
    second = stream.commit("a", put(f"{LIKE}/1", {"$type": POST}, "update"))
    await worker.write(second)
    assert [(letter[1], letter[4]) for letter in await letters(worker)] == [(second.rev, "wrong_type")]
    await check_sizes(worker)


async def test_a_frame_goes_with_its_last_letter(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{LIKE}/1", BAD), put(f"{LIKE}/2", BAD)))
    await worker.write(stream.commit("a", delete(f"{LIKE}/1")))
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_frames") == 1
    await check_sizes(worker)
    await worker.write(stream.commit("a", delete(f"{LIKE}/2")))
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_frames") == 0
    await check_sizes(worker)


async def test_what_nothing_can_be_read_of_is_known_by_its_hash(worker: Worker) -> None:
    event = decode(b"\xff no frame")
    assert isinstance(event, Unusable)
    assert await worker.write(event, event) == ["applied", "applied"]
    name = sha256(event.frame).hexdigest()
    assert await letters(worker) == [("", "", name, None, event.reason, 2)]
    assert await worker.column("SELECT frame FROM unified_worker.dead_frames") == [event.frame]
    assert await worker.value("SELECT count(*) FROM unified_worker.repos") == 0
    await check_sizes(worker)


async def test_a_commit_that_is_broken_leaves_the_rev_so_that_a_sound_copy_counts(worker: Worker) -> None:
    stream = Stream()
    before = stream.commit("a", put(f"{POST}/0", post()))
    broken = stream.broken("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", like("x")))
    assert await worker.write(before, broken) == ["applied", "applied"]
    assert [letter[:3] for letter in await letters(worker)] == [
        (did("a"), broken.rev, f"{POST}/1"),
        (did("a"), broken.rev, f"{LIKE}/1"),
    ]
    state = await worker.connection.fetchrow("SELECT rev, sync, sync_reason FROM unified_worker.repos")
    assert state is not None
    assert tuple(state) == (before.rev, 2, "refused")
    sound = stream.commit("a", put(f"{POST}/1", post()), rev=broken.rev)
    assert await worker.write(sound, broken) == ["applied", "stale"]
    assert await worker.value("SELECT count(*) FROM posts") == 2
    assert [letter[2] for letter in await letters(worker)] == [f"{LIKE}/1"], "the sound copy's path is closed"


async def test_a_commit_that_is_too_big_is_kept_and_its_rev_does_not_count(worker: Worker) -> None:
    stream = Stream()
    big = stream.too_big("a")
    assert await worker.write(big) == ["applied"]
    assert await letters(worker) == [(did("a"), big.rev, sha256(big.frame).hexdigest(), big.seq, "too_big", 1)]
    state = await worker.connection.fetchrow("SELECT rev, sync, sync_reason, has_user FROM unified_worker.repos")
    assert state is not None
    assert tuple(state) == ("", 2, "refused", False)
    assert await worker.write(stream.commit("a", put(f"{POST}/1", post()))) == ["applied"]
    assert await worker.value("SELECT count(*) FROM users") == 1
    assert await worker.write(big) == ["stale"], "a newer commit stands"


async def test_a_path_too_long_for_a_key_is_named_by_its_hash(worker: Worker) -> None:
    path = "app.example/" + "é" * 1000
    event = Unusable(1, did("a"), "3222222222222", None, (path,), "bad_car", "", b"frame")
    assert await worker.write(event) == ["applied"]
    assert [letter[2] for letter in await letters(worker)] == [sha256(path.encode()).hexdigest()]


async def bound(worker: Worker, *, of_a_did: int = MAX_LETTERS_OF_A_DID, size: int = MAX_FRAMES_BYTES) -> None:
    """The functions as the worker makes them, with other bounds."""
    await worker.connection.execute("".join(functions(of_a_did, size)))


def bad_commits(stream: Stream, name: str, count: int) -> list[Commit]:
    return [stream.commit(name, put(f"{LIKE}/{n}", BAD)) for n in range(count)]


@pytest.mark.promise(5)
async def test_beyond_a_thousand_of_a_did_the_frame_is_dropped_and_the_reason_stays(worker: Worker) -> None:
    assert (MAX_LETTERS_OF_A_DID, MAX_FRAMES_BYTES) == (1_000, 10**9)
    await bound(worker, of_a_did=3)
    stream = Stream()
    assert await worker.write(*bad_commits(stream, "a", 5)) == ["applied"] * 3 + ["frame_dropped"] * 2
    assert len(await letters(worker)) == 5
    assert await worker.value("SELECT count(frame_sha256) FROM unified_worker.dead_letters") == 3
    assert await worker.write(*bad_commits(stream, "b", 1)) == ["applied"], "another account has its own thousand"
    await check_sizes(worker)
    # Room again, once one is closed.
    again = [stream.commit("a", delete(f"{LIKE}/0")), *(stream.commit("a", put(f"{LIKE}/{n}", BAD)) for n in "xy")]
    assert await worker.write(*again) == ["applied", "applied", "frame_dropped"]
    await check_sizes(worker)


@pytest.mark.promise(5)
async def test_the_size_of_all_frames_is_bounded(worker: Worker) -> None:
    stream = Stream()
    commits = [bad_commits(stream, name, 1)[0] for name in "abcd"]
    await bound(worker, size=sum(len(commit.frame) for commit in commits[:2]))
    assert await worker.write(*commits) == ["applied", "applied", "frame_dropped", "frame_dropped"]
    assert len(await letters(worker)) == 4
    await check_sizes(worker)
    await worker.write(stream.commit("a", delete(f"{LIKE}/0")))
    assert await worker.write(*bad_commits(stream, "e", 1)) == ["applied"], "there is room again"
    await check_sizes(worker)


@pytest.mark.promise(6)
async def test_a_dropped_frame_is_told_once_and_counted(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    await bound(worker, of_a_did=0)
    commits = bad_commits(Stream(), "a", 3)
    await worker.processor.process_batch(0, commits)
    assert worker.metrics.refused == {"missing_field": 3}
    assert sum("dropping frames" in message for message in caplog.messages) <= 1
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_frames") == 0


async def test_attempts_are_counted_and_the_first_sight_stays(worker: Worker) -> None:
    """A rev that does not count (the commit is broken) comes again with each replay."""
    broken = Stream().broken("a", put(f"{POST}/1", post()))
    await worker.write(broken)
    first = await worker.value("SELECT first_seen FROM unified_worker.dead_letters")
    await worker.write(broken)
    await worker.write(broken._replace(detail="another detail"))
    row = await worker.connection.fetchrow(
        "SELECT attempts, first_seen, last_seen > first_seen, detail FROM unified_worker.dead_letters"
    )
    assert row is not None
    assert tuple(row) == (3, first, True, "another detail")
    await check_sizes(worker)


async def test_repos_without_letters_are_not_held(worker: Worker) -> None:
    await worker.write(Stream().commit("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", like(f"at://{did('x')}/{POST}/1"))))
    assert not await worker.value("SELECT held FROM unified_worker.repos")


@pytest.mark.parametrize("repos", [("no did", "nor this"), (did("a"), did("a"))], ids=["without a did", "without a rev"])
async def test_broken_frames_that_name_one_path_share_no_letter_s_frame(worker: Worker, repos: tuple[str, str]) -> None:
    ops: list[Value] = [{"path": f"{PROFILE}/self", "action": "update"}]
    broken = [
        decode(frame("#commit", {"seq": seq, "repo": repo, "rev": "none", "ops": ops})) for seq, repo in enumerate(repos, 1)
    ]
    for event in (*broken, broken[-1]):
        assert isinstance(event, Unusable)
        await worker.write(event)
    found = [(letter[3], letter[5]) for letter in await letters(worker)]
    assert found == ([(1, 1), (2, 2)] if repos[0] != repos[1] else [(2, 2)]), "of one repo, the later one's alone"
    await check_sizes(worker)


async def test_operations_without_a_path_close_no_letters_of_each_other(worker: Worker) -> None:
    stream = Stream()
    for n in (1, 2):
        commit = stream.commit("a", put(f"{POST}/{n}", post()))
        await worker.write(commit._replace(refused=(RefusedOp("", "bad_op", "the op is not a map"),)))
    assert len(await worker.letters()) == 2
    await check_sizes(worker)


@pytest.mark.promise(6)
async def test_frames_that_are_dropped_among_refused_commits_are_told_too(
    worker: Worker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "unified_indexer.pipeline.processor.warn_limited", RateLimited().warn
    )  # one that no other test has used up
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'bad')")
    await bound(worker, of_a_did=1)
    stream = Stream()
    commits = [stream.commit("a", put(f"{POST}/{n}", post("bad"))) for n in range(2)]
    assert await worker.write(*commits) == ["refused:23514", "refused:23514:frame_dropped"]
    await worker.processor.process_batch(0, [stream.commit("a", put(f"{POST}/3", post("bad")))])
    assert worker.metrics.refused["database_23514"] == 1
    assert "dropping frames" in caplog.text


async def test_a_dropped_frame_hides_nothing_else_of_an_outcome(worker: Worker) -> None:
    await bound(worker, size=0)
    stream = Stream()
    first, withheld = stream.commit("a", put(f"{POST}/1", post())), stream.commit("a", put(f"{POST}/2", post()))
    after = stream.commit("a", put(f"{LIKE}/1", BAD))._replace(since=withheld.rev)
    assert await worker.write(first, after) == ["applied", "chain_broken:frame_dropped"]
    back = [stream.account("a", False, "deleted"), stream.account("a", True), stream.commit("a", put(f"{POST}/3", post()))]
    assert await worker.write(*back) == ["applied", "applied", "kept:frame_dropped"]
    await worker.processor.process_batch(0, [stream.commit("a", put(f"{POST}/4", post()))])
    assert (worker.metrics.refused["wiping"], worker.metrics.frames_dropped) == (1, 1)
    assert worker.metrics.operations.total() == 0


@pytest.mark.promise(3)
async def test_a_replay_of_a_frame_without_room_reopens_no_closed_letter(worker: Worker) -> None:
    stream, path = Stream(), f"{POST}/1"
    broken = decode(frame("#commit", {"seq": 1, "repo": did("a"), "rev": "none", "ops": [{"path": path, "action": "create"}]}))
    assert isinstance(broken, Unusable)
    await bound(worker, size=0)
    assert await worker.write(broken) == ["frame_dropped"]
    await worker.write(stream.commit("a", put(path, post())))
    assert await letters(worker) == []
    await worker.write(broken)
    assert await letters(worker) == []
    await check_sizes(worker)


@pytest.mark.promise(3)
async def test_a_replay_reopens_no_letter_whose_rev_is_not_known(worker: Worker) -> None:
    """A later operation closed it; what a retry would write then is older than what is there."""
    stream = Stream()
    path = f"{POST}/1"
    broken = decode(frame("#commit", {"seq": 1, "repo": did("a"), "rev": "none", "ops": [{"path": path, "action": "create"}]}))
    assert isinstance(broken, Unusable)
    assert broken.rev is None
    await worker.write(broken)
    assert [(letter[1], letter[2]) for letter in await letters(worker)] == [("", path)]
    await worker.write(broken)
    assert [letter[5] for letter in await letters(worker)] == [2], "an open one counts the attempt"
    await worker.write(stream.commit("a", put(path, post())))
    assert await letters(worker) == []
    await worker.write(broken)
    assert await letters(worker) == []
    await check_sizes(worker)
    other = decode(frame("#commit", {"seq": 2, "repo": did("a"), "rev": "none", "ops": [{"path": path, "action": "update"}]}))
    assert isinstance(other, Unusable)
    await worker.write(other)
    assert [(letter[1], letter[3]) for letter in await letters(worker)] == [("", 2)], "another frame is kept"

    sweeper = Sweeper(worker.pool)
    await sweeper.forget()
    assert await worker.value("SELECT count(*) FROM unified_worker.closed_letters") == 1
    await worker.connection.execute("UPDATE unified_worker.closed_letters SET closed_at = now() - interval '31 days'")
    await sweeper.forget()
    assert await worker.value("SELECT count(*) FROM unified_worker.closed_letters") == 0, "no relay has its frame any more"
