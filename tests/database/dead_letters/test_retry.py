"""Dead letters applied again: what the code, or the database, takes now comes in as if it had then; nothing is resurrected."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from relay_simulator.encoding import Value, frame, tid
from testing.commits import LIKE, POST, PROFILE, Op, Stream, delete, did, like, post, profile, put
from testing.database_side import Worker
from testing.databases import connected
from tests.database.functions.test_dead_letters import check_sizes
from tests.database.functions.test_meetings import HELD, held
from unified_indexer.command_line.retry_run import Retrying
from unified_indexer.config.settings import Config
from unified_indexer.database.background.waiting import Pending
from unified_indexer.database.dead_letters.queries import Choice, frames
from unified_indexer.database.dead_letters.retry import Fate, Verdict, retry
from unified_indexer.database.write.batch import KINDS
from unified_indexer.errors import Rejected, Stop
from unified_indexer.protocol.commits import Clock
from unified_indexer.protocol.events import Account, RepoEvent, Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.selection import EVERYTHING, Selection

SUBJECT = f"at://{did('x')}/{POST}/1"
NO_LIKES = "ALTER TABLE likes ADD CONSTRAINT refusing CHECK (false) NOT VALID"
LIKES_AGAIN = "ALTER TABLE likes DROP CONSTRAINT refusing"
REPO = "SELECT rev, seq, data_cid IS NOT NULL FROM unified_worker.repos WHERE did = $1"
ALL = Choice()
APPLIED, REFUSED, SKIPPED = (fate.value for fate in (Fate.APPLIED, Fate.REFUSED, Fate.SKIPPED))

Told = dict[tuple[str, str], int]


async def retried(worker: Worker, chosen: Choice | int = ALL, collections: str = "*") -> Told:
    """What the command says became of them: letters by (reason before, what became)."""
    env = {"DATABASE_URL": worker.pool.url, "COLLECTIONS": collections, "VERIFY": "off"}
    retrying = Retrying(Config.from_env(env), chosen)
    await retrying.run()
    lines = [line.split("  ") for line in retrying.report()[1:]]
    words = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    told: Told = {}
    for reason, became, count, *_ in words:
        told[reason, became] = told.get((reason, became), 0) + int(count)
    assert retrying.all_applied == all(became in (APPLIED, "closed meanwhile") for _, became in told)
    return told


def nothing(_frame: bytes) -> dict[str, object]:
    """What is salvaged of a frame that nobody can read."""
    return {}


def no_time(_micros: int) -> str:
    """What a frame says of its time."""
    return "never"


@contextmanager
def clumsy(monkeypatch: pytest.MonkeyPatch, **faults: Any) -> Generator[None]:
    """Code that takes less than ours: `likes`: no record of that type; `ops`, `frames`: no operation, no frame at all."""
    with monkeypatch.context() as patch:
        if "likes" in faults:
            kind, record_type = KINDS[LIKE]

            def refusing(_record: object, _at: object) -> Any:
                raise Rejected("clumsy", "it was")

            patch.setitem(KINDS, LIKE, (kind, replace(record_type, row=refusing)))
        if "ops" in faults:
            patch.setattr("unified_indexer.protocol.commits.MAX_BLOCKS_BYTES", 0)
        if "frames" in faults:
            patch.setattr("unified_indexer.protocol.frames.MAX_FRAME_BYTES", 0)
            patch.setattr("unified_indexer.protocol.frames.salvage", nothing)
        yield


async def letters(worker: Worker) -> list[tuple[str, str, int]]:
    return [(path, reason, attempts) for path, reason, _, attempts in await worker.letters()]


async def likes(worker: Worker) -> list[str]:
    return await worker.column("SELECT right(uri, 1) FROM likes ORDER BY 1")


@pytest.mark.promise(2)
async def test_an_operation_that_is_usable_now(both_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    with clumsy(monkeypatch, likes=True):
        commit = stream.commit(
            "a", put(f"{POST}/1", post()), put(f"{LIKE}/1", like(SUBJECT)), put(f"{LIKE}/2", {"$type": LIKE})
        )
        later = stream.commit("a", put(f"{POST}/2", post()))
        assert await both_worker.write(commit, later) == ["applied", "applied"]
    assert await retried(both_worker) == {("clumsy", APPLIED): 1, ("clumsy", REFUSED): 1}
    assert await likes(both_worker) == ["1"]
    assert await both_worker.value("SELECT like_count FROM post_aggregations") == 1
    assert await letters(both_worker) == [(f"{LIKE}/2", "missing_field", 2)]
    assert await both_worker.value(REPO.replace("rev, seq, data_cid IS NOT NULL", "rev"), did("a")) == later.rev
    assert await retried(both_worker) == {("missing_field", REFUSED): 1}
    assert await letters(both_worker) == [(f"{LIKE}/2", "missing_field", 3)]
    await check_sizes(both_worker)


@pytest.mark.promise(2)
async def test_a_commit_that_was_refused_as_a_whole(both_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its operations are named by letters; the rev that was left where it was is the commit's afterwards."""
    stream = Stream()
    bad = put(f"{LIKE}/9", {"$type": LIKE})
    frame = stream.frame("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", like(SUBJECT)), bad)
    with clumsy(monkeypatch, ops=True):
        assert await write(both_worker, frame) == ["applied"]
    assert [letter[1] for letter in await letters(both_worker)] == ["blocks_too_large"] * 3
    assert await retried(both_worker) == {("blocks_too_large", APPLIED): 2, ("blocks_too_large", REFUSED): 1}
    assert await likes(both_worker) == ["1"]
    assert await both_worker.value("SELECT count(*) FROM users") == 1
    assert await letters(both_worker) == [(f"{LIKE}/9", "missing_field", 2)]
    row = await both_worker.connection.fetchrow(REPO, did("a"))
    assert row is not None
    assert tuple(row) == (stream.revs["a"], stream.seq, True)
    assert await write(both_worker, frame) == ["stale"]
    await check_sizes(both_worker)


async def write(worker: Worker, *frames: bytes) -> list[str]:
    events = [decode(frame) for frame in frames]
    return await worker.write(*events)  # pyright: ignore[reportArgumentType] -- what is ignored is not written here


async def test_a_frame_of_which_nothing_was_known(both_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it can be read, its commit is applied as it would have been; what of it is refused is kept by its path."""
    stream = Stream()
    frame = stream.frame("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", like(SUBJECT)), put(f"{LIKE}/2", {"$type": LIKE}))
    sound = stream.frame("b", put(f"{LIKE}/3", like(SUBJECT)))
    with clumsy(monkeypatch, frames=True):
        await write(both_worker, frame, sound)
    assert await both_worker.column("SELECT did FROM unified_worker.dead_letters") == ["", ""]
    assert await retried(both_worker) == {("frame_too_large", APPLIED): 1, ("frame_too_large", REFUSED): 1}
    assert await likes(both_worker) == ["1", "3"]
    assert await letters(both_worker) == [(f"{LIKE}/2", "missing_field", 2)]
    assert await both_worker.column("SELECT did FROM unified_worker.dead_letters") == [did("a")]
    assert await both_worker.value("SELECT held FROM unified_worker.repos WHERE did = $1", did("a"))
    await check_sizes(both_worker)
    await both_worker.write(stream.commit("a", delete(f"{LIKE}/2")))
    assert await letters(both_worker) == []
    await check_sizes(both_worker)


async def test_a_whole_commit_whose_repo_went_on_is_left_alone(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """No letter names its paths, so nobody knows what of it was changed since."""
    stream = Stream()
    frame = stream.frame("a", put(f"{LIKE}/1", like(SUBJECT)))
    with clumsy(monkeypatch, frames=True):
        await write(worker, frame)
    await worker.write(stream.commit("a", delete(f"{LIKE}/1")))
    assert await retried(worker) == {("frame_too_large", SKIPPED): 1}
    assert await likes(worker) == []
    assert await letters(worker) == [(sha256(frame).hexdigest(), "frame_too_large", 1)], "skipped is no attempt"


async def test_a_commit_without_its_blocks_stays(worker: Worker) -> None:
    big = Stream().too_big("a")
    await worker.write(big)
    assert await retried(worker) == {("too_big", REFUSED): 1}
    assert await letters(worker) == [(sha256(big.frame).hexdigest(), "too_big", 2)]
    assert await worker.value("SELECT rev FROM unified_worker.repos") == ""


async def test_a_rev_ahead_of_its_stream_stays_out_though_its_frame_tells_no_time(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the account would be locked out until then."""
    stream = Stream()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr("testing.commits.time_text", no_time)
    frame = stream.frame("a", put(f"{POST}/1", post()), rev=tid(int(tomorrow.timestamp() * 1_000_000), 0))
    event = decode(frame, lambda: Clock(datetime.now(UTC)))
    assert isinstance(event, Unusable)
    await worker.write(event)
    assert await retried(worker) == {("rev_in_future", REFUSED): 1}
    assert await worker.value("SELECT rev FROM unified_worker.repos") == ""


async def test_what_is_still_broken_counts_an_attempt(worker: Worker) -> None:
    stream = Stream()
    broken = stream.broken("a", put(f"{POST}/1", post()))
    unread = decode(b"\xff")
    assert isinstance(unread, Unusable)
    await worker.write(broken, unread)
    await worker.connection.execute("UPDATE unified_worker.dead_letters SET reason = 'another', last_seen = first_seen")
    assert await retried(worker) == {("another", REFUSED): 2}
    assert await letters(worker) == [
        (f"{POST}/1", broken.reason, 2),
        (sha256(unread.frame).hexdigest(), unread.reason, 2),
    ]
    assert await worker.value("SELECT bool_and(last_seen > first_seen) FROM unified_worker.dead_letters")


@pytest.mark.promise(2)
async def test_what_the_database_refused(both_worker: Worker) -> None:
    """The commit comes in as a whole, or not at all."""
    await both_worker.connection.execute(NO_LIKES)
    stream = Stream()
    commit = stream.commit("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", like(SUBJECT)), delete(f"{POST}/0"))
    assert await both_worker.write(commit) == ["refused:23514"]
    assert await retried(both_worker) == {("database_23514", REFUSED): 3}
    assert await both_worker.value("SELECT count(*) FROM posts") == 0
    assert {letter[2] for letter in await letters(both_worker)} == {2}
    await both_worker.connection.execute(LIKES_AGAIN)
    assert await retried(both_worker) == {("database_23514", APPLIED): 3}
    assert await both_worker.value("SELECT count(*) FROM posts") == 1
    assert await likes(both_worker) == ["1"]
    assert await both_worker.value("SELECT rev FROM unified_worker.repos") == commit.rev
    assert await letters(both_worker) == []
    await check_sizes(both_worker)


REFUSING_ONE = {
    "the record": f"ALTER TABLE likes ADD CONSTRAINT refusing CHECK (user_did <> '{did('a')}') NOT VALID",
    "the letter's own rows": f"""
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON unified_worker.dead_letters FOR EACH ROW
    WHEN (OLD.did = '{did("a")}') EXECUTE FUNCTION refuse()""",
}


@pytest.mark.parametrize("refused", REFUSING_ONE)
async def test_one_letter_that_is_refused_keeps_no_later_one_from_being_applied(worker: Worker, refused: str) -> None:
    await worker.connection.execute(NO_LIKES)
    stream = Stream()
    await worker.write(*(stream.commit(name, put(f"{LIKE}/{name}", like(SUBJECT))) for name in "abc"))
    await worker.connection.execute(f"{LIKES_AGAIN}; {REFUSING_ONE[refused]}")
    assert await retried(worker) == {("database_23514", REFUSED): 1, ("database_23514", APPLIED): 2}
    assert await likes(worker) == ["b", "c"]
    assert [path for path, *_ in await letters(worker)] == [f"{LIKE}/a"]


async def test_a_letter_s_new_refusal_is_what_it_says_then(both_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A foreign key: so it waits, and says for what."""
    with clumsy(monkeypatch, likes=True):
        await both_worker.write(Stream().commit("a", put(f"{LIKE}/1", like(SUBJECT))))
    await both_worker.connection.execute("ALTER TABLE likes ADD FOREIGN KEY (post_uri) REFERENCES posts (uri)")
    assert await retried(both_worker) == {("clumsy", REFUSED): 1}
    assert await letters(both_worker) == [(f"{LIKE}/1", "foreign_key", 2)]
    awaited: list[str] = await both_worker.value("SELECT awaited FROM unified_worker.dead_letters")
    assert awaited[1:] == ["uri", SUBJECT]


async def test_a_deletion_is_applied_late(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{LIKE}/1", like(SUBJECT))))
    await worker.connection.execute("ALTER TABLE posts ADD CONSTRAINT refusing CHECK (false) NOT VALID")
    await worker.write(stream.commit("a", delete(f"{LIKE}/1"), put(f"{POST}/1", post())))
    assert await likes(worker) == ["1"]
    await worker.connection.execute("ALTER TABLE posts DROP CONSTRAINT refusing")
    assert await retried(worker) == {("database_23514", APPLIED): 2}
    assert await likes(worker) == []
    assert await worker.value("SELECT count(*) FROM post_aggregations") == 0


@pytest.mark.promise(4)
async def test_letters_of_one_path_end_as_the_later_says(worker: Worker) -> None:
    """What can't be used closes no letter of what the database merely refused: it replaces nothing."""
    await worker.connection.execute(NO_LIKES)
    stream = Stream()
    first = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)))
    second = stream.commit("a", put(f"{LIKE}/1", like(f"at://{did('y')}/{POST}/1"), "update"))
    third = stream.commit("a", put(f"{LIKE}/1", {"$type": LIKE}, "update"))
    await worker.write(first, second, third)
    assert [letter[1] for letter in await letters(worker)] == ["database_23514", "database_23514", "missing_field"]
    await worker.connection.execute(LIKES_AGAIN)
    assert await retried(worker) == {("database_23514", APPLIED): 2, ("missing_field", REFUSED): 1}
    assert await worker.column("SELECT post_uri FROM likes") == [f"at://{did('y')}/{POST}/1"]
    assert [letter[1] for letter in await letters(worker)] == ["missing_field"]
    await check_sizes(worker)


async def test_the_later_letter_alone_closes_the_earlier(worker: Worker) -> None:
    await worker.connection.execute(NO_LIKES)
    stream = Stream()
    await worker.write(*(stream.commit("a", put(f"{LIKE}/1", like(f"at://{did(name)}/{POST}/1"))) for name in "xy"))
    await worker.connection.execute(LIKES_AGAIN)
    (later,) = await worker.column("SELECT max(id) FROM unified_worker.dead_letters")
    assert await retried(worker, later) == {("database_23514", APPLIED): 1}
    assert await letters(worker) == []
    assert await worker.column("SELECT post_uri FROM likes") == [f"at://{did('y')}/{POST}/1"]


async def test_two_relays_copies_of_a_refused_commit_leave_one_frame(worker: Worker) -> None:
    await worker.connection.execute(NO_LIKES)
    one, other = Stream(), Stream()
    frames = [one.frame("a", put(f"{LIKE}/1", like(SUBJECT)))]
    other.seq = 100
    frames.append(other.frame("a", put(f"{LIKE}/1", like(SUBJECT)), rev=one.revs["a"]))
    await write(worker, *frames)
    assert len(await letters(worker)) == 1
    await check_sizes(worker)


async def test_a_record_that_became_a_duplicate_meanwhile_takes_its_place_by_the_rule(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream()
    with clumsy(monkeypatch, likes=True):
        await worker.write(
            stream.commit("a", put(f"{LIKE}/1", like(SUBJECT, 1))), stream.commit("b", put(f"{LIKE}/3", like(SUBJECT, 9)))
        )
    await worker.write(
        stream.commit("a", put(f"{LIKE}/2", like(SUBJECT, 2))), stream.commit("b", put(f"{LIKE}/4", like(SUBJECT, 2)))
    )
    assert await retried(worker) == {("clumsy", APPLIED): 2}
    assert await likes(worker) == ["1", "4"]
    assert await worker.column("SELECT right(uri, 1) FROM unified_worker.duplicate_records ORDER BY 1") == ["2", "3"]
    assert await worker.value("SELECT like_count FROM post_aggregations") == 2


async def test_letters_without_a_frame_are_told_and_stay(worker: Worker) -> None:
    await worker.write(Stream().commit("a", put(f"{LIKE}/1", {"$type": LIKE})))
    await worker.connection.execute("UPDATE unified_worker.dead_letters SET frame_sha256 = NULL")
    assert await retried(worker) == {("missing_field", SKIPPED): 1}
    letter = await worker.value("SELECT id FROM unified_worker.dead_letters")
    assert await retried(worker, letter) == {("missing_field", SKIPPED): 1}
    with pytest.raises(Stop, match=f"no dead letter {letter + 1}"):
        await retried(worker, letter + 1)


def said(stream: Stream, *, active: bool, status: str | None = None) -> Account:
    stream.seq += 1
    return Account(stream.seq, did("a"), datetime.now(UTC) + timedelta(seconds=stream.seq), active, status, b"")


async def test_inactive_accounts_and_those_who_forbid_it_wait(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    with clumsy(monkeypatch, likes=True):
        await worker.write(stream.commit("a", put(f"{LIKE}/1", like(SUBJECT))))
    await worker.write(said(stream, active=False, status="takendown"))
    assert await retried(worker) == {("clumsy", SKIPPED): 1}
    await worker.write(said(stream, active=True))
    await worker.connection.execute("UPDATE unified_worker.repos SET wiping = true")
    assert await retried(worker) == {("clumsy", SKIPPED): 1}
    await worker.connection.execute("UPDATE unified_worker.repos SET wiping = false")
    await worker.connection.execute("INSERT INTO user_settings VALUES ($1, true)", did("a"))
    assert await retried(worker) == {("clumsy", SKIPPED): 1}
    await worker.connection.execute("DELETE FROM user_settings")
    assert await retried(worker, collections=f"{POST}") == {("clumsy", SKIPPED): 1}
    assert await likes(worker) == []
    assert await letters(worker) == [(f"{LIKE}/1", "clumsy", 1)]
    assert await retried(worker, collections="app.bsky.feed.*") == {("clumsy", APPLIED): 1}


async def test_what_collections_leave_out_of_a_whole_commit(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    with clumsy(monkeypatch, frames=True):
        await write(worker, stream.frame("a", put(f"{LIKE}/1", like(SUBJECT)), put(f"{POST}/1", post())))
    assert await retried(worker, collections=LIKE) == {("frame_too_large", APPLIED): 1}
    assert await likes(worker) == ["1"]
    assert await worker.value("SELECT count(*) FROM posts") == 0
    assert await worker.value("SELECT filtered FROM unified_worker.repos")
    assert await letters(worker) == []
    await check_sizes(worker)


@pytest.mark.promise(6)
async def test_a_refused_commit_that_follows_on_one_that_never_came_marks_its_repo(worker: Worker) -> None:
    await worker.connection.execute("ALTER TABLE posts ADD CONSTRAINT strict CHECK (text <> 'no')")
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post())))
    await write(worker, stream.frame("a", put(f"{POST}/2", post("no")), since=tid(1, 0)))
    await worker.connection.execute("ALTER TABLE posts DROP CONSTRAINT strict")
    assert await retried(worker) == {("database_23514", APPLIED): 1}
    assert await worker.value("SELECT sync_reason FROM unified_worker.repos") == "chain_broken"
    assert await worker.value("SELECT count(*) FROM posts") == 2


@pytest.mark.promise(6)
async def test_so_does_a_commit_that_nobody_could_read_once_it_can_be_read(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has not judged it before."""
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post())))
    with clumsy(monkeypatch, ops=True):
        await write(worker, stream.frame("a", put(f"{POST}/2", post()), since=tid(1, 0)))
    assert await retried(worker) == {("blocks_too_large", APPLIED): 1}
    assert await worker.value("SELECT sync_reason FROM unified_worker.repos") == "chain_broken"


STATE = "SELECT sync, sync_reason, sync_at IS NULL FROM unified_worker.repos"


async def state(worker: Worker) -> tuple[object, ...]:
    """Of the one repo that there is."""
    return tuple(await worker.connection.fetchrow(STATE) or ())


@pytest.mark.parametrize("before", [0, 1])
async def test_a_repo_is_what_it_was_when_all_that_the_database_refused_is_in(worker: Worker, before: int) -> None:
    await worker.connection.execute(NO_LIKES)
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post())))
    await worker.connection.execute("UPDATE unified_worker.repos SET sync = $1", before)
    for number in range(3):
        await write(worker, stream.frame("a", put(f"{LIKE}/{number}", like(SUBJECT))))
    assert await state(worker) == (2, "refused", False)
    await worker.connection.execute(LIKES_AGAIN)
    one = await worker.value("SELECT min(id) FROM unified_worker.dead_letters")
    assert await retried(worker, one) == {("database_23514", APPLIED): 1}
    assert await state(worker) == (2, "refused", False), "others are still missing"
    await worker.write(stream.commit("a", delete(f"{LIKE}/1")))
    assert await state(worker) == (2, "refused", False)
    assert await retried(worker) == {("database_23514", APPLIED): 1}
    assert await state(worker) == (before, None, True)


async def test_a_repo_of_which_something_else_is_missing_stays_marked(worker: Worker) -> None:
    """Whichever came first, and also where its reason says less and is not told."""
    await worker.connection.execute(NO_LIKES)
    stream = Stream()
    for rkey, mark in (("1", "inactive"), ("2", "refused"), ("3", "chain_broken")):
        for first in (True, False):
            await worker.connection.execute("UPDATE unified_worker.repos SET sync = 0, sync_reason = NULL, sync_at = NULL")
            other = worker.connection.execute("SELECT unified_worker.desynchronise($1, $2)", did("a"), mark)
            if first:
                await worker.write(stream.commit("a", put(f"{POST}/1", post())))
                await other
            await write(worker, stream.frame("a", put(f"{LIKE}/{rkey}", like(SUBJECT))))
            if not first:
                await other
            await worker.connection.execute(LIKES_AGAIN)
            assert await retried(worker) == {("database_23514", APPLIED): 1}
            assert await state(worker) == (2, "chain_broken" if mark == "chain_broken" else "refused", False), (mark, first)
            await worker.connection.execute(NO_LIKES)


async def test_which_letters_are_chosen(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    with clumsy(monkeypatch, likes=True):
        await worker.write(
            *(stream.commit(name, put(f"{LIKE}/1", like(SUBJECT)), put(f"{LIKE}/2", {"$type": LIKE})) for name in "abc")
        )
        await worker.write(stream.commit("a", put(f"{PROFILE}/other", profile("x"))))
    assert await retried(worker, Choice("bad_rkey")) == {("bad_rkey", REFUSED): 1}
    assert await retried(worker, Choice("clumsy", did("b"))) == {("clumsy", APPLIED): 1, ("clumsy", REFUSED): 1}
    assert await retried(worker, Choice(None, did("nobody"))) == {}
    assert await worker.column("SELECT user_did FROM likes") == [did("b")]
    one = await worker.value("SELECT id FROM unified_worker.dead_letters WHERE did = $1", did("c"))
    assert await retried(worker, one) == {("clumsy", APPLIED): 1, ("clumsy", REFUSED): 1}
    assert await worker.column("SELECT user_did FROM likes ORDER BY 1") == [did("b"), did("c")]


async def test_letters_of_one_frame_are_tried_once_however_many(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.database.dead_letters.queries.PAGE_SIZE", 2)
    await worker.write(Stream().commit("a", *(put(f"{LIKE}/{n}", {"$type": LIKE}) for n in range(7))))
    assert await retried(worker) == {("missing_field", REFUSED): 7}
    assert {letter[2] for letter in await letters(worker)} == {2}


async def test_messages_of_an_account_that_could_not_be_read(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count where nothing newer was said since; either way nothing is left to do."""
    await worker.write(Stream().commit("a", put(f"{POST}/1", post())), Stream(seq=5).commit("b", put(f"{POST}/1", post())))
    messages = [
        frame("#account", {"seq": 11, "did": did("a"), "time": "2026-07-02T00:00:00Z", "active": False, "status": "suspended"}),
        frame("#account", {"seq": 12, "did": did("b"), "time": "2026-07-02T00:00:00Z", "active": False, "status": "suspended"}),
        frame("#identity", {"seq": 13, "did": did("a"), "time": "2026-07-02T00:00:00Z", "handle": "a.test"}),
    ]  # fmt: skip
    with clumsy(monkeypatch, frames=True):
        await write(worker, *messages)
    newer: dict[str, Value] = {"seq": 14, "did": did("b"), "time": "2026-07-03T00:00:00Z", "active": True}
    await write(worker, frame("#account", newer))
    assert await retried(worker) == {("frame_too_large", APPLIED): 3}
    states = await worker.connection.fetch("SELECT active, handle FROM unified_worker.repos ORDER BY did")
    assert [tuple(state) for state in states] == [(False, "a.test"), (True, None)]
    assert await worker.column("SELECT handle FROM users ORDER BY did") == ["a.test", "handle.invalid"]
    assert await letters(worker) == []
    await check_sizes(worker)


@asynccontextmanager
async def waiting_like(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Stream]:
    """A letter of a like that the code takes now; transactions are held before they end (`held`)."""
    stream = Stream()
    with clumsy(monkeypatch, likes=True):
        await worker.write(stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)), put(f"{POST}/9", post())))
    await worker.connection.execute(
        HELD.replace("ON posts", "ON likes") + HELD[HELD.rindex("CREATE CONSTRAINT") :].replace("hold ", "held ", 1)
    )
    yield stream


async def try_all(worker: Worker) -> dict[int, Verdict]:
    found: dict[int, Verdict] = {}
    async with connected(worker.pool.url) as connection:
        for kept in [kept async for kept, _ in frames(connection, Choice())]:
            found |= await retry(connection, kept, EVERYTHING)
    return found


LATER: tuple[Callable[[], Op], ...] = (
    lambda: delete(f"{LIKE}/1"),
    lambda: put(f"{LIKE}/1", like(f"at://{did('y')}/{POST}/1"), "update"),
)


@pytest.mark.parametrize("later", LATER, ids=["delete", "update"])
@pytest.mark.parametrize("first", ["retry", "stream"])
async def test_a_retry_beside_a_later_operation_on_its_path(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, first: str, later: Callable[[], Op]
) -> None:
    """Both transactions at one time, either first: the later operation is what stands."""
    async with waiting_like(worker, monkeypatch) as stream:
        newer: RepoEvent = stream.commit("a", later())
        both = [lambda: try_all(worker), lambda: worker.write(newer)]
        async with asyncio.TaskGroup() as tasks, held(worker.pool.url) as waiting:
            one, other = both if first == "retry" else both[::-1]
            tasks.create_task(one())  # pyright: ignore[reportArgumentType]
            await waiting(1)
            tasks.create_task(other())  # pyright: ignore[reportArgumentType]
            await waiting(2)
    expected = [f"at://{did('y')}/{POST}/1"] if later().record else []
    assert await worker.column("SELECT post_uri FROM likes") == expected
    assert await worker.column("SELECT post_uri FROM post_aggregations WHERE like_count > 0") == expected
    assert await letters(worker) == []
    await check_sizes(worker)


async def test_a_retry_beside_another(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the worker's own of what waits: one of them applies it, the other finds it gone."""
    async with waiting_like(worker, monkeypatch):
        await worker.connection.execute("UPDATE unified_worker.dead_letters SET reason = 'foreign_key'")

        async def by_itself() -> int:
            async with connected(worker.pool.url) as connection:
                return await Pending(worker.pool).turn(connection)

        async with asyncio.TaskGroup() as tasks, held(worker.pool.url) as waiting:
            one = tasks.create_task(try_all(worker))
            await waiting(1)
            other = tasks.create_task(by_itself())
            await waiting(2)
    assert list(one.result().values()) == [Verdict(Fate.APPLIED)]
    assert other.result() == 0
    assert await likes(worker) == ["1"]
    assert await worker.value("SELECT like_count FROM post_aggregations") == 1


async def test_what_waits_for_an_account_that_forbids_it(worker: Worker) -> None:
    await worker.connection.execute("ALTER TABLE likes ADD FOREIGN KEY (post_uri) REFERENCES posts (uri)")
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{LIKE}/1", like(SUBJECT))), stream.commit("x", put(f"{POST}/1", post())))
    async with connected(worker.pool.url) as connection:
        assert await Pending(worker.pool, Selection(opted_out=frozenset({did("a")}))).turn(connection) == 0
        assert await Pending(worker.pool).turn(connection) == 1
